"""What davylamp says: Suricata-EVE-shaped records, one JSON object a line.

Field names are EVE's where EVE has them, so that existing log pipelines read them; ``mining``,
``evidence`` and ``lineage`` are ours. Members that are empty are left out of the JSON.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec


class Action(StrEnum):
    """What happened to the packet that the event is about.

    ``reject`` is a drop with a TCP reset to both ends.
    """

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    ALERT = "alert"
    DROP = "drop"
    REJECT = "reject"


class Struct(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Base of every record: immutable, empty members omitted."""


class AlertInfo(Struct, frozen=True, kw_only=True):
    """EVE's ``alert`` object; ``severity`` runs from 1 (worst) to 4, ``confidence`` 0 to 100.

    ``technique`` is an ATT&CK technique id such as ``T1496.001``, or empty.
    """

    signature_id: str
    rev: int
    signature: str
    category: str
    severity: int
    confidence: int
    technique: str = ""


class VerdictInfo(Struct, frozen=True, kw_only=True):
    """EVE's ``verdict`` object, with the reason in words.

    ``delivered`` says that the packet which completed the evidence went on to its receiver: policy
    only watches, or the packet was seen after the fact.
    """

    action: Action
    reason: str = ""
    mode: str = ""
    delivered: bool = False


class MiningInfo(Struct, frozen=True, kw_only=True):
    """What kind of mining; ``role`` is the evidence's speaker, ``layers`` outermost first.

    ``wallet`` is whom it pays, masked; ``wallet_digest`` is the same for the same wallet.
    """

    dialect: str
    coin: str = ""
    role: str = ""
    layers: tuple[str, ...] = ()
    wallet: str = ""
    wallet_digest: str = ""


class EvidenceInfo(Struct, frozen=True, kw_only=True):
    """One piece of evidence; ``offset`` counts bytes of that direction's stream from its start.

    ``kind`` says what it does in a session: pieces of different kinds support each other.
    """

    signature_id: str
    direction: str
    offset: int
    length: int
    excerpt: str
    detail: str = ""
    kind: str = ""


class FusionPart(Struct, frozen=True, kw_only=True):
    """One finding of a sum; ``confidence`` up to 99, ``weight`` the same in decibans."""

    signature_id: str
    kind: str
    direction: str
    confidence: int
    weight: float


class FusionInfo(Struct, frozen=True, kw_only=True):
    """What a flow's findings of different kinds amount to together (docs/accuracy.md).

    ``needed`` is the confidence from which policy blocks; ``weight`` is the sum of the parts', and
    ``confidence`` says the same as ``weight``.
    """

    confidence: int
    needed: int
    weight: float
    parts: tuple[FusionPart, ...]


class TlsInfo(Struct, frozen=True, kw_only=True):
    """What the ClientHello shows in the clear."""

    sni: str = ""
    ja4: str = ""
    alpn: tuple[str, ...] = ()
    version: str = ""
    ech: bool = False


class CandidateInfo(Struct, frozen=True, kw_only=True):
    """A tool call that was running when the flow opened; times are RFC 3339."""

    tool_call_id: str
    tool: str = ""
    step: int | None = None
    trajectory_id: str = ""
    traceparent: str = ""
    started: str = ""
    ended: str = ""


class LineageInfo(Struct, frozen=True, kw_only=True):
    """Who: the container and the training work behind a flow, and how sure that is.

    ``grade`` is one of bound, token, observed, declared, stale, unknown (docs/lineage.md).
    ``tool_call_id`` is set only when exactly one tool call is known to have been running;
    otherwise all that may have been are in ``candidates``. ``reason`` says in words why the grade
    is not better.
    """

    grade: str
    reason: str = ""
    container: str = ""
    container_id: str = ""
    image: str = ""
    run_id: str = ""
    experiment_id: str = ""
    rollout_id: str = ""
    trajectory_id: str = ""
    step: int | None = None
    tool_call_id: str = ""
    tool: str = ""
    traceparent: str = ""
    lifecycle_id: str = ""
    source: str = ""
    candidates: tuple[CandidateInfo, ...] = ()


class Event(Struct, tag_field="event_type", frozen=True, kw_only=True):
    """What every event has."""

    timestamp: str


class FlowFields(Event, frozen=True, kw_only=True):
    """The flow part that alert, flow and dns events share."""

    flow_id: int
    flow_start: str
    community_id: str
    src_ip: str
    src_port: int
    dest_ip: str
    dest_port: int
    proto: str
    app_proto: str = ""


