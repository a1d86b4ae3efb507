"""An event as an Elastic Common Schema document.

Alerts are ``event.kind: alert`` in the categories network and intrusion_detection, with the type
that says whether the packet went on. The training work is in ``labels`` and, where the trainer
gave a traceparent, in ``trace.id`` and ``span.id``, so that a search by trace finds the alert.
"""

from typing import assert_never

from davylamp import __version__
from davylamp.events import (
    Action,
    ActionEvent,
    AlertEvent,
    AnyEvent,
    FlowFields,
    LineageEvent,
    LineageInfo,
    PackEvent,
    StatsEvent,
    TlsEvent,
    TlsInfo,
)
from davylamp.outputs.identity import event_id
from davylamp.outputs.renderings import ecs_fields as ecs
from davylamp.outputs.renderings.text import sentence, technique_of, trace_of

VERSION = "9.4.0"

_OBSERVER = ecs.Observer(
    vendor="davylamp", product="davylamp", version=__version__, type="firewall"
)
_TYPES = {
    Action.PASS: ("allowed",),
    Action.ALERT: ("allowed",),
    Action.DROP: ("denied",),
    Action.REJECT: ("denied",),
}


def ecs_document(event: AnyEvent) -> ecs.EcsDocument:
    """Return the event in ECS's words."""
    match event:
        case AlertEvent():
            return _alert(event)
        case TlsEvent():
            return _tls(event)
        case LineageEvent():
            return _lineage(event)
        case PackEvent():
            return _pack(event)
        case ActionEvent():
            return _action(event)
        case StatsEvent():
            return _stats(event)
        case _ as never:
            assert_never(never)


def _alert(event: AlertEvent) -> ecs.EcsDocument:
    alert, lineage = event.alert, event.lineage or LineageInfo(grade="unknown")
    found = technique_of(event)
    trace, span = _ids(lineage)
    return ecs.EcsDocument(
        timestamp=event.timestamp,
        ecs=ecs.Ecs(version=VERSION),
        message=sentence(event),
        event=ecs.EventFields(
            kind="alert",
            id=event_id(event),
            module="davylamp",
            dataset="davylamp.alert",
            category=("network", "intrusion_detection"),
            type=_TYPES[event.verdict.action],
            action=event.verdict.action.value,
            outcome="success",
            reason=event.verdict.reason,
            severity=alert.severity,
            risk_score=float(alert.confidence),
            start=event.flow_start,
        ),
        observer=_OBSERVER,
        rule=ecs.Rule(
            id=alert.signature_id,
            name=alert.signature,
            category=alert.category,
            version=str(alert.rev),
            ruleset=event.pack,
        ),
        source=_endpoint(event.src_ip, event.src_port),
        destination=_endpoint(event.dest_ip, event.dest_port, event.tls),
        network=_network(event),
        threat=None
        if found is None
        else ecs.Threat(
            framework="MITRE ATT&CK",
            technique=ecs.Techniques(
                id=(found.technique,),
                subtechnique=ecs.Named(id=(found.sub,)) if found.sub else None,
            ),
        ),
        container=_container(lineage),
        tls=_tls_fields(event.tls),
        trace=trace,
        span=span,
        related=ecs.Related(ip=(event.src_ip, event.dest_ip)),
        labels=labels_of(lineage),
        davylamp=ecs.Own(
            flow_id=event.flow_id,
            incident_id=event.incident_id,
            confidence=alert.confidence,
            verdict=event.verdict,
            mining=event.mining,
            evidence=event.evidence,
            fusion=event.fusion,
            ja4=event.tls.ja4 if event.tls is not None else "",
            candidates=lineage.candidates,
        ),
    )


def _tls(event: TlsEvent) -> ecs.EcsDocument:
    return ecs.EcsDocument(
        timestamp=event.timestamp,
        ecs=ecs.Ecs(version=VERSION),
        message=sentence(event),
        event=ecs.EventFields(
            kind="event",
            id=event_id(event),
            module="davylamp",
            dataset="davylamp.tls",
            category=("network",),
            type=("connection", "denied"),
            action="tls-refusal" if event.refusal else "tls-diversion",
            outcome="failure",
            reason=event.refusal or event.diversion,
            start=event.flow_start,
        ),
        observer=_OBSERVER,
        source=_endpoint(event.src_ip, event.src_port),
        destination=_endpoint(event.dest_ip, event.dest_port, event.tls),
        network=_network(event),
        tls=_tls_fields(event.tls),
        related=ecs.Related(ip=(event.src_ip, event.dest_ip)),
        davylamp=ecs.Own(flow_id=event.flow_id, ja4=event.tls.ja4 if event.tls is not None else ""),
    )


