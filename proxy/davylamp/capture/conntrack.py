"""The kernel's connection tracking, followed: translated flows as they begin and end.

Events come by multicast, and the kernel drops what a slow reader has no room for; it says so once
(ENOBUFS), and then only the table itself tells what is there.
"""

import errno
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from davylamp import netlink
from davylamp.capture.conntrack_wire import (
    GET,
    GROUP_DESTROY,
    GROUP_NEW,
    Tracked,
    parse,
    tracked_of,
)
from davylamp.errors import CaptureError, KernelError

_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_EVENTS = Path("/proc/sys/net/netfilter/nf_conntrack_events")
_DATAGRAM = 1 << 16
"""An event is a few hundred bytes; what is cut off is not read."""


class ConntrackEvents:
    """New and ended translated flows of this network namespace, as long as this object is open."""

    def __init__(self, receive_bytes: int = 32 << 20) -> None:
        """Join; raise KernelError where the kernel refuses, saying what to do."""
        self._socket = netlink.NetfilterSocket(receive_bytes)
        self.overruns = 0
        try:
            for group in (GROUP_NEW, GROUP_DESTROY):
                self._socket.socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        except OSError as error:
            self._socket.close()
            raise KernelError(
                f"cannot follow connection tracking ({error.strerror}): run as root or with "
                "CAP_NET_ADMIN in the host's network namespace, on a kernel with "
                "CONFIG_NF_CT_NETLINK"
            ) from error
        if _switched_off():
            self._socket.close()
            raise KernelError(
                "the kernel tells nobody of connections: "
                "set `sysctl -w net.netfilter.nf_conntrack_events=1`"
            )

    def fileno(self) -> int:
        """Return the descriptor, readable when events are there, for a selector."""
        return self._socket.fileno()

    def receive(self, most: int) -> tuple[list[Tracked], bool]:
        """Return what has come, from at most that many datagrams, and whether more may be there.

        ``overruns`` grows where the kernel had to drop some. Nothing that a message holds raises;
        CaptureError means that the socket itself is dead.
        """
        found: list[Tracked] = []
        for _ in range(most):
            try:
                data = self._socket.socket.recv(_DATAGRAM, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return found, False
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise CaptureError(f"conntrack events: socket lost: {error}") from error
                self.overruns += 1
                continue
            found += parse(data, 0, len(data))
        return found, True

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def table() -> Iterator[Tracked]:
    """Yield the translated flows that are there now; raise KernelError where it cannot be read."""
    reader = netlink.NetfilterSocket()
    try:
        for family in (socket.AF_INET, socket.AF_INET6):
            request = netlink.message(GET, netlink.REQUEST | netlink.DUMP, family=family)
            for body in reader.dump(request):
                tracked = tracked_of(body, False, 0, len(body))
                if tracked is not None:
                    yield tracked
    finally:
        reader.close()


def _switched_off() -> bool:
    try:
        return _EVENTS.read_text().strip() == "0"
    except OSError:
        return False
