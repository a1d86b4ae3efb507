"""What the renderings share: an event in one sentence, a trace in two ids, ATT&CK in two parts."""

import re
from dataclasses import dataclass
from typing import assert_never

from davylamp.events import (
    ActionEvent,
    AlertEvent,
    AnyEvent,
    LineageEvent,
    LineageInfo,
    PackEvent,
    StatsEvent,
    TlsEvent,
)
from davylamp.wording import endpoint

# https://www.w3.org/TR/trace-context/#traceparent-header-field-values
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Technique:
    """An ATT&CK technique id, and its sub-technique's where there is one."""

    technique: str
    sub: str = ""


def technique_of(alert: AlertEvent) -> Technique | None:
    """Return what ATT&CK calls it, or None where the signature does not say."""
    identity = alert.alert.technique
    if not identity:
        return None
    parent, dot, _ = identity.partition(".")
    return Technique(parent, identity if dot else "")


def trace_of(lineage: LineageInfo) -> tuple[str, str] | None:
    """Return the trace id and span id of a W3C traceparent, or None where it is not one."""
    found = _TRACEPARENT.fullmatch(lineage.traceparent)
    return (found[1], found[2]) if found is not None else None


def sentence(event: AnyEvent) -> str:
    """Return the event in a few words, for whoever reads only the message."""
    match event:
        case AlertEvent():
            who = event.lineage.container if event.lineage is not None else ""
            action, target = event.verdict.action, endpoint(event.dest_ip, event.dest_port)
            return f"{action}: {event.alert.signature} from {who or event.src_ip} to {target}"
        case TlsEvent():
            return _tls(event)
        case LineageEvent():
            return f"lineage {event.change}: {event.lineage.container or event.ip}"
        case PackEvent():
            why = f": {event.reason}" if event.reason else ""
            return f"pack {event.pack} {event.version} {event.change}{why}"
        case ActionEvent():
            done = event.action
            return f"{done.kind} on {done.target} {done.status}: {done.outcome}"
        case StatsEvent():
            return f"{event.packets} packets, {event.flows} flows, {event.alerts} alerts"
        case _ as never:
            assert_never(never)


def _tls(event: TlsEvent) -> str:
    target = endpoint(event.dest_ip, event.dest_port)
    if event.refusal:
        return f"{event.src_ip} would not have our certificate for {target}"
    return f"TLS from {event.src_ip} to {target} refused: {event.diversion}"
