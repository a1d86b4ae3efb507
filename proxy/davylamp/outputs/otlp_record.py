"""An event as an OpenTelemetry log record.

Attribute names are those of the semantic conventions where they have one (``source.address``,
``network.*``, ``container.*``, ``gen_ai.tool.*``, ``log.record.uid``); ours begin with
``davylamp.``. A traceparent that the trainer gave becomes the record's trace and span, so that the
alert shows in the trace of the tool call. ``davylamp.eve`` is the whole event.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import assert_never

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import (
    SEVERITY_NUMBER_ERROR,
    SEVERITY_NUMBER_INFO,
    SEVERITY_NUMBER_WARN,
    LogRecord,
    ResourceLogs,
    ScopeLogs,
    SeverityNumber,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from davylamp import __version__
from davylamp.events import (
    ActionEvent,
    AlertEvent,
    AnyEvent,
    FlowFields,
    LineageEvent,
    LineageInfo,
    PackEvent,
    StatsEvent,
    TlsEvent,
    decode,
)
from davylamp.outputs.identity import line_id
from davylamp.outputs.renderings.text import sentence, technique_of, trace_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SEVERITIES = {
    1: (SEVERITY_NUMBER_ERROR, "ERROR"),
    2: (SEVERITY_NUMBER_WARN, "WARN"),
    3: (SEVERITY_NUMBER_WARN, "WARN"),
}
_INFO = (SEVERITY_NUMBER_INFO, "INFO")

type _Attributes = dict[str, str | int]


def export_request(lines: Sequence[bytes], host: str, observed: float) -> ExportLogsServiceRequest:
    """Return the request that exports these EVE lines; ``observed`` is seconds since the epoch."""
    about: _Attributes = {
        "service.name": "davylamp",
        "service.version": __version__,
        "host.name": host,
    }
    now = int(observed * 1_000_000_000)
    records = [log_record(line, now) for line in lines]
    scope = InstrumentationScope(name="davylamp", version=__version__)
    return ExportLogsServiceRequest(
        resource_logs=[
            ResourceLogs(
                resource=Resource(attributes=_pairs(about)),
                scope_logs=[ScopeLogs(scope=scope, log_records=records)],
            )
        ]
    )


def log_record(line: bytes, observed: int) -> LogRecord:
    """Return one EVE line's record; ``observed`` in nanoseconds since the epoch."""
    event = decode(line)
    number, text = _severity(event)
    name, attributes = _describe(event)
    attributes |= {"log.record.uid": line_id(line), "davylamp.eve": line.decode()}
    record = LogRecord(
        time_unix_nano=_nanoseconds(event.timestamp),
        observed_time_unix_nano=observed,
        severity_number=number,
        severity_text=text,
        event_name=f"davylamp.{name}",
        body=AnyValue(string_value=sentence(event)),
        attributes=_pairs(attributes),
    )
    lineage = _lineage_of(event)
    found = trace_of(lineage) if lineage is not None else None
    if found is not None:
        record.trace_id, record.span_id = bytes.fromhex(found[0]), bytes.fromhex(found[1])
    return record


def _lineage_of(event: AnyEvent) -> LineageInfo | None:
    match event:
        case AlertEvent() | LineageEvent() | ActionEvent():
            return event.lineage
        case _:
            return None


def _severity(event: AnyEvent) -> "tuple[SeverityNumber.ValueType, str]":
    return _SEVERITIES.get(event.alert.severity, _INFO) if isinstance(event, AlertEvent) else _INFO


def _describe(event: AnyEvent) -> tuple[str, _Attributes]:
    """Return the event's kind, and what to search by."""
    match event:
        case AlertEvent():
            technique = technique_of(event)
            attributes: _Attributes = {
                "davylamp.action": event.verdict.action.value,
                "davylamp.signature_id": event.alert.signature_id,
                "davylamp.category": event.alert.category,
                "davylamp.confidence": event.alert.confidence,
                "davylamp.technique": event.alert.technique if technique is not None else "",
                "davylamp.incident_id": event.incident_id,
                "tls.client.server_name": event.tls.sni if event.tls is not None else "",
            }
            who = event.lineage or LineageInfo(grade="unknown")
            return "alert", attributes | _flow(event) | _who(who)
        case TlsEvent():
            reason = event.refusal or event.diversion
            sni = event.tls.sni if event.tls is not None else ""
            attributes = {"davylamp.reason": reason, "tls.client.server_name": sni}
            return "tls", attributes | _flow(event)
        case LineageEvent():
            changed: _Attributes = {"davylamp.change": event.change, "source.address": event.ip}
            return "lineage", changed | _who(event.lineage)
        case PackEvent():
            return "pack", {
                "davylamp.change": event.change,
                "davylamp.pack": event.pack,
                "davylamp.pack_version": event.version,
                "davylamp.reason": event.reason,
            }
        case ActionEvent():
            acted: _Attributes = {
                "davylamp.action": event.action.kind,
                "davylamp.status": event.action.status,
                "davylamp.incident_id": event.incident_id,
            }
            return "action", acted | _who(event.lineage or LineageInfo(grade="unknown"))
        case StatsEvent():
            return "stats", {"davylamp.worker": event.worker}
        case _ as never:
            assert_never(never)


def _flow(event: FlowFields) -> _Attributes:
    return {
        "source.address": event.src_ip,
        "source.port": event.src_port,
        "destination.address": event.dest_ip,
        "destination.port": event.dest_port,
        "network.transport": event.proto.lower(),
        "network.type": "ipv6" if ":" in event.src_ip else "ipv4",
        "network.protocol.name": event.app_proto.lower(),
        "davylamp.community_id": event.community_id,
    }


def _who(lineage: LineageInfo) -> _Attributes:
    return {
        "container.id": lineage.container_id,
        "container.name": lineage.container,
        "container.image.name": lineage.image,
        "gen_ai.tool.name": lineage.tool,
        "gen_ai.tool.call.id": lineage.tool_call_id,
        "davylamp.run_id": lineage.run_id,
        "davylamp.experiment_id": lineage.experiment_id,
        "davylamp.rollout_id": lineage.rollout_id,
        "davylamp.trajectory_id": lineage.trajectory_id,
        "davylamp.step": "" if lineage.step is None else lineage.step,
        "davylamp.grade": lineage.grade,
    }


def _pairs(attributes: _Attributes) -> list[KeyValue]:
    """Return the attributes that say something."""
    return [
        KeyValue(
            key=name,
            value=AnyValue(int_value=value)
            if isinstance(value, int)
            else AnyValue(string_value=value),
        )
        for name, value in attributes.items()
        if value != ""
    ]


def _nanoseconds(timestamp: str) -> int:
    """Return RFC 3339 as nanoseconds, without a float's rounding."""
    since = datetime.fromisoformat(timestamp) - _EPOCH
    return since // timedelta(microseconds=1) * 1000
