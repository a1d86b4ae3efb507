"""What a trainer says over HTTP, and what lineage makes of it.

The same as `davylamp.lineage.Client` says, for trainers in other languages. Each report may be
repeated: what was said before is answered as it stands. A tool call is known by its id.
"""

from typing import Annotated, Literal

import msgspec

from davylamp.attribution import model
from davylamp.attribution.model import Binding, Grade, ToolCall
from davylamp.attribution.operation import Operation
from davylamp.attribution.operations import Operations
from davylamp.errors import AmbiguousNameError, ConfigError
from davylamp.events import Struct

BATCH = 256
SOURCE = "api"
_SHOWN = 16

type _Step = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
type _Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Report(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="do"):
    """Something that is said. Times are seconds since the epoch; without one it is now."""


class Bind(Report, frozen=True, kw_only=True, tag="bind"):
    """A container holds an address; fields as `davylamp.lineage.Client.bind` has them."""

    ip: str
    container: str = ""
    lifecycle_id: str = ""
    container_id: str = ""
    image: str = ""
    run_id: str = ""
    experiment_id: str = ""
    rollout_id: str = ""
    trajectory_id: str = ""
    step: _Step | None = None
    traceparent: str = ""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    grade: Literal["bound", "token", "observed", "declared"] = "bound"
    source: str = SOURCE
    valid_from: _Seconds | None = None


class Release(Report, frozen=True, kw_only=True, tag="release"):
    """An address, or every address of a container or lifecycle, was given up.

    With an address and a lifecycle, only that lifecycle's hold on it.
    """

    ip: str = ""
    container: str = ""
    lifecycle_id: str = ""
    at: _Seconds | None = None


class _Call(Report, frozen=True, kw_only=True):
    """A tool call, in a container that is named by its name, lifecycle or address."""

    tool_call_id: Annotated[str, msgspec.Meta(min_length=1)]
    container: str = ""
    lifecycle_id: str = ""
    ip: str = ""
    tool: str = ""
    step: _Step | None = None
    rollout_id: str = ""
    trajectory_id: str = ""
    traceparent: str = ""
    started: _Seconds | None = None


class Begin(_Call, frozen=True, kw_only=True, tag="begin"):
    """A tool call begins, in a container that is named by its name, lifecycle or address."""


class End(_Call, frozen=True, kw_only=True, tag="end"):
    """A tool call is over. With ``started`` it need not have been begun before."""

    ended: _Seconds | None = None


class Batch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Reports, carried out in order; each is answered by itself."""

    reports: Annotated[tuple[Bind | Release | Begin | End, ...], msgspec.Meta(max_length=BATCH)]


class Bound(Struct, frozen=True, kw_only=True, tag_field="did", tag="bind"):
    """The binding as it stands."""

    binding: Binding


class Released(Struct, frozen=True, kw_only=True, tag_field="did", tag="release"):
    """How many addresses were given up by this, and the newest bindings as they stand."""

    released: int
    bindings: tuple[Binding, ...]


class Called(Struct, frozen=True, kw_only=True, tag_field="did", tag="call"):
    """The tool call as it stands."""

    call: ToolCall


class Refused(Struct, frozen=True, kw_only=True, tag_field="did", tag="nothing"):
    """Why nothing was recorded; ``status`` is what the report by itself would be answered."""

    status: int
    detail: str


type Done = Bound | Released | Called | Refused


class BatchAnswer(Struct, frozen=True, kw_only=True):
    """An answer for each report, in their order."""

    answers: tuple[Bound | Released | Called | Refused, ...]


def carry_out(
    report: Bind | Release | Begin | End, operations: Operations, now: float
) -> Operation[Done]:
    """Do what a report says; raise ConfigError where it is unfit."""
    match report:
        case Bind():
            return (yield from _bind(report, operations, now))
        case Release():
            return (yield from _release(report, operations, now))
        case Begin() | End():
            return (yield from _call(report, operations, now))


def _bind(report: Bind, operations: Operations, now: float) -> Operation[Done]:
    wanted = Binding(
        ip=report.ip,
        lifecycle_id=report.lifecycle_id,
        valid_from=now if report.valid_from is None else report.valid_from,
        container=report.container,
        container_id=report.container_id,
        image=report.image,
        run_id=report.run_id,
        experiment_id=report.experiment_id,
        rollout_id=report.rollout_id,
        trajectory_id=report.trajectory_id,
        step=report.step,
        traceparent=report.traceparent,
        grade=Grade(report.grade),
        source=report.source,
    )
    binding = yield from operations.bind(model.with_labels(wanted, report.labels), now)
    return Bound(binding=binding)


def _release(report: Release, operations: Operations, now: float) -> Operation[Done]:
    at = now if report.at is None else report.at
    subject = report.lifecycle_id or report.container
    if report.ip:
        changed = yield from operations.release(report.ip, report.lifecycle_id, at, now)
        history = yield from operations.history(report.ip)
        return Released(released=int(changed), bindings=history.bindings[-_SHOWN:])
    if not subject:
        raise ConfigError("a release names an ip, a container or a lifecycle_id")
    released = yield from operations.release_container(subject, at, now)
    dossier = yield from operations.look_up(subject)
    return Released(released=released, bindings=dossier.bindings[-_SHOWN:] if dossier else ())


def _call(report: Begin | End, operations: Operations, now: float) -> Operation[Done]:
    subject = report.lifecycle_id or report.container
    if not subject and not report.ip:
        raise ConfigError("a tool call names a container, a lifecycle_id or an ip")
    ended = None
    if isinstance(report, End):
        ended = now if report.ended is None else report.ended
    started = report.started if report.started is not None else (ended or now)
    wanted = model.checked_call(
        ToolCall(
            tool_call_id=report.tool_call_id,
            lifecycle_id=report.lifecycle_id,
            started=started,
            ended=None if ended is None else max(ended, started),
            tool=report.tool,
            step=report.step,
            rollout_id=report.rollout_id,
            trajectory_id=report.trajectory_id,
            traceparent=report.traceparent,
        )
    )
    try:
        lifecycle = yield from operations.resolve(subject, report.ip, started)
    except AmbiguousNameError as error:
        return Refused(status=409, detail=str(error))
    if not lifecycle:
        who = subject or report.ip
        return Refused(status=409, detail=f"{who} is not bound to a container; bind it first")
    known = yield from operations.call(lifecycle, report.tool_call_id)
    call = _as_told(report, known, wanted)
    if call is None:
        said = f"{report.tool_call_id} has not begun; say when it did, in `started`"
        return Refused(status=409, detail=said)
    yield from operations.put_call(msgspec.structs.replace(call, lifecycle_id=lifecycle))
    stored = yield from operations.call(lifecycle, report.tool_call_id)
    return Called(call=stored or msgspec.structs.replace(call, lifecycle_id=lifecycle))


def _as_told(report: Begin | End, known: ToolCall | None, wanted: ToolCall) -> ToolCall | None:
    """Return the call with what is new of it, None for the end of one that nobody knows."""
    if known is None:
        return None if isinstance(report, End) and report.started is None else wanted
    if known.ended is not None or wanted.ended is None:
        return known
    return msgspec.structs.replace(known, ended=max(known.started, wanted.ended))
