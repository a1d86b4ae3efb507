"""What the core tells the shell to do with one packet.

The core decides; capture and enforcement carry out. Nothing here knows how.
"""

from dataclasses import dataclass
from enum import StrEnum

from davylamp.events import AlertEvent
from davylamp.flow import FlowKey, Proto


class Fate(StrEnum):
    """What becomes of a queued packet.

    ``CLEAR`` delivers it and lets the kernel forward the rest of the flow; ``REARM`` delivers it
    and keeps the flow, or brings it back, under inspection; ``DROP`` never delivers it.
    """

    ACCEPT = "accept"
    CLEAR = "clear"
    REARM = "rearm"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Reset:
    """A TCP reset to send, written as its receiver must see it: ``key`` runs sender to receiver.

    ``seq`` is what the receiver expects next, so that RFC 5961 section 3.2 accepts it at once.
    """

    key: FlowKey
    seq: int
    ack: int


@dataclass(frozen=True, slots=True)
class Block:
    """An endpoint that one sandbox may not reach again until the kernel's timeout ends."""

    proto: Proto
    orig_addr: bytes
    resp_addr: bytes
    resp_port: int


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything that follows from one packet.

    ``suspect`` names a cleared flow whose packets should all be looked at for a while.
    """

    fate: Fate
    alerts: tuple[AlertEvent, ...] = ()
    resets: tuple[Reset, ...] = ()
    block: Block | None = None
    suspect: FlowKey | None = None


ACCEPT = Decision(Fate.ACCEPT)
CLEAR = Decision(Fate.CLEAR)
REARM = Decision(Fate.REARM)
DROP = Decision(Fate.DROP)
