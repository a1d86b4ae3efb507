"""What the API answers. Times are RFC 3339 in UTC unless a field's name says seconds."""

from msgspec.structs import replace

from davylamp.api.scopes import Scope
from davylamp.attribution.model import Binding, ToolCall
from davylamp.events import AlertEvent, LineageInfo, Struct
from davylamp.incidents.model import Destination, Incident, Level, Matched, Status


class SessionView(Struct, frozen=True, kw_only=True):
    """What the caller may do, as the log-in has it; ``seconds`` until it is over."""

    scopes: tuple[Scope, ...]
    seconds: float | None = None


class WorkerHealth(Struct, frozen=True, kw_only=True):
    """A child process of the gateway."""

    name: str
    alive: bool
    ready: bool
    restarts: int


class LineageHealth(Struct, frozen=True, kw_only=True):
    """The snapshot that flows are attributed with.

    ``confirmed_seconds`` is how long ago the store confirmed it, None before the first time.
    """

    connected: bool
    addresses: int
    reloads: int
    confirmed_seconds: float | None = None
    error: str = ""


class RedisHealth(Struct, frozen=True, kw_only=True):
    """The store, asked just now."""

    url: str
    answers: bool
    milliseconds: float | None = None
    error: str = ""


class SourceHealth(Struct, frozen=True, kw_only=True):
    """Where bindings come from: a writer as it names itself, or something the gateway follows.

    ``following`` is None for a writer of its own, as a trainer is; else whether what it wrote
    agrees with what runs, and ``error`` says why it does not. ``changes`` are those read since the
    start.
    """

    name: str
    changes: int
    last: str = ""
    following: bool | None = None
    error: str = ""


class RulesHealth(Struct, frozen=True, kw_only=True):
    """The kernel's rules; ``age_seconds`` since they were put in force, None before that."""

    table: str
    mode: str
    exception_policy: str
    age_seconds: float | None = None


class PackBrief(Struct, frozen=True, kw_only=True):
    """The signature pack in force."""

    name: str
    version: str
    signatures: int


class Health(Struct, frozen=True, kw_only=True):
    """How the gateway is; ``problems`` says in words why it is not ``ok``."""

    ok: bool
    version: str
    at: str
    uptime_seconds: float
    workers: tuple[WorkerHealth, ...]
    lineage: LineageHealth
    redis: RedisHealth
    sources: tuple[SourceHealth, ...]
    rules: RulesHealth
    pack: PackBrief
    problems: tuple[str, ...] = ()


class IncidentBrief(Struct, frozen=True, kw_only=True):
    """An incident in a list: who, what, why, how sure, and what became of it."""

    id: str
    title: str
    severity: Level
    status: Status
    first_seen: str
    last_seen: str
    alerts: int
    flows: int
    delivered: int
    actions: dict[str, int]
    why: tuple[str, ...] = ()
    who: LineageInfo | None = None
    sources: tuple[str, ...] = ()
    destination: Destination | None = None
    destinations: int = 0
    signature: Matched | None = None
    reopened: int = 0


class IncidentPage(Struct, frozen=True, kw_only=True):
    """Incidents, newest alert first; ``next`` is the ``after`` of the next page, if there is one.

    A page of a narrow filter may be short, or empty, and yet have a next one.
    """

    incidents: tuple[IncidentBrief, ...]
    next: str = ""


class IncidentView(Struct, frozen=True, kw_only=True):
    """An incident, and the alerts of it that were kept whole."""

    incident: Incident
    alerts: tuple[AlertEvent, ...]


class PacketView(Struct, frozen=True, kw_only=True):
    """A packet's transport payload as it was sent: ``payload`` is hex, of ``length`` bytes."""

    at: str
    src_ip: str
    src_port: int
    dest_ip: str
    dest_port: int
    proto: str
    length: int
    payload: str


class PacketPage(Struct, frozen=True, kw_only=True):
    """The packets behind an incident, in order of time; ``missing`` says what is not here."""

    packets: tuple[PacketView, ...]
    missing: tuple[str, ...] = ()


