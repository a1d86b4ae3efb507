"""Which TCP resets end a flow at both ends at once.

A reset is believed only if its sequence number is exactly the one its receiver expects next
(RFC 5961 section 3.2), so the numbers come from what was delivered, not from what was sent.
"""

from davylamp.decision import Reset
from davylamp.flow import Direction, TcpFlag
from davylamp.flowtable import Flow
from davylamp.packet import Packet

_WRAP = 2**32


def resets_for(
    flow: Flow, direction: Direction, packet: Packet, expected: int, *, delivered: bool
) -> tuple[Reset, ...]:
    """Return the resets to both ends of ``flow`` for ``packet``, which runs in ``direction``.

    Its receiver expects ``expected``, unless the packet was ``delivered`` (a sampled copy): then it
    expects what follows. Its sender expects what it acknowledged, or what the other direction has
    delivered since.
    """
    forward = flow.key if direction is Direction.ORIGINATOR else flow.key.reversed()
    backward = forward.reversed()
    if packet.flags & TcpFlag.SYN:  # RFC 9293 section 3.10.7.3: SYN-SENT checks the ACK instead
        return (Reset(backward, 0, (packet.seq + 1) % _WRAP),)
    if delivered:
        expected = (packet.seq + len(packet.payload)) % _WRAP
    sender_expects = {packet.ack}
    if other := flow.streams.get(direction.opposite):
        sender_expects.add(other.next_seq)
    return (
        Reset(forward, expected, packet.ack),
        *(Reset(backward, seq, expected) for seq in sorted(sender_expects)),
    )
