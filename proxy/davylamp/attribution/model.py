"""The nouns of lineage: who held an address and when, and which tool calls ran meanwhile.

Times are seconds since the epoch. A *lifecycle* is one start of one container (container id and
start time), because names, addresses and even container ids come round again.
"""

import ipaddress
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from davylamp.errors import ConfigError
from davylamp.events import CandidateInfo, LineageEvent, LineageInfo, Struct, rfc3339

LABEL_PREFIX = "davylamp."
LABELS = ("run_id", "experiment_id", "rollout_id", "trajectory_id", "step", "traceparent")
"""Container labels that davylamp reads, without their prefix."""

TEXT_LIMIT = 512
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
LABELS_LIMIT = 64


class Grade(StrEnum):
    """How sure an attribution is, best first.

    ``bound``: the trainer or orchestrator set the address before the container started.
    ``token``: the sandbox proved who it is. ``observed``: a container runtime's event said so.
    ``declared``: only labels or a person say so. ``stale``: the best guess, which may be out of
    date. ``unknown``: nobody is known to have held the address.
    """

    BOUND = "bound"
    TOKEN = "token"  # noqa: S105 - a grade, not a secret
    OBSERVED = "observed"
    DECLARED = "declared"
    STALE = "stale"
    UNKNOWN = "unknown"

    @property
    def rank(self) -> int:
        """0 for the best grade, growing as certainty falls."""
        return _RANKS[self]

    def certain(self) -> bool:
        """Whether the grade claims to be right, not merely likely."""
        return self.rank < Grade.STALE.rank


_RANKS = {grade: rank for rank, grade in enumerate(Grade)}


class Binding(Struct, frozen=True, kw_only=True):
    """One container's hold on one address from ``valid_from`` until before ``valid_to``.

    ``serial`` names the binding within its address and ``version`` grows with every change to
    it; the store sets both, and all below them, and writers leave them as they are. ``aliases``
    are the ids that other sources have for the lifecycle. ``claims`` is what each source said,
    where there was more than one. ``cut`` says that ``valid_to`` is where the next holder began,
    and then ``released`` is the end that was said, if any was.
    """

    ip: str
    lifecycle_id: str
    valid_from: float
    valid_to: float | None = None
    container: str = ""
    container_id: str = ""
    image: str = ""
    run_id: str = ""
    experiment_id: str = ""
    rollout_id: str = ""
    trajectory_id: str = ""
    step: int | None = None
    traceparent: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    grade: Grade = Grade.DECLARED
    source: str = ""
    serial: int = 0
    version: int = 0
    aliases: tuple[str, ...] = ()
    claims: tuple["Binding", ...] = ()
    cut: bool = False
    released: float | None = None

    @property
    def lifecycles(self) -> tuple[str, ...]:
        """Every id of the lifecycle; the first is the one to call it by."""
        return (self.lifecycle_id, *self.aliases)

    @property
    def said_end(self) -> float | None:
        """When the address was given up, as far as anybody said, whoever took it before that."""
        return self.released if self.cut else self.valid_to

    @property
    def empty(self) -> bool:
        """Whether the interval holds no instant: a release seen before its bind."""
        return self.valid_to is not None and self.valid_to <= self.valid_from

    def covers(self, at: float) -> bool:
        """Whether the address was held at that time."""
        return self.valid_from <= at and (self.valid_to is None or at < self.valid_to)


class ToolCall(Struct, frozen=True, kw_only=True):
    """One tool call of one container; ``ended`` is None while it runs.

    ``ip`` is the address by which the container was named, where it was not by a name. ``moved``
    says in a change that it turned out to be of another lifecycle.
    """

    tool_call_id: str
    lifecycle_id: str
    started: float
    ended: float | None = None
    tool: str = ""
    step: int | None = None
    rollout_id: str = ""
    trajectory_id: str = ""
    traceparent: str = ""
    ip: str = ""
    moved: bool = False

    def running(self, at: float) -> bool:
        """Whether the call ran at that time; its last instant counts."""
        ran = self.started <= at and (self.ended is None or at <= self.ended)
        return ran and not self.moved


