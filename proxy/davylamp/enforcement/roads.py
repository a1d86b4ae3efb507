"""Which addresses the kernel reaches by an interface: who is behind a training bridge.

Source: Linux ``include/uapi/linux/rtnetlink.h`` (rtmsg, RTM_GETROUTE).
"""

import fnmatch
import socket
import struct
from collections.abc import Sequence

from davylamp import netlink
from davylamp.errors import KernelError

_NEWROUTE, _GETROUTE = 24, 26
_DST, _OIF = 1, 4
_WAIT_SECONDS = 1.0

_rtmsg = struct.Struct("=BBBBBBBBI")
_index = struct.Struct("=I")


class Roads:
    """Asks the kernel's routes, in the network namespace of the thread that makes this object."""

    def __init__(self, interfaces: Sequence[str]) -> None:
        """Watch for interfaces of these names, which may end in ``*``.

        Raises KernelError where there is no such socket to be had.
        """
        self._interfaces = tuple(interfaces)
        try:
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
            )
        except OSError as error:
            raise KernelError(f"routes cannot be asked for: {error.strerror}") from error
        self._socket.settimeout(_WAIT_SECONDS)

    def lead_inside(self, address: bytes) -> bool:
        """Say whether what is sent to a packed address leaves by one of the interfaces now."""
        try:
            self._socket.send(_question(address))
            answer = self._socket.recv(4096)
            name = socket.if_indextoname(_interface(answer))
        except OSError:  # no road there, or the interface has just gone
            return False
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self._interfaces)

    def close(self) -> None:
        """Ask no more."""
        self._socket.close()


def _question(address: bytes) -> bytes:
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    body = _rtmsg.pack(family, 8 * len(address), 0, 0, 0, 0, 0, 0, 0)
    body += netlink.attribute(_DST, address)
    return netlink.framed(_GETROUTE, netlink.REQUEST, body)


def _interface(answer: bytes) -> int:
    """Return the index of the interface that an answer names, 0 (which none has) where none is."""
    for found in netlink.messages(answer, 0, len(answer)):
        if found.kind != _NEWROUTE:
            continue
        for kind, start, end in netlink.attributes(answer, found.start + _rtmsg.size, found.end):
            if kind == _OIF and end - start >= _index.size:
                return int(_index.unpack_from(answer, start)[0])
    return 0
