"""What the gateway says to its workers, and what they answer about packs: JSON lines.

The first line is the brief. Then come orders: prepare a pack beside the one in force; switch to
it; or drop it. A worker answers each, by number. Nothing else of a worker's changes while it runs.
"""

import msgspec

from davylamp.config import GatewayConfig
from davylamp.events import (
    AlertEvent,
    AnyEvent,
    Event,
    LineageEvent,
    PackEvent,
    StatsEvent,
    TlsEvent,
)
from davylamp.updates.loading import PackSource


class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker begins with."""

    config: GatewayConfig
    pack: PackSource


class ForkOrder(msgspec.Struct, frozen=True, kw_only=True, tag="fork"):
    """To the zygote, with a descriptor: become this worker, and talk over that."""

    kind: str
    number: int


class LoadOrder(msgspec.Struct, frozen=True, kw_only=True, tag="load"):
    """To the zygote: this is the pack of workers that are forked from now on."""

    pack: PackSource


type ZygoteOrder = ForkOrder | LoadOrder


class Order(msgspec.Struct, frozen=True, kw_only=True, tag_field="order"):
    """Base of what follows; a pack is known by ``number`` between the gateway and its workers."""

    number: int


class PrepareOrder(Order, frozen=True, kw_only=True, tag="prepare"):
    """Compile a pack, and try it on so many new flows beside the one in force."""

    source: PackSource
    flows: int = 0


class ReportOrder(Order, frozen=True, kw_only=True, tag="report"):
    """Say how the trial goes."""


class SwitchOrder(Order, frozen=True, kw_only=True, tag="switch"):
    """Judge new flows by the prepared pack from now on."""


class DropOrder(Order, frozen=True, kw_only=True, tag="drop"):
    """Forget the prepared pack."""


class DrainOrder(Order, frozen=True, kw_only=True, tag="drain"):
    """End once nothing waits any more: another process gets what comes from now on."""

    number: int = 0


class AnswerRecord(Order, frozen=True, kw_only=True, tag="answer"):
    """To a mitmproxy worker: whether the name in its question of that number was given out."""

    bound: bool


type AnyOrder = PackOrder | DrainOrder | AnswerRecord
type PackOrder = PrepareOrder | ReportOrder | SwitchOrder | DropOrder

_orders = msgspec.json.Decoder(
    PrepareOrder | ReportOrder | SwitchOrder | DropOrder | DrainOrder | AnswerRecord
)


def decode_order(line: bytes) -> AnyOrder:
    """Read one line of the gateway's; raise msgspec.DecodeError on anything else."""
    order: AnyOrder = _orders.decode(line)
    return order


class TrialReport(msgspec.Struct, frozen=True, kw_only=True):
    """How a pack did beside the live one: so many flows, and by signature what it alone found.

    ``missing`` is what the live pack alone found. ``seconds`` were spent in the trial's inspection
    and ``live_seconds`` in that of the same bytes by the live pack.
    """

    flows: int = 0
    errors: int = 0
    extra: dict[str, int] = {}
    missing: dict[str, int] = {}
    seconds: float = 0.0
    live_seconds: float = 0.0


class PackReply(Event, tag="pack-reply", frozen=True, kw_only=True):
    """A worker's answer to an order: ``stage`` is prepared, reported, switched or failed."""

    number: int
    stage: str
    digest: str = ""
    reason: str = ""
    pause_seconds: float = 0.0
    trial: TrialReport | None = None


_said = msgspec.json.Decoder(
    AlertEvent | TlsEvent | StatsEvent | LineageEvent | PackEvent | PackReply
)


def decode_said(line: bytes) -> AnyEvent | PackReply:
    """Read one line of a worker's; raise msgspec.DecodeError on anything else."""
    said: AnyEvent | PackReply = _said.decode(line)
    return said
