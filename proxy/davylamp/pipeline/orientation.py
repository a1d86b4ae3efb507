"""Which end of a flow opened it, told from one packet."""

from ipaddress import ip_address

from davylamp.flow import Direction
from davylamp.packet import SYN, Packet
from davylamp.policy import Network

_MAX_ADDRESSES = 65_536


class Orientation:
    """Tells a packet's direction from what is known of the site.

    A handshake tells by itself. Else a sandbox is the originator; where that does not tell, the
    end with the higher port is.
    """

    __slots__ = ("_inside", "_sandboxes")

    def __init__(self, sandboxes: tuple[Network, ...]) -> None:
        self._sandboxes = sandboxes
        self._inside: dict[bytes, bool] = {}

    def of(self, packet: Packet) -> Direction:
        """Return the direction of the first packet seen of a flow."""
        if packet.flags & SYN:
            return Direction.ORIGINATOR if packet.starts_connection else Direction.RESPONDER
        if self._sandboxes:
            from_inside = self._is_sandbox(packet.src_addr)
            if from_inside is not self._is_sandbox(packet.dst_addr):
                return Direction.ORIGINATOR if from_inside else Direction.RESPONDER
        return Direction.ORIGINATOR if packet.src_port >= packet.dst_port else Direction.RESPONDER

    def _is_sandbox(self, address: bytes) -> bool:
        known = self._inside.get(address)
        if known is None:
            ip = ip_address(address)
            known = any(ip in network for network in self._sandboxes)
            if len(self._inside) >= _MAX_ADDRESSES:
                self._inside.clear()
            self._inside[address] = known
        return known