class BindingChange(Struct, tag_field="change", tag="binding", frozen=True, kw_only=True):
    """One binding of one address is now this; a later ``version`` of it supersedes."""

    binding: Binding


class ToolCallChange(Struct, tag_field="change", tag="tool_call", frozen=True, kw_only=True):
    """One tool call began or ended; one that has ended never changes again, but may be moved."""

    call: ToolCall


Change = BindingChange | ToolCallChange


@dataclass(frozen=True, slots=True)
class Attribution:
    """Who held an address at one time, and what was running there.

    ``call`` is set only when exactly one tool call is known to have been running. ``reason`` is
    empty when the grade is certain.
    """

    grade: Grade
    binding: Binding | None = None
    call: ToolCall | None = None
    candidates: tuple[ToolCall, ...] = ()
    reason: str = ""

    def info(self) -> LineageInfo:
        """Return the ``lineage`` object of an event; the call's fields win over the binding's."""
        binding, call = self.binding, self.call
        if binding is None:
            return LineageInfo(grade=self.grade, reason=self.reason)
        return msgspec.structs.replace(
            binding_info(binding),
            grade=self.grade,
            reason=self.reason,
            rollout_id=(call and call.rollout_id) or binding.rollout_id,
            trajectory_id=(call and call.trajectory_id) or binding.trajectory_id,
            step=call.step if call is not None and call.step is not None else binding.step,
            traceparent=(call and call.traceparent) or binding.traceparent,
            tool_call_id=call.tool_call_id if call else "",
            tool=call.tool if call else "",
            candidates=tuple(candidate_info(each) for each in self.candidates),
        )


def binding_info(binding: Binding) -> LineageInfo:
    """Return the binding as the ``lineage`` object of an event, without a tool call."""
    return LineageInfo(
        grade=binding.grade,
        container=binding.container,
        container_id=binding.container_id,
        image=binding.image,
        run_id=binding.run_id,
        experiment_id=binding.experiment_id,
        rollout_id=binding.rollout_id,
        trajectory_id=binding.trajectory_id,
        step=binding.step,
        traceparent=binding.traceparent,
        lifecycle_id=binding.lifecycle_id,
        source=binding.source,
    )


def candidate_info(call: ToolCall) -> CandidateInfo:
    """Return a tool call as one of an event's candidates."""
    return CandidateInfo(
        tool_call_id=call.tool_call_id,
        tool=call.tool,
        step=call.step,
        trajectory_id=call.trajectory_id,
        traceparent=call.traceparent,
        started=rfc3339(call.started),
        ended="" if call.ended is None else rfc3339(call.ended),
    )


def change_event(change: Change, at: float) -> LineageEvent:
    """Return a change as a ``lineage`` event stamped with the given time."""
    match change:
        case BindingChange(binding=binding):
            word = "bound" if binding.valid_to is None else "released"
            info = binding_info(binding)
            return LineageEvent(timestamp=rfc3339(at), change=word, lineage=info, ip=binding.ip)
        case ToolCallChange(call=call):
            word = "tool_call_started" if call.ended is None else "tool_call_ended"
            if call.moved:
                word = "tool_call_moved"
            info = LineageInfo(
                grade=Grade.DECLARED,
                lifecycle_id=call.lifecycle_id,
                tool_call_id=call.tool_call_id,
                tool=call.tool,
                step=call.step,
                rollout_id=call.rollout_id,
                trajectory_id=call.trajectory_id,
                traceparent=call.traceparent,
            )
            return LineageEvent(timestamp=rfc3339(at), change=word, lineage=info)


def lifecycle_id(container: str, started: float) -> str:
    """Return the lifecycle id of a container (id or name) started at that time."""
    return f"{container}@{started:.6f}"


def canonical_ip(text: str) -> str:
    """Return an address in the one form used as a key; raise ConfigError on anything else.

    An IPv6 zone is dropped and an IPv4-mapped address becomes IPv4, as packets show them.
    """
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        raise ConfigError(f"{text!r} is not an IP address; write 10.0.0.7 or fd00::7") from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_address(address.packed))


