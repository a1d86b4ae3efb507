"""An event as one RFC 5424 message.

The structured data holds what people filter by, under ``davylamp@NUMBER`` (section 6.3.2: a private
enterprise number; 32473 is the one that RFC 5612 keeps for documentation, until a site sets its
own), beside the registered ``origin`` and ``meta`` (section 7), whose ``sequenceId`` lets a reader
see what was lost. The message is the configured rendering, without a byte order mark (MSG-ANY of
section 6), because JSON readers refuse one.
"""

from dataclasses import dataclass
from typing import assert_never

from davylamp import __version__
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
from davylamp.outputs.identity import event_id
from davylamp.outputs.renderings.render import Render
from davylamp.outputs.renderings.text import sentence
from davylamp.wording import endpoint, inert

LAST_SEQUENCE = 2_147_483_647  # section 7.3.1; the next is 1
_VALUE = 128  # characters of a parameter that is not ours to bound
_SEVERITIES = {1: 2, 2: 3, 3: 4, 4: 5}  # critical, error, warning, notice
_WARNING, _NOTICE, _INFORMATIONAL = 4, 5, 6


@dataclass(frozen=True, slots=True)
class Header:
    """What is the same in all messages of one sink; ``facility`` is a number from 0 to 23."""

    hostname: str
    process: int
    facility: int
    enterprise: int


def message(event: AnyEvent, render: Render, header: Header, sequence: int, limit: int) -> bytes:
    """Return the message; where it would exceed ``limit`` bytes, a sentence replaces the document.

    A document that is cut is one that nothing can read; the structured data still says what it was.
    """
    start = _start(event, header, sequence)
    document = render(event)
    if len(start) + len(document) <= limit:
        return start + document
    return (start + inert(sentence(event)).encode())[:limit]


def _start(event: AnyEvent, header: Header, sequence: int) -> bytes:
    kind, severity, fields = _describe(event)
    priority = header.facility * 8 + severity
    host = _name(header.hostname, 255)
    data = "".join(
        (
            _element("origin", {"software": "davylamp", "swVersion": __version__}),
            _element("meta", {"sequenceId": str(sequence)}),
            _element(f"davylamp@{header.enterprise}", {"id": event_id(event)} | fields),
        )
    )
    return (
        f"<{priority}>1 {event.timestamp} {host} davylamp {header.process} {kind} {data} ".encode()
    )


def _describe(event: AnyEvent) -> tuple[str, int, dict[str, str]]:
    """Return the MSGID, the severity (section 6.2.1), and what to filter by."""
    match event:
        case AlertEvent():
            fields = {
                "action": event.verdict.action.value,
                "signature": event.alert.signature_id,
                "category": event.alert.category,
                "technique": event.alert.technique,
                "src": endpoint(event.src_ip, event.src_port),
                "dst": endpoint(event.dest_ip, event.dest_port),
                "incident": event.incident_id,
            }
            who = event.lineage
            severity = _SEVERITIES.get(event.alert.severity, _NOTICE)
            return "alert", severity, fields | (_who(who) if who is not None else {})
        case TlsEvent():
            fields = {
                "action": "refusal" if event.refusal else "diversion",
                "src": endpoint(event.src_ip, event.src_port),
                "dst": endpoint(event.dest_ip, event.dest_port),
                "sni": event.tls.sni if event.tls is not None else "",
            }
            return "tls", _NOTICE, fields
        case LineageEvent():
            fields = {"change": event.change, "ip": event.ip} | _who(event.lineage)
            return "lineage", _INFORMATIONAL, fields
        case PackEvent():
            fields = {"change": event.change, "pack": event.pack, "version": event.version}
            bad = event.change in ("refused", "returned", "expired")
            return "pack", _NOTICE if not bad else _WARNING, fields | {"reason": event.reason}
        case ActionEvent():
            fields = {
                "action": event.action.kind,
                "status": event.action.status,
                "incident": event.incident_id,
            }
            who = event.lineage
            return "action", _NOTICE, fields | (_who(who) if who is not None else {})
        case StatsEvent():
            return "stats", _INFORMATIONAL, {"worker": event.worker}
        case _ as never:
            assert_never(never)


def _who(lineage: LineageInfo) -> dict[str, str]:
    return {
        "container": lineage.container,
        "run": lineage.run_id,
        "rollout": lineage.rollout_id,
        "step": "" if lineage.step is None else str(lineage.step),
        "toolCall": lineage.tool_call_id,
        "grade": lineage.grade,
    }


def _element(name: str, fields: dict[str, str]) -> str:
    params = "".join(f' {key}="{_escaped(value)}"' for key, value in fields.items() if value)
    return f"[{name}{params}]"


def _escaped(value: str) -> str:
    """Return a PARAM-VALUE: section 6.3.3 escapes three characters."""
    shown = inert(value[:_VALUE])
    return shown.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _name(value: str, length: int) -> str:
    """Return PRINTUSASCII of at most ``length``, or the NILVALUE."""
    return "".join(char for char in value if "!" <= char <= "~")[:length] or "-"