class LineagePage(Struct, frozen=True, kw_only=True):
    """The current bindings of the addresses changed last, newest first."""

    bindings: tuple[Binding, ...]


class DossierView(Struct, frozen=True, kw_only=True):
    """What is on record about a container, lifecycle or address.

    Of each list the newest are here; ``left_out`` counts the rest. ``record`` is the container's
    hash as any Redis client sees it.
    """

    subject: str
    kind: str
    container: str
    lifecycle_id: str
    record: dict[str, str]
    bindings: tuple[Binding, ...]
    calls: tuple[ToolCall, ...]
    alerts: tuple[AlertEvent, ...]
    left_out: int = 0


class FlowRecord(Struct, frozen=True, kw_only=True):
    """A flow on which something was found, or that was led another way.

    ``action`` is the gravest of its verdicts, ``what`` the title of the finding behind it.
    """

    flow_id: int
    community_id: str
    at: str
    opened: str
    src_ip: str
    src_port: int
    dest_ip: str
    dest_port: int
    proto: str
    action: str
    what: str
    app_proto: str = ""
    name: str = ""
    signatures: tuple[str, ...] = ()
    incident_id: str = ""
    delivered: bool = False
    lineage: LineageInfo | None = None


class FlowPage(Struct, frozen=True, kw_only=True):
    """The flows judged last, newest first, of the ``kept`` that are remembered."""

    flows: tuple[FlowRecord, ...]
    kept: int


class PackSignature(Struct, frozen=True, kw_only=True):
    """One signature of the pack."""

    id: str
    rev: int
    title: str
    category: str
    dialect: str
    maturity: str
    confidence: int
    severity: int
    technique: str = ""
    coins: tuple[str, ...] = ()


class PackView(Struct, frozen=True, kw_only=True):
    """A pack with its signatures; ``lists`` are its lists of names and how many each has."""

    name: str
    version: str
    signatures: tuple[PackSignature, ...]
    lists: dict[str, int]


class PackPage(Struct, frozen=True, kw_only=True):
    """The packs in force."""

    packs: tuple[PackView, ...]


class WorkerStats(Struct, frozen=True, kw_only=True):
    """What a worker said last: counted since it started, ``seconds`` ago."""

    worker: str
    at: str
    seconds: float
    packets: int
    bytes: int
    flows: int
    alerts: int
    counters: dict[str, int]


class VerdictCount(Struct, frozen=True, kw_only=True):
    """How many alerts of a category met with an action, since the gateway started."""

    action: str
    category: str
    alerts: int


class Sample(Struct, frozen=True, kw_only=True):
    """Means over the time from ``at`` on: a second's packets, bytes and new flows, inspected."""

    at: str
    packets: float
    bytes: float
    flows: float


class Stats(Struct, frozen=True, kw_only=True):
    """Throughput and verdicts; ``series`` is oldest first, a sample each ``series_seconds``.

    ``cleared`` counts flows that were judged clean and left to the kernel.
    """

    at: str
    packets: int
    bytes: int
    flows: int
    cleared: int
    verdicts: tuple[VerdictCount, ...]
    workers: tuple[WorkerStats, ...]
    series_seconds: float
    series: tuple[Sample, ...]


class Hello(Struct, frozen=True, kw_only=True):
    """The first event of a stream: from here on nothing is missed."""

    at: str
    version: str


def brief(incident: Incident) -> IncidentBrief:
    """Return an incident as a list has it."""
    who = incident.who
    gravest = min(
        incident.signatures, key=lambda one: (one.severity, -one.confidence), default=None
    )
    return IncidentBrief(
        id=incident.id,
        title=incident.title,
        severity=incident.severity,
        status=incident.status,
        first_seen=incident.first_seen,
        last_seen=incident.last_seen,
        alerts=incident.alerts,
        flows=incident.flows,
        delivered=incident.delivered,
        actions=incident.actions,
        why=incident.why,
        who=None if who is None else replace(who, candidates=()),
        sources=incident.sources[:4],
        destination=incident.destinations[0] if incident.destinations else None,
        destinations=len(incident.destinations),
        signature=gravest,
        reopened=incident.reopened,
    )