def _lineage(event: LineageEvent) -> ecs.EcsDocument:
    trace, span = _ids(event.lineage)
    return ecs.EcsDocument(
        timestamp=event.timestamp,
        ecs=ecs.Ecs(version=VERSION),
        message=sentence(event),
        event=ecs.EventFields(
            kind="event",
            id=event_id(event),
            module="davylamp",
            dataset="davylamp.lineage",
            category=("configuration",),
            type=("change",),
            action=event.change,
        ),
        observer=_OBSERVER,
        container=_container(event.lineage),
        trace=trace,
        span=span,
        # An address that is one host's own has the host before it.
        related=ecs.Related(ip=(event.ip.rpartition("/")[2],)) if event.ip else None,
        labels=labels_of(event.lineage),
    )


def _pack(event: PackEvent) -> ecs.EcsDocument:
    return ecs.EcsDocument(
        timestamp=event.timestamp,
        ecs=ecs.Ecs(version=VERSION),
        message=sentence(event),
        event=ecs.EventFields(
            kind="event",
            id=event_id(event),
            module="davylamp",
            dataset="davylamp.pack",
            category=("configuration",),
            type=("change",),
            action=event.change,
        ),
        observer=_OBSERVER,
    )


def _action(event: ActionEvent) -> ecs.EcsDocument:
    lineage = event.lineage or LineageInfo(grade="unknown")
    return ecs.EcsDocument(
        timestamp=event.timestamp,
        ecs=ecs.Ecs(version=VERSION),
        message=sentence(event),
        event=ecs.EventFields(
            kind="event",
            id=event_id(event),
            module="davylamp",
            dataset="davylamp.action",
            category=("intrusion_detection",),
            type=("info",),
            action=f"{event.action.kind}-{event.action.status}",
            outcome="failure" if event.action.status == "failed" else "success",
            reason=event.action.reason,
        ),
        observer=_OBSERVER,
        container=_container(lineage),
        related=ecs.Related(ip=(event.src_ip,)) if event.src_ip else None,
        labels=labels_of(lineage),
        davylamp=ecs.Own(incident_id=event.incident_id, action=event.action),
    )


def _stats(event: StatsEvent) -> ecs.EcsDocument:
    return ecs.EcsDocument(
        timestamp=event.timestamp,
        ecs=ecs.Ecs(version=VERSION),
        message=sentence(event),
        event=ecs.EventFields(
            kind="metric", id=event_id(event), module="davylamp", dataset="davylamp.stats"
        ),
        observer=_OBSERVER,
        davylamp=ecs.Own(
            stats=ecs.Counters(
                packets=event.packets,
                bytes=event.bytes,
                flows=event.flows,
                alerts=event.alerts,
                seconds=event.seconds,
                worker=event.worker,
                counters=event.counters,
            )
        ),
    )


def labels_of(lineage: LineageInfo) -> dict[str, str]:
    """Return the training work as keywords, those that are known."""
    found = {
        "run_id": lineage.run_id,
        "experiment_id": lineage.experiment_id,
        "rollout_id": lineage.rollout_id,
        "trajectory_id": lineage.trajectory_id,
        "step": "" if lineage.step is None else str(lineage.step),
        "tool_call_id": lineage.tool_call_id,
        "tool": lineage.tool,
        "lifecycle_id": lineage.lifecycle_id,
        "lineage_grade": lineage.grade,
        "lineage_source": lineage.source,
    }
    return {name: value for name, value in found.items() if value}


def _endpoint(address: str, port: int, tls: TlsInfo | None = None) -> ecs.Endpoint:
    return ecs.Endpoint(
        ip=address, port=port, address=address, domain=tls.sni if tls is not None else ""
    )


def _network(event: FlowFields) -> ecs.Network:
    return ecs.Network(
        transport=event.proto.lower(),
        type="ipv6" if ":" in event.src_ip else "ipv4",
        community_id=event.community_id,
        direction="outbound",
        protocol=event.app_proto.lower(),
    )


def _container(lineage: LineageInfo) -> ecs.Container | None:
    if not lineage.container and not lineage.container_id:
        return None
    return ecs.Container(
        id=lineage.container_id,
        name=lineage.container,
        image=ecs.Image(name=lineage.image) if lineage.image else None,
    )


def _tls_fields(tls: TlsInfo | None) -> ecs.Tls | None:
    if tls is None or not tls.sni:
        return None
    return ecs.Tls(client=ecs.TlsClient(server_name=tls.sni))


def _ids(lineage: LineageInfo) -> tuple[ecs.Identity | None, ecs.Identity | None]:
    found = trace_of(lineage)
    if found is None:
        return None, None
    return ecs.Identity(id=found[0]), ecs.Identity(id=found[1])
