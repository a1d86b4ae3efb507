"""The nouns of incidents. Times are RFC 3339 in UTC, so that they sort and compare as text.

Every list has a bound (`Bounds`): what a sandbox can make happen again and again is counted, and
only the first of it kept. Members that are empty are left out of the JSON, as in events.
"""

from enum import StrEnum

import msgspec

from davylamp.events import LineageInfo, Struct


class Status(StrEnum):
    """Whether a person has put an incident to rest."""

    OPEN = "open"
    RESOLVED = "resolved"


class Level(StrEnum):
    """How much an incident matters (`davylamp.incidents.severity`)."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Destination(Struct, frozen=True, kw_only=True):
    """An endpoint that was talked to; ``name`` is what the TLS ClientHello called it."""

    ip: str
    port: int
    alerts: int
    name: str = ""


class Matched(Struct, frozen=True, kw_only=True):
    """A signature that matched; ``confidence`` is the best it was met with."""

    signature_id: str
    signature: str
    category: str
    severity: int
    confidence: int
    alerts: int


class Payee(Struct, frozen=True, kw_only=True):
    """A wallet: its keyed digest, and its first and last characters."""

    digest: str
    shown: str
    alerts: int
    coin: str = ""


class Call(Struct, frozen=True, kw_only=True):
    """A tool call behind alerts; ``sure`` is false for one of several that may have been it."""

    tool_call_id: str
    sure: bool
    alerts: int
    tool: str = ""
    step: int | None = None
    rollout_id: str = ""
    trajectory_id: str = ""
    trace_id: str = ""
    span_id: str = ""
    started: str = ""


class Recurrence(Struct, frozen=True, kw_only=True):
    """The same wallet or destination in earlier incidents of the experiment.

    ``times`` counts this incident too. ``runs`` are those of the earlier ``incidents``.
    """

    kind: str
    value: str
    times: int
    experiment_id: str = ""
    incidents: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()


class Moment(Struct, frozen=True, kw_only=True):
    """A line of the timeline: an alert, or what a person did (then ``by`` says who)."""

    at: str
    what: str
    action: str = ""
    to: str = ""
    delivered: bool = False
    tool_call_id: str = ""
    flow_id: int = 0
    by: str = ""


class Resolution(Struct, tag_field="event_type", tag="resolution", frozen=True, kw_only=True):
    """An incident was put to rest by a person, and why."""

    timestamp: str
    incident_id: str
    by: str = ""
    note: str = ""


class Incident(Struct, frozen=True, kw_only=True):
    """All that is known of one incident but its alerts.

    ``subject`` is whose it is (`davylamp.incidents.folding`). ``who`` is the best attribution of
    any alert. ``flows`` counts as far as ``flow_ids`` does. ``kept`` of ``alerts`` are kept whole.
    ``delivered`` counts the alerts whose packet reached its receiver. ``chain_length`` and
    ``chain_head`` are of `davylamp.incidents.chain`.
    """

    id: str
    subject: str
    first_seen: str
    last_seen: str
    severity: Level
    status: Status = Status.OPEN
    title: str = ""
    why: tuple[str, ...] = ()
    who: LineageInfo | None = None
    sources: tuple[str, ...] = ()
    destinations: tuple[Destination, ...] = ()
    signatures: tuple[Matched, ...] = ()
    wallets: tuple[Payee, ...] = ()
    coins: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    recurrence: tuple[Recurrence, ...] = ()
    alerts: int = 0
    kept: int = 0
    flows: int = 0
    flow_ids: tuple[int, ...] = ()
    delivered: int = 0
    actions: dict[str, int] = msgspec.field(default_factory=dict)
    timeline: tuple[Moment, ...] = ()
    evidence: tuple[str, ...] = ()
    packs: tuple[str, ...] = ()
    reopened: int = 0
    resolution: Resolution | None = None
    chain_length: int = 0
    chain_head: str = ""


class Bounds(msgspec.Struct, frozen=True):
    """How much of one incident is kept; alerts in full, and members of each list.

    ``window`` is how many seconds may pass between two alerts of one incident.
    """

    alerts: int = 200
    members: int = 32
    timeline: int = 100
    flows: int = 256
    resolutions: int = 16
    window: float = 600.0


BOUNDS = Bounds()
_decoder = msgspec.json.Decoder(Incident)
_encoder = msgspec.json.Encoder(order="deterministic")


def encode(record: Struct) -> bytes:
    """Return a record as one line of JSON."""
    return _encoder.encode(record)


def decode(raw: bytes | str) -> Incident:
    """Read an incident back; raise msgspec.DecodeError on anything else."""
    return _decoder.decode(raw)
