"""An event in the Open Cybersecurity Schema Framework's classes.

An alert is a Detection Finding, TLS that was refused or diverted is Network Activity; lineage and
stats, for which the framework has no class, are Base Events.
"""

from datetime import datetime
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
from davylamp.outputs.renderings import ocsf_objects as ocsf
from davylamp.outputs.renderings.ecs import labels_of
from davylamp.outputs.renderings.text import sentence, technique_of

VERSION = "1.8.0"

_PRODUCT = ocsf.Product(name="davylamp", vendor_name="davylamp", version=__version__)
_SEVERITIES = {1: (5, "Critical"), 2: (4, "High"), 3: (3, "Medium"), 4: (2, "Low")}
_INFORMATIONAL = (1, "Informational")
_ACTIONS = {
    Action.PASS: (1, "Allowed"),
    Action.ALERT: (3, "Observed"),
    Action.DROP: (2, "Denied"),
    Action.REJECT: (2, "Denied"),
}
_DISPOSITIONS = {
    Action.PASS: (1, "Allowed"),
    Action.ALERT: (19, "Alert"),
    Action.DROP: (6, "Dropped"),
    Action.REJECT: (21, "Reset"),
}
_RULE = 1
_OUTBOUND = 2
_IP_ADDRESS = 2
_JA4 = 1
_NEW = 1
_FAILURE = 2
_PROFILES = ("security_control", "container")


def ocsf_document(event: AnyEvent) -> ocsf.Document:
    """Return the event in OCSF's words."""
    match event:
        case AlertEvent():
            return _finding(event)
        case TlsEvent():
            return _activity(event)
        case LineageEvent():
            unmapped = ocsf.Unmapped(change=event.change, ip=event.ip, lineage=event.lineage)
            return _base(event, unmapped, event.change)
        case PackEvent():
            return _base(
                event, ocsf.Unmapped(pack=event.version, change=event.change), event.change
            )
        case ActionEvent():
            unmapped = ocsf.Unmapped(action=event.action, ip=event.src_ip, lineage=event.lineage)
            return _base(event, unmapped, f"{event.action.kind}-{event.action.status}")
        case StatsEvent():
            return _base(event, _counters(event), "stats")
        case _ as never:
            assert_never(never)


def _finding(event: AlertEvent) -> ocsf.DetectionFinding:
    alert, lineage = event.alert, event.lineage
    severity_id, severity = _SEVERITIES.get(alert.severity, (0, "Unknown"))
    action_id, action = _ACTIONS[event.verdict.action]
    disposition_id, disposition = _DISPOSITIONS[event.verdict.action]
    return ocsf.DetectionFinding(
        category_uid=2,
        category_name="Findings",
        class_uid=2004,
        class_name="Detection Finding",
        activity_id=1,
        activity_name="Create",
        type_uid=200401,
        severity_id=severity_id,
        severity=severity,
        time=_milliseconds(event.timestamp),
        message=sentence(event),
        metadata=_metadata(event, "alert", profiles=_PROFILES, incident=event.incident_id),
        finding_info=_finding_info(event),
        evidences=(
            ocsf.Evidence(
                src_endpoint=_source(event, lineage),
                dst_endpoint=_destination(event, event.tls),
                connection_info=_connection(event),
                data=event.evidence,
                tls=_tls(event.tls),
                ja4_fingerprint_list=_ja4(event.tls),
            ),
        ),
        observables=(
            _address("evidences[0].src_endpoint.ip", event.src_ip),
            _address("evidences[0].dst_endpoint.ip", event.dest_ip),
        ),
        status_id=_NEW,
        status="New",
        is_alert=True,
        action_id=action_id,
        action=action,
        disposition_id=disposition_id,
        disposition=disposition,
        confidence_id=_confidence(alert.confidence),
        confidence_score=alert.confidence,
        start_time=_milliseconds(event.flow_start),
        resources=_resources(lineage),
        unmapped=ocsf.Unmapped(
            flow_id=event.flow_id,
            verdict=event.verdict,
            mining=event.mining,
            fusion=event.fusion,
            lineage=lineage,
            tls=event.tls,
            pack=event.pack,
        ),
    )


def _finding_info(event: AlertEvent) -> ocsf.FindingInfo:
    alert, found = event.alert, technique_of(event)
    attacks = (
        ()
        if found is None
        else (
            ocsf.Attack(
                technique=ocsf.Named(uid=found.technique),
                sub_technique=ocsf.Named(uid=found.sub) if found.sub else None,
            ),
        )
    )
    return ocsf.FindingInfo(
        uid=event_id(event),
        title=alert.signature,
        analytic=ocsf.Analytic(
            uid=alert.signature_id,
            name=alert.signature,
            type_id=_RULE,
            type="Rule",
            category=alert.category,
            version=str(alert.rev),
        ),
        created_time=_milliseconds(event.timestamp),
        first_seen_time=_milliseconds(event.flow_start),
        last_seen_time=_milliseconds(event.timestamp),
        types=(alert.category,),
        desc=event.verdict.reason,
        attacks=attacks,
    )


