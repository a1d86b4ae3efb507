"""What the core tells the shell to do with one packet.

The core decides; capture and enforcement carry out. Nothing here knows how.
"""

from dataclasses import dataclass
from enum import StrEnum

from davylamp.events import AlertEvent, TlsEvent
from davylamp.flow import FlowKey, Proto, format_address


class Fate(StrEnum):
    """What becomes of a queued packet.

    ``CLEAR`` delivers it and lets the kernel forward the rest of the flow, but for what begins like
    a request; ``TRUST`` does without that exception. ``REARM`` delivers it and keeps the flow, or
    brings it back, under inspection; ``DROP`` never delivers it.
    """

    ACCEPT = "accept"
    CLEAR = "clear"
    TRUST = "trust"
    REARM = "rearm"
    DROP = "drop"

    @property
    def lets_go(self) -> bool:
        """Whether the kernel has the flow from here on."""
        return self is Fate.CLEAR or self is Fate.TRUST


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

    @property
    def endpoint(self) -> "Endpoint":
        """Whom it keeps the sandbox from."""
        return Endpoint(self.proto, self.resp_addr, self.resp_port)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A packed address and port that somebody listens on, whoever asks."""

    proto: Proto
    address: bytes
    port: int

    def __str__(self) -> str:
        shown = format_address(self.address)
        host = f"[{shown}]" if len(self.address) == 16 else shown
        return f"{self.proto.name.lower()}/{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class NameBinding:
    """A trusted name's address, as one sandbox was told it, good for ``seconds``.

    ``orig_addr`` is unspecified (all zeros) where the sandbox asked over the other family, so that
    its address in this one is not known: then the binding is everybody's.
    """

    orig_addr: bytes
    resp_addr: bytes
    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Diversion:
    """An endpoint that one sandbox reaches through the proxies from now on, and why."""

    orig_addr: bytes
    resp_addr: bytes
    resp_port: int
    event: TlsEvent


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything that follows from one packet.

    ``suspect`` names a cleared flow whose packets should all be looked at for a while.
    ``bindings`` must be known to the kernel before the packet is delivered. ``replacement`` is the
    packet to deliver in its place, of the same length.
    """

    fate: Fate
    alerts: tuple[AlertEvent, ...] = ()
    resets: tuple[Reset, ...] = ()
    block: Block | None = None
    suspect: FlowKey | None = None
    diversion: Diversion | None = None
    bindings: tuple[NameBinding, ...] = ()
    replacement: bytes | None = None

    @property
    def has_consequences(self) -> bool:
        """Whether there is more to do than to give the packet its fate."""
        return bool(self.alerts or self.resets or self.block or self.suspect or self.diversion)


ACCEPT = Decision(Fate.ACCEPT)
CLEAR = Decision(Fate.CLEAR)
TRUST = Decision(Fate.TRUST)
REARM = Decision(Fate.REARM)
DROP = Decision(Fate.DROP)
