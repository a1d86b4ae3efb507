"""What becomes of a flow that a verdict blocks, and of what it still sends."""

from davylamp.decision import ACCEPT, DROP, Block, Decision, Fate, Reset
from davylamp.events import Action, AlertEvent
from davylamp.flow import Direction
from davylamp.flowtable import Flow
from davylamp.packet import RST, SYN, Packet
from davylamp.policy import Verdict
from davylamp.resets import reset_to_sender


def blocked(
    flow: Flow,
    alerts: tuple[AlertEvent, ...],
    verdict: Verdict,
    resets: tuple[Reset, ...],
    *,
    sampled: bool,
) -> Decision:
    """Block a flow; ``resets`` end it where it is to be rejected.

    Of a packet that is only a ``sampled`` copy the original has passed.
    """
    flow.blocked = verdict.action
    key = flow.key
    return Decision(
        Fate.ACCEPT if sampled else Fate.DROP,
        alerts,
        resets if verdict.action is Action.REJECT else (),
        Block(key.proto, key.orig_addr, key.resp_addr, key.resp_port)
        if verdict.block_endpoint
        else None,
    )


def further(packet: Packet, flow: Flow, direction: Direction, *, sampled: bool) -> Decision:
    """Refuse what a blocked flow still sends; whoever sends it has not heard of its end."""
    if sampled:
        return ACCEPT
    if flow.blocked is Action.REJECT and packet.payload and not packet.flags & (SYN | RST):
        return Decision(Fate.DROP, resets=(reset_to_sender(flow, direction, packet),))
    return DROP
