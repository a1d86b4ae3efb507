"""ECS and OCSF documents, held against the official schemas."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from davylamp.events import (
    Action,
    ActionEvent,
    ActionInfo,
    AlertEvent,
    AlertInfo,
    AnyEvent,
    CandidateInfo,
    EvidenceInfo,
    FusionInfo,
    FusionPart,
    LineageEvent,
    LineageInfo,
    StatsEvent,
    TlsEvent,
    TlsInfo,
    VerdictInfo,
)
from davylamp.outputs.renderings.render import Format, renderer

MakeAlert = Callable[..., AlertEvent]
SCHEMAS = Path(__file__).resolve().parents[2] / "data" / "schemas"
CLASSES = {0: "base_event", 2004: "detection_finding", 4001: "network_activity"}
LINEAGE = LineageInfo(
    grade="bound",
    container="sandbox-2",
    container_id="c0ffee",
    image="trainer:1",
    run_id="r1",
    experiment_id="e1",
    rollout_id="7",
    trajectory_id="t-1",
    step=41,
    tool_call_id="tc-9",
    tool="bash",
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    lifecycle_id="c0ffee@1",
    source="client",
    candidates=(CandidateInfo(tool_call_id="tc-9", step=41),),
)
TLS = TlsInfo(sni="pool.example", ja4="t13d1516h2_8daaf6152771_b186095e22b6", version="TLS 1.3")
FUSION = FusionInfo(
    confidence=91,
    needed=80,
    weight=10.2,
    parts=(
        FusionPart(signature_id="s", kind="job", direction="responder", confidence=91, weight=10.2),
    ),
)
EVIDENCE = EvidenceInfo(
    signature_id="s", direction="originator", offset=0, length=9, excerpt='{"a":"\ud7ff<b>"}'
)
FLOW: dict[str, Any] = {
    "timestamp": "2026-02-03T04:05:06.000007+00:00",
    "flow_id": 1,
    "flow_start": "2026-02-03T04:05:05.000000+00:00",
    "community_id": "1:abc=",
    "src_ip": "2001:db8::2",
    "src_port": 40000,
    "dest_ip": "2001:db8::5",
    "dest_port": 443,
    "proto": "TCP",
}


@cache
def validator(name: str) -> Draft202012Validator:
    """Return the validator of a vendored schema, formats included."""
    schema = json.loads((SCHEMAS / name).read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=FormatChecker())


def ecs(event: AnyEvent) -> dict[str, Any]:
    """Return the ECS document, which the schema accepts."""
    document: dict[str, Any] = json.loads(renderer(Format.ECS)(event))
    validator("ecs-9.4.0.json").validate(document)
    return document


def ocsf(event: AnyEvent) -> dict[str, Any]:
    """Return the OCSF document, which the schema of its class accepts."""
    document: dict[str, Any] = json.loads(renderer(Format.OCSF)(event))
    validator(f"ocsf-1.8.0-{CLASSES[document['class_uid']]}.json").validate(document)
    assert document["type_uid"] == document["class_uid"] * 100 + document["activity_id"]
    return document


def alert_info(**changes: object) -> AlertInfo:
    """Return a signature's part of an alert."""
    fields: dict[str, object] = {
        "signature_id": "cryptonote-login",
        "rev": 2,
        "signature": "CryptoNote login",
        "category": "mining",
        "severity": 1,
        "confidence": 100,
        "technique": "T1496.001",
    }
    return AlertInfo(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
def full(make_alert: MakeAlert) -> AlertEvent:
    """Return an alert with every member."""
    return make_alert(
        alert=alert_info(),
        app_proto="cryptonote",
        incident_id="inc-1",
        lineage=LINEAGE,
        tls=TLS,
        fusion=FUSION,
        evidence=(EVIDENCE,),
        pack="2026.1",
    )


@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("severity", [1, 2, 3, 4])
@pytest.mark.parametrize("technique", ["", "T1572", "T1496.001"])
@pytest.mark.parametrize("lineage", [None, LINEAGE, LineageInfo(grade="unknown", reason="none")])
@pytest.mark.parametrize("tls", [None, TLS, TlsInfo(sni="pool.example"), TlsInfo()])
def test_every_shape_of_alert_is_accepted(
    make_alert: MakeAlert,
    action: Action,
    severity: int,
    technique: str,
    lineage: LineageInfo | None,
    tls: TlsInfo | None,
) -> None:
    """Whatever is known or not of an alert, both official schemas accept its documents."""
    alert = make_alert(
        alert=alert_info(severity=severity, technique=technique, confidence=severity * 25),
        verdict=VerdictInfo(action=action),
        lineage=lineage,
        tls=tls,
    )
    ecs(alert)
    ocsf(alert)


OTHERS = [
    TlsEvent(**FLOW, refusal="alert 48"),
    TlsEvent(**FLOW, diversion="the name is not trusted", tls=TLS),
    StatsEvent(
        timestamp=FLOW["timestamp"],
        packets=0,
        bytes=0,
        flows=0,
        alerts=0,
        seconds=0.0,
        worker="queue-40",
        counters={"cleared": 3},
    ),
    LineageEvent(timestamp=FLOW["timestamp"], change="bound", lineage=LINEAGE, ip="10.0.0.2"),
    LineageEvent(timestamp=FLOW["timestamp"], change="tool-call", lineage=LINEAGE),
    ActionEvent(
        timestamp=FLOW["timestamp"],
        incident_id="inc-1",
        action=ActionInfo(kind="quarantine", status="failed", target="c@1", outcome="no address"),
        lineage=LINEAGE,
        src_ip="10.0.0.2",
    ),
]


@pytest.mark.parametrize("event", OTHERS, ids=lambda event: type(event).__name__)
def test_every_kind_of_event_is_accepted(event: AnyEvent) -> None:
    """TLS, stats and lineage events are accepted too, with nothing of them lost to a default."""
    assert ecs(event)["event"]["dataset"].startswith("davylamp.")
    document = ocsf(event)
    if isinstance(event, StatsEvent):
        assert document["unmapped"]["packets"] == 0
        assert document["unmapped"]["counters"] == {"cleared": 3}
        assert ecs(event)["davylamp"]["stats"]["packets"] == 0


def test_an_alert_in_ecs(full: AlertEvent) -> None:
    """Rule, flow, technique, container, trace and training work are where ECS searches for them."""
    document = ecs(full)
    event = document["event"]
    assert (event["kind"], event["category"]) == ("alert", ["network", "intrusion_detection"])
    assert (event["type"], event["action"], event["severity"]) == (["denied"], "reject", 1)
    assert document["rule"] == {
        "id": "cryptonote-login",
        "name": "CryptoNote login",
        "category": "mining",
        "version": "2",
        "ruleset": "2026.1",
    }
    assert document["source"] == {"ip": "10.0.0.2", "port": 40000, "address": "10.0.0.2"}
    assert document["destination"]["domain"] == "pool.example"
    assert document["network"]["community_id"] == "1:abc="
    assert document["threat"]["technique"] == {
        "id": ["T1496"],
        "subtechnique": {"id": ["T1496.001"]},
    }
    assert document["container"]["image"] == {"name": "trainer:1"}
    assert document["trace"] == {"id": "4bf92f3577b34da6a3ce929d0e0e4736"}
    assert document["span"] == {"id": "00f067aa0ba902b7"}
    assert document["labels"]["step"] == "41"
    assert document["labels"]["tool_call_id"] == "tc-9"
    assert document["davylamp"]["evidence"][0]["excerpt"] == EVIDENCE.excerpt


def test_an_alert_in_ocsf(full: AlertEvent) -> None:
    """The finding names signature, technique, flow, container and outcome by OCSF's numbers."""
    document = ocsf(full)
    assert (document["class_uid"], document["type_uid"]) == (2004, 200401)
    assert (document["severity_id"], document["confidence_id"]) == (5, 3)
    assert (document["action_id"], document["disposition_id"]) == (2, 21)
    assert document["time"] == 1770091506000
    info = document["finding_info"]
    assert info["analytic"]["uid"] == "cryptonote-login"
    assert info["attacks"] == [
        {"technique": {"uid": "T1496"}, "sub_technique": {"uid": "T1496.001"}}
    ]
    [evidence] = document["evidences"]
    assert evidence["src_endpoint"]["container"]["name"] == "sandbox-2"
    assert evidence["connection_info"]["community_uid"] == "1:abc="
    assert evidence["tls"] == {"version": "TLS 1.3", "sni": "pool.example"}
    assert document["metadata"]["correlation_uid"] == "inc-1"
    assert {"name": "rollout_id", "value": "7"} in document["resources"][0]["tags"]


def test_one_event_has_one_id_in_both(full: AlertEvent, make_alert: MakeAlert) -> None:
    """The same event has the same id however often and however rendered; another has another."""
    identity = ecs(full)["event"]["id"]
    assert ocsf(full)["metadata"]["uid"] == identity == ecs(full)["event"]["id"]
    assert ecs(make_alert(2))["event"]["id"] != identity


@pytest.mark.parametrize("bad", ["", "x", "00-xyz-1-01", "00-" + "0" * 40])
def test_what_is_no_traceparent_makes_no_trace(make_alert: MakeAlert, bad: str) -> None:
    """A traceparent that a sandbox's label garbled is left out, and the rest stands."""
    document = ecs(make_alert(lineage=LineageInfo(grade="declared", traceparent=bad)))
    assert "trace" not in document
    assert "span" not in document


@pytest.mark.parametrize("name", ["ecs-9.4.0.json", "ocsf-1.8.0-detection_finding.json"])
def test_the_schemas_refuse_what_they_should(full: AlertEvent, name: str) -> None:
    """An attribute of nobody's, or a required one left out, is refused: the test can fail."""
    form = Format.ECS if name.startswith("ecs") else Format.OCSF
    document = json.loads(renderer(form)(full))
    assert not validator(name).is_valid(document | {"made_up": 1})
    required = "@timestamp" if form is Format.ECS else "finding_info"
    assert not validator(name).is_valid({k: v for k, v in document.items() if k != required})