def _activity(event: TlsEvent) -> ocsf.NetworkActivity:
    """Return a connection that failed (4: its client gave it up) or was refused (5: by us)."""
    activity_id, name = (4, "Fail") if event.refusal else (5, "Refuse")
    severity_id, severity = _INFORMATIONAL
    action_id, action = _ACTIONS[Action.ALERT if event.refusal else Action.REJECT]
    disposition_id, disposition = (17, "Logged") if event.refusal else (2, "Blocked")
    return ocsf.NetworkActivity(
        category_uid=4,
        category_name="Network Activity",
        class_uid=4001,
        class_name="Network Activity",
        activity_id=activity_id,
        activity_name=name,
        type_uid=400100 + activity_id,
        severity_id=severity_id,
        severity=severity,
        time=_milliseconds(event.timestamp),
        message=sentence(event),
        metadata=_metadata(event, "tls", profiles=_PROFILES),
        src_endpoint=_source(event, None),
        dst_endpoint=_destination(event, event.tls),
        connection_info=_connection(event),
        status_id=_FAILURE,
        status="Failure",
        status_detail=event.refusal or event.diversion,
        action_id=action_id,
        action=action,
        disposition_id=disposition_id,
        disposition=disposition,
        start_time=_milliseconds(event.flow_start),
        tls=_tls(event.tls),
        ja4_fingerprint_list=_ja4(event.tls),
        unmapped=ocsf.Unmapped(flow_id=event.flow_id, tls=event.tls),
    )


def _base(
    event: LineageEvent | ActionEvent | PackEvent | StatsEvent,
    unmapped: ocsf.Unmapped,
    name: str,
) -> ocsf.BaseEvent:
    severity_id, severity = _INFORMATIONAL
    return ocsf.BaseEvent(
        category_uid=0,
        category_name="Uncategorized",
        class_uid=0,
        class_name="Base Event",
        activity_id=99,
        activity_name=name,
        type_uid=99,
        severity_id=severity_id,
        severity=severity,
        time=_milliseconds(event.timestamp),
        message=sentence(event),
        metadata=_metadata(event, _log_of(event), incident=_incident_of(event)),
        unmapped=unmapped,
    )


def _log_of(event: LineageEvent | ActionEvent | PackEvent | StatsEvent) -> str:
    match event:
        case LineageEvent():
            return "lineage"
        case ActionEvent():
            return "action"
        case PackEvent():
            return "pack"
        case _:
            return "stats"


def _incident_of(event: AnyEvent) -> str:
    return event.incident_id if isinstance(event, ActionEvent) else ""


def _counters(event: StatsEvent) -> ocsf.Unmapped:
    return ocsf.Unmapped(
        packets=event.packets,
        bytes=event.bytes,
        flows=event.flows,
        alerts=event.alerts,
        seconds=event.seconds,
        worker=event.worker,
        counters=event.counters,
    )


def _metadata(
    event: AnyEvent, log: str, *, profiles: tuple[str, ...] = (), incident: str = ""
) -> ocsf.Metadata:
    return ocsf.Metadata(
        version=VERSION,
        product=_PRODUCT,
        uid=event_id(event),
        log_name=log,
        profiles=profiles,
        correlation_uid=incident,
    )


def _source(event: FlowFields, lineage: LineageInfo | None) -> ocsf.Endpoint:
    return ocsf.Endpoint(ip=event.src_ip, port=event.src_port, container=_container(lineage))


def _destination(event: FlowFields, tls: TlsInfo | None) -> ocsf.Endpoint:
    name = tls.sni if tls is not None else ""
    return ocsf.Endpoint(ip=event.dest_ip, port=event.dest_port, hostname=name)


def _connection(event: FlowFields) -> ocsf.Connection:
    return ocsf.Connection(
        direction_id=_OUTBOUND,
        direction="Outbound",
        protocol_name=event.proto.lower(),
        community_uid=event.community_id,
    )


def _container(lineage: LineageInfo | None) -> ocsf.Container | None:
    if lineage is None or not (lineage.container or lineage.container_id):
        return None
    image = ocsf.Image(uid=lineage.image, name=lineage.image) if lineage.image else None
    return ocsf.Container(uid=lineage.container_id, name=lineage.container, image=image)


def _resources(lineage: LineageInfo | None) -> tuple[ocsf.Resource, ...]:
    if lineage is None or not (lineage.container or lineage.container_id):
        return ()
    labels = tuple(ocsf.Label(name=key, value=value) for key, value in labels_of(lineage).items())
    name = lineage.container or lineage.container_id
    return (ocsf.Resource(name=name, uid=lineage.lifecycle_id, type="container", tags=labels),)


def _tls(tls: TlsInfo | None) -> ocsf.Tls | None:
    """Return the object, where its one required attribute is known."""
    return None if tls is None or not tls.version else ocsf.Tls(version=tls.version, sni=tls.sni)


def _ja4(tls: TlsInfo | None) -> tuple[ocsf.Ja4, ...]:
    return (
        () if tls is None or not tls.ja4 else (ocsf.Ja4(type_id=_JA4, type="JA4", value=tls.ja4),)
    )


def _address(name: str, address: str) -> ocsf.Observable:
    return ocsf.Observable(name=name, type_id=_IP_ADDRESS, type="IP Address", value=address)


def _confidence(percent: int) -> int:
    """Return OCSF's low, medium or high; the thirds of the scale."""
    return 1 + (percent > 33) + (percent > 66)


def _milliseconds(timestamp: str) -> int:
    return int(datetime.fromisoformat(timestamp).timestamp() * 1000)
