"""What systemd is told by a service of ``Type=notify``, and the sockets that it opened for us.

The protocol is one datagram of ``NAME=value`` lines to the socket in ``$NOTIFY_SOCKET``
(sd_notify(3)); ``$WATCHDOG_USEC`` is how often it wants to hear that we
live (sd_watchdog_enabled(3)). Where nobody asked, nothing is sent.
"""

import os
import socket
from collections.abc import Mapping, Sequence

_FIRST_DESCRIPTOR = 3


class Notifier:
    """Tells systemd how the service is; what cannot be told is lost without harm."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._successor = 0
        self.watchdog_seconds = _watchdog(environment) if self._address else 0.0
        """How long systemd waits for :meth:`alive` before it ends us; 0: it does not wait."""

    def ready(self, status: str) -> None:
        """Say that the service is up; ``status`` shows in ``systemctl status``."""
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def status(self, status: str) -> None:
        """Say in a line how things are."""
        self._send(f"STATUS={_line(status)}")

    def stopping(self) -> None:
        """Say that the service is ending in good order."""
        self._send("STOPPING=1")

    def succeeded_by(self, pid: int) -> None:
        """Say which process is the service from now on, and no more: the rest it says itself."""
        self._send(f"MAINPID={pid}")
        self._successor = pid

    def _send(self, message: str) -> None:
        if not self._address or self._successor:
            return
        # An address that begins with @ is in the abstract namespace: its first byte is zero.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.sendto(message.encode(), address)
        except OSError:
            return


def handed_over(name: str, environment: Mapping[str, str] = os.environ) -> socket.socket | None:
    """Return the socket that systemd listens on for us under a name, None where there is none.

    The first is descriptor 3, as many as ``$LISTEN_FDS``, called as in ``$LISTEN_FDNAMES``
    (sd_listen_fds(3)). Children do not inherit it.
    """
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return None
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    count = environment.get("LISTEN_FDS", "")
    if name not in names or not count.isdecimal() or names.index(name) >= int(count):
        return None
    descriptor = _FIRST_DESCRIPTOR + names.index(name)
    os.set_inheritable(descriptor, False)
    return socket.socket(fileno=descriptor)


def inheritance(
    words: Sequence[str], environment: Mapping[str, str] = os.environ
) -> tuple[list[str], tuple[int, ...]]:
    """Return how to start another process that is to have systemd's sockets, and which they are.

    They must be named by that process's own number, which only that process knows: a shell sets it
    and then becomes the command. Without sockets the command is as it was.
    """
    count = environment.get("LISTEN_FDS", "")
    if environment.get("LISTEN_PID") != str(os.getpid()) or not count.isdecimal():
        return list(words), ()
    become = ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"]
    return [*become, *words], tuple(range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + int(count)))


def _watchdog(environment: Mapping[str, str]) -> float:
    """Return the interval in seconds, where this process is the one that is meant."""
    meant = environment.get("WATCHDOG_PID", "")
    text = environment.get("WATCHDOG_USEC", "")
    if not text.isascii() or not text.isdecimal() or (meant and meant != str(os.getpid())):
        return 0.0
    return int(text) / 1e6


def _line(text: str) -> str:
    return " ".join(text.split())