class AlertEvent(FlowFields, tag="alert", frozen=True, kw_only=True):
    """One signature matched on one flow; at most one event per flow and signature.

    The first piece of ``evidence`` is this signature's own. Where findings of other kinds were met
    on the flow before, ``fusion`` adds them up, and their evidence follows.
    """

    alert: AlertInfo
    verdict: VerdictInfo
    incident_id: str = ""
    mining: MiningInfo | None = None
    evidence: tuple[EvidenceInfo, ...] = ()
    fusion: FusionInfo | None = None
    tls: TlsInfo | None = None
    lineage: LineageInfo | None = None
    pack: str = ""
    pcap_file: str = ""


class TlsEvent(FlowFields, tag="tls", frozen=True, kw_only=True):
    """TLS that went another way than its client meant: one of two things.

    ``refusal``: the client would not have our certificate, and how it said so. Most only lack our
    authority; what makes a refusal evidence makes an alert of its own. ``diversion``: why the
    connection was refused, and the next to that endpoint goes through the proxies.
    """

    refusal: str = ""
    diversion: str = ""
    tls: TlsInfo | None = None


class StatsEvent(Event, tag="stats", frozen=True, kw_only=True):
    """Counters: the last line of ``replay --json``, and the gateway's heartbeat."""

    packets: int
    bytes: int
    flows: int
    alerts: int
    seconds: float
    worker: str = ""
    counters: dict[str, int] = {}


class LineageEvent(Event, tag="lineage", frozen=True, kw_only=True):
    """A container was bound to an address, or released, or a tool call began or ended.

    Where ``change`` is "attributed", news that came late told whose an alert's flow was: then
    ``before`` is what the alert said, ``lineage`` what is known now, and the rest names the alert.
    """

    change: str
    lineage: LineageInfo
    ip: str = ""
    incident_id: str = ""
    flow_id: int = 0
    community_id: str = ""
    signature_id: str = ""
    before: LineageInfo | None = None


class PackEvent(Event, tag="pack", frozen=True, kw_only=True):
    """What became of a signature pack, or how the one in force is.

    ``change`` is in-force (at the start), switched, refused, returned (to the last good one) or
    expired (it goes on enforcing). The pack is the one in force, or the one that was left.
    ``created`` and ``expires`` are RFC 3339, empty where the pack does not say;
    ``rules_age_seconds`` is since it was made. ``pause_seconds`` is the longest that a worker's
    packets waited for the switch.
    """

    change: str
    pack: str
    version: str
    number: int = 0
    signatures: int = 0
    created: str = ""
    expires: str = ""
    expired: bool = False
    rules_age_seconds: float = 0.0
    reason: str = ""
    pause_seconds: float = 0.0


class ActionInfo(Struct, frozen=True, kw_only=True):
    """What was done about an incident, or undone, and what came of it (docs/actions.md).

    ``kind`` is as in the configuration, ``status`` one of done, failed, would, undone; ``outcome``
    says it in words. ``reason`` and ``severity`` are the incident's.
    """

    kind: str
    status: str
    target: str
    outcome: str = ""
    gateway: str = ""
    attempts: int = 0
    reason: str = ""
    severity: str = ""
    by: str = ""


class ActionEvent(Event, tag="action", frozen=True, kw_only=True):
    """Something was done by policy about an incident, or would have been, or was undone."""

    incident_id: str
    action: ActionInfo
    src_ip: str = ""
    lineage: LineageInfo | None = None


AnyEvent = AlertEvent | TlsEvent | StatsEvent | LineageEvent | ActionEvent | PackEvent

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyEvent)


def encode(event: Event) -> bytes:
    """Return the event as one line of JSON, without the newline."""
    return _encoder.encode(event)


def decode(line: bytes | str) -> AnyEvent:
    """Read one line back; raise msgspec.DecodeError on anything else."""
    event: AnyEvent = _decoder.decode(line)
    return event


def to_builtins(event: AnyEvent) -> dict[str, Any]:
    """Return the event as plain JSON types."""
    result: dict[str, Any] = msgspec.to_builtins(event)
    return result


def rfc3339(epoch: float) -> str:
    """Return seconds since the epoch as RFC 3339 in UTC with microseconds."""
    return datetime.fromtimestamp(epoch, tz=UTC).isoformat(timespec="microseconds")
