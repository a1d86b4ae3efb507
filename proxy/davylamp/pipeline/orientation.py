"""Which end of a flow opened it, told from one packet."""

from collections.abc import Callable
from ipaddress import ip_address

from davylamp.flow import Direction
from davylamp.packet import SYN, Packet
from davylamp.policy import Network

_MAX_ADDRESSES = 65_536


class Orientation:
    """Tells a packet's direction from what is known of the site.

    A handshake tells by itself. Else a sandbox is the originator: by the site's networks, or by
    ``inside``, which says of a packed address whether it is behind a training bridge. Where that
    does not tell, it may be known that the packet opens its connection; else the end with the
    higher port is the originator. Ports are a guess: a sandbox may choose them so that it is wrong.
    """

    __slots__ = ("_inside", "_known", "_sandboxes")

    def __init__(
        self, sandboxes: tuple[Network, ...], inside: Callable[[bytes], bool] | None = None
    ) -> None:
        self._sandboxes = sandboxes
        self._inside = inside
        self._known: dict[bytes, bool] = {}

    def of(self, packet: Packet, *, opening: bool = False) -> Direction:
        """Return the direction of the first packet seen of a flow.

        ``opening`` says that it has the first byte that the originator of its connection sends.
        """
        if packet.flags & SYN:
            return Direction.ORIGINATOR if packet.starts_connection else Direction.RESPONDER
        if self._sandboxes or self._inside is not None:
            from_inside = self._is_sandbox(packet.src_addr)
            if from_inside is not self._is_sandbox(packet.dst_addr):
                return Direction.ORIGINATOR if from_inside else Direction.RESPONDER
        if opening or packet.src_port >= packet.dst_port:
            return Direction.ORIGINATOR
        return Direction.RESPONDER

    def forget(self) -> None:
        """Ask anew who is inside: bridges come and go."""
        if self._inside is not None:
            self._known.clear()

    def _is_sandbox(self, address: bytes) -> bool:
        known = self._known.get(address)
        if known is None:
            ip = ip_address(address)
            known = any(ip in network for network in self._sandboxes) or (
                self._inside is not None and self._inside(address)
            )
            if len(self._known) >= _MAX_ADDRESSES:
                self._known.clear()
            self._known[address] = known
        return known
