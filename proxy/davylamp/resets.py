"""Which TCP resets end a flow at both ends at once.

A reset is believed only if its sequence number is exactly the one its receiver expects next
(RFC 5961 section 3.2), so the numbers come from what was delivered, not from what was sent. Where
two numbers are possible both are sent: the wrong one earns a challenge ACK, no more.
"""

from davylamp.decision import Reset
from davylamp.flow import Direction, FlowKey
from davylamp.flowtable import Flow
from davylamp.packet import ACK, RST, SYN, Packet


def resets_for(
    flow: Flow, direction: Direction, packet: Packet, expected: int, *, delivered: bool
) -> tuple[Reset, ...]:
    """Return the resets to both ends of ``flow`` for ``packet``, which runs in ``direction``.

    Its receiver expects ``expected``, unless the packet was ``delivered`` (a sampled copy): then it
    expects what follows. Its sender expects what it acknowledged, or what the other direction has
    delivered since.
    """
    key = flow.key
    forward = key if direction is Direction.ORIGINATOR else key.reversed()
    backward = forward.reversed()
    if packet.flags & SYN:
        return _resets_in_handshake(packet, forward, backward)
    receiver_expects = packet.end if delivered else expected
    sender_expects = {packet.ack}
    if other := flow.stream(direction.opposite):
        sender_expects.add(other.next_seq)
    return (
        Reset(forward, receiver_expects, packet.ack),
        *(Reset(backward, seq, receiver_expects) for seq in sorted(sender_expects)),
    )


def reset_to_sender(flow: Flow, direction: Direction, packet: Packet) -> Reset:
    """Return the reset that answers a packet of a flow that was ended before (it has an ACK).

    The sender cannot have heard of the end: it still sends, and expects what it acknowledges.
    """
    key = flow.key
    backward = key.reversed() if direction is Direction.ORIGINATOR else key
    return Reset(backward, packet.ack, packet.end)


def resets_for_lost(packet: Packet, there: int | None, back: int | None) -> tuple[Reset, ...]:
    """Return the resets to both ends for a packet of a flow of which only this is remembered.

    Its receiver expects ``there``, its sender ``back``, unless more has passed unseen since.
    """
    forward = packet.flow_key
    backward = forward.reversed()
    if packet.flags & RST:
        return ()
    if packet.flags & SYN:
        return _resets_in_handshake(packet, forward, backward)
    receiver_expects = {packet.seq} | ({there} if there is not None else set())
    sender_expects = {packet.ack} | ({back} if back is not None else set())
    return (
        *(Reset(forward, seq, packet.ack) for seq in sorted(receiver_expects)),
        *(Reset(backward, seq, packet.seq) for seq in sorted(sender_expects)),
    )


def _resets_in_handshake(packet: Packet, forward: FlowKey, backward: FlowKey) -> tuple[Reset, ...]:
    """Handle data in a SYN: RFC 9293 section 3.10.7.3 checks a reset's ACK in SYN-SENT.

    The receiver of a SYN that was dropped knows of no connection. A SYN-ACK's receiver is in
    SYN-SENT, its sender in SYN-RECEIVED, which checks the sequence number as ever.
    """
    if packet.flags & ACK:
        return (Reset(forward, packet.seq, packet.ack), Reset(backward, packet.ack, packet.start))
    return (Reset(backward, 0, packet.start),)