def canonical_address(text: str) -> str:
    """Return what can be held in the one form used as a key; raise ConfigError on anything else.

    That is an IP address, or ``HOST/ADDRESS``: an address that means something on one host only,
    because others use the same behind their own translation (see `hosts`).
    """
    host, slash, ip = text.strip().rpartition("/")
    return address_on(host, ip) if slash else canonical_ip(text)


def address_on(host: str, ip: str) -> str:
    """Return the form of an address that is one host's own; raise ConfigError if either is none."""
    if not _HOST.fullmatch(host):
        raise ConfigError(
            f"{host[:80]!r} cannot name a host; take 1 to 63 of A-Z, a-z, 0-9, '.', '_' and '-'"
        )
    return f"{host}/{canonical_ip(ip)}"


def routable(address: str) -> bool:
    """Tell whether packets may show this address, or whether it is one host's own."""
    return "/" not in address


def with_labels(
    binding: Binding, labels: Mapping[str, str], names: Mapping[str, str] | None = None
) -> Binding:
    """Return the binding with its empty fields filled from a container's labels.

    All labels are kept in ``labels``; those of the ``davylamp.`` contract, or which ``names`` gives
    for a field, also fill the field. A step that is not a whole number is left out.
    """
    filled: dict[str, object] = {"labels": {**binding.labels, **labels}}
    for name in LABELS:
        value = labels.get(names[name] if names is not None else LABEL_PREFIX + name, "")
        if not value or getattr(binding, name):
            continue
        if name != "step":
            filled[name] = value
        elif binding.step is None and value.isascii() and value.isdigit() and len(value) < 19:
            filled[name] = int(value)
    return msgspec.structs.replace(binding, **filled)


def checked_binding(binding: Binding) -> Binding:
    """Return the binding with its address in canonical form; raise ConfigError if it is unfit."""
    _check_texts(binding)
    _check_time("valid_from", binding.valid_from)
    if len(binding.labels) > LABELS_LIMIT:
        raise ConfigError(f"a binding takes at most {LABELS_LIMIT} labels")
    for name, value in binding.labels.items():
        _check_text("a label's name", name)
        _check_text(f"label {name}", value)
    if not binding.container and not binding.lifecycle_id:
        raise ConfigError("a binding names a container or a lifecycle id")
    return msgspec.structs.replace(binding, ip=canonical_address(binding.ip))


def checked_call(call: ToolCall) -> ToolCall:
    """Return the call; raise ConfigError when a field is unfit to be stored."""
    _check_texts(call)
    _check_time("started", call.started)
    if not call.tool_call_id:
        raise ConfigError("a tool call needs a tool_call_id")
    if call.ended is not None:
        _check_time("ended", call.ended)
    return call


def _check_texts(record: Binding | ToolCall) -> None:
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if isinstance(value, str):
            _check_text(name, value)


def _check_text(name: str, value: str) -> None:
    if len(value) > TEXT_LIMIT:
        raise ConfigError(f"{name[:60]} is longer than {TEXT_LIMIT} characters")
    if not value.isprintable():  # also refuses lone surrogates, which no JSON can carry
        raise ConfigError(f"{name[:60]!r} has characters that cannot be printed: {value[:60]!r}")


def _check_time(name: str, value: float) -> None:
    if not math.isfinite(value) or value < 0:
        raise ConfigError(f"{name} must be seconds since the epoch, not {value}")


_binding_decoder = msgspec.json.Decoder(Binding)
_call_decoder = msgspec.json.Decoder(ToolCall)
_change_decoder = msgspec.json.Decoder(Change)
encode = msgspec.json.Encoder().encode
"""Return a Binding, ToolCall or Change as one line of JSON."""


def decode_binding(raw: bytes | str) -> Binding:
    """Read a binding back; raise msgspec.DecodeError on anything else."""
    return _binding_decoder.decode(raw)


def decode_call(raw: bytes | str) -> ToolCall:
    """Read a tool call back; raise msgspec.DecodeError on anything else."""
    return _call_decoder.decode(raw)


def decode_change(raw: bytes | str) -> Change:
    """Read a change back; raise msgspec.DecodeError on anything else."""
    change: Change = _change_decoder.decode(raw)
    return change
