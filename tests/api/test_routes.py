"""Every route: what it answers, to whom, and that the OpenAPI document says the same."""

import json
import re
import time
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from tests.api.conftest import Site
from tests.api.stage import CHIEF, LOGIN, pcap, played
from tests.api.talk import SPAN, TRACE, Answer, an_alert, ask, stats

from davylamp.api.packets import PACKETS
from davylamp.attribution.server import EmbeddedRedis
from davylamp.incidents.bundle import check_bundle, store_faults
from davylamp.incidents.operations import IncidentOperations
from davylamp.lineage import Client

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "api.md"


def filled(site: Site) -> Site:
    """Put a container, a tool call, an incident, a flow and counters there."""
    with Client(site.store.url) as trainer:
        trainer.bind(ip="10.0.0.7", container="sandbox-7", lifecycle_id="sandbox-7@1", run_id="r")
        with trainer.tool_call(container="sandbox-7", tool="bash", tool_call_id="call-8f2"):
            alert = an_alert()
    site.store.run(IncidentOperations().record(alert))
    site.publish(alert, stats())
    return site


# name, method, path, body, token: one that works for each route of the table
CALLS: list[tuple[str, str, str, Any, str]] = [
    ("/api/v1/health", "GET", "/api/v1/health", None, "read.token"),
    ("/api/v1/stats", "GET", "/api/v1/stats", None, "read.token"),
    ("/api/v1/flows", "GET", "/api/v1/flows?limit=5&about=sandbox-7", None, "read.token"),
    ("/api/v1/packs", "GET", "/api/v1/packs", None, "read.token"),
    ("/metrics", "GET", "/metrics", None, "read.token"),
    ("/api/v1/incidents", "GET", "/api/v1/incidents?status=open&run=rlhf-12", None, "read.token"),
    ("/api/v1/incidents/{id}", "GET", "/api/v1/incidents/inc-1", None, "read.token"),
    ("/api/v1/incidents/{id}/packets", "GET", "/api/v1/incidents/inc-1/packets", None, "token"),
    ("/api/v1/incidents/{id}/bundle", "GET", "/api/v1/incidents/inc-1/bundle", None, "token"),
    ("/api/v1/incidents/{id}/resolve", "POST", "/api/v1/incidents/inc-1/resolve", {}, "token"),
    ("/api/v1/lineage", "GET", "/api/v1/lineage", None, "read.token"),
    ("/api/v1/lineage/{subject}", "GET", "/api/v1/lineage/sandbox-7", None, "read.token"),
    (
        "/api/v1/lineage/bind",
        "POST",
        "/api/v1/lineage/bind",
        {"ip": "10.0.0.8", "container": "box"},
        "register.token",
    ),
    (
        "/api/v1/lineage/tool-calls/begin",
        "POST",
        "/api/v1/lineage/tool-calls/begin",
        {"container": "box", "tool_call_id": "t1", "tool": "bash"},
        "register.token",
    ),
    (
        "/api/v1/lineage/tool-calls/end",
        "POST",
        "/api/v1/lineage/tool-calls/end",
        {"container": "box", "tool_call_id": "t1"},
        "register.token",
    ),
    (
        "/api/v1/lineage/batch",
        "POST",
        "/api/v1/lineage/batch",
        {"reports": [{"do": "bind", "ip": "nonsense", "container": "x"}]},
        "register.token",
    ),
    (
        "/api/v1/lineage/release",
        "POST",
        "/api/v1/lineage/release",
        {"ip": "10.0.0.8"},
        "register.token",
    ),
    ("/v1/traces", "POST", "/v1/traces", {"resourceSpans": []}, "register.token"),
    ("/api/v1/session", "POST", "/api/v1/session", "TOKEN", "token"),
    ("/api/v1/session", "GET", "/api/v1/session", None, "token"),
    ("/api/v1/session", "DELETE", "/api/v1/session", None, "token"),
    ("/api/v1/openapi.json", "GET", "/api/v1/openapi.json", None, "token"),
]
STREAM = ("GET", "/api/v1/events")


def test_every_route_is_described_and_answers_as_it_says(site: Site) -> None:
    """The document is valid, has each route once, and each answer and error is of its schema."""
    filled(site)
    document = ask(site, "GET", "/api/v1/openapi.json", token=None).json
    validate(document)
    described = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    assert described == {*((method, name) for name, method, *_ in CALLS), STREAM}
    for name, method, path, body, token in CALLS:
        sent = {"token": site.token()} if body == "TOKEN" else body
        answer = ask(site, method, path, sent, token=token)
        assert answer.status == 200, (name, answer)
        conforms(document, name, method, answer)
        for refused in (
            ask(site, method, path, sent, token=None),
            ask(site, method, f"{path.partition('?')[0]}?nonsense=1", sent, token=token),
            ask(site, "PATCH", path, token=token),
        ):
            if refused.status != 200:
                conforms(document, name, method, refused)


def test_the_packs_shown_are_those_in_force_now(site: Site) -> None:
    """Packs change while the gateway runs."""
    shown = ask(site, "GET", "/api/v1/packs").json["packs"][0]
    changed = replace(site.packs.pack, version="2027.01.01")
    assert shown["version"] != changed.version
    site.packs.pack = changed
    later = ask(site, "GET", "/api/v1/packs").json["packs"][0]
    assert later == {**shown, "version": changed.version}


def conforms(document: dict[str, Any], path: str, method: str, answer: Answer) -> None:
    """Hold an answer against what the document says of its route and status."""
    responses = document["paths"][path][method.lower()]["responses"]
    kind = answer.headers["Content-Type"].partition(";")[0]
    if answer.status == 405:
        content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    else:
        content = responses[str(answer.status)]["content"]
    assert kind in {*content, "application/json" if path == "/v1/traces" else kind}
    schema = content.get(kind, {}).get("schema")
    if schema is not None:
        whole = {**schema, "components": document["components"]}
        Draft202012Validator(whole).validate(answer.json)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_the_page_of_the_api_has_its_routes(site: Site) -> None:
    """The table in docs/api.md is what the document says: method, path, right, what it is."""
    document = ask(site, "GET", "/api/v1/openapi.json", token=None).json
    wanted = [
        f"| `{method.upper()} {path}` | {right(one)} | {one['summary']} |"
        for path, methods in document["paths"].items()
        for method, one in methods.items()
    ]
    rows = [line for line in DOCUMENT.read_text().splitlines() if re.match(r"\| `[A-Z]+ /", line)]
    assert rows == wanted


def right(operation: dict[str, Any]) -> str:
    """Return the right that an operation needs."""
    found = re.search(r"right to (\w+)", operation["description"])
    return found[1] if found else ""


def test_a_token_does_what_its_scope_says(site: Site) -> None:
    """Each token is let in where its right is asked for, refused elsewhere, and without one 401."""
    filled(site)
    rights = {
        "token": {"read", "register", "act"},
        "read.token": {"read"},
        "register.token": {"register"},
    }
    document = ask(site, "GET", "/api/v1/openapi.json", token=None).json
    for name, method, path, body, _ in CALLS:
        needed = right(document["paths"][name][method.lower()])
        if not needed:
            continue
        assert ask(site, method, path, body, token=None, headers={"Authorization": "Basic x"})[
            0
        ] in {401, 429}
        for token, has in rights.items():
            answer = ask(site, method, path, body, token=token)
            raw = name.endswith("/bundle") and "act" not in has
            assert (answer.status == 403) == (needed not in has or raw), (name, token, answer)
    for file in rights:
        assert (site.state / "api" / file).stat().st_mode & 0o777 == 0o600


def test_from_an_incident_to_the_trace(site: Site) -> None:
    """An incident has the trace id, span id, step and call; its bundle verifies."""
    filled(site)
    page = ask(site, "GET", "/api/v1/incidents").json
    assert [one["id"] for one in page["incidents"]] == ["inc-1"]
    assert page["incidents"][0]["who"]["run_id"] == "rlhf-12"
    shown = ask(site, "GET", "/api/v1/incidents/inc-1").json
    [call] = shown["incident"]["calls"]
    assert (call["trace_id"], call["span_id"], call["step"]) == (TRACE, SPAN, 41)
    assert shown["alerts"][0]["alert"]["signature_id"] == "cryptonote-login"
    bundle = ask(site, "GET", "/api/v1/incidents/inc-1/bundle")
    checked = check_bundle(bundle.body)
    assert checked.faults == ()
    witness = site.store.run(
        IncidentOperations().witness("inc-1", len(checked.manifest.chain.digests))
    )
    assert store_faults(checked, *witness) == ()
    without = ask(site, "GET", "/api/v1/incidents/inc-1/bundle?packets=false", token="read.token")
    with zipfile.ZipFile(BytesIO(without.body)) as opened:
        assert "evidence.pcap" not in opened.namelist()
    assert json.loads(zipfile.ZipFile(BytesIO(bundle.body)).read("lineage.json"))["container"]
    done = ask(site, "POST", "/api/v1/incidents/inc-1/resolve", {"note": "removed", "by": "ada"})
    assert done.json["resolution"]["by"] == "ada"
    assert ask(site, "POST", "/api/v1/incidents/inc-1/resolve", {"note": "again"}).json == done.json
    assert ask(site, "GET", "/api/v1/incidents?status=open").json == {"incidents": []}
    assert ask(site, "GET", "/api/v1/incidents/none").status == 404


def test_pages_go_through_all_of_them_once(site: Site) -> None:
    """Page after page, each incident comes once, newest first, also those of one microsecond."""
    operations = IncidentOperations()
    for number in range(45):
        alert = an_alert(
            f"inc-{number:03}", at=1e9 + number // 3, container=f"box-{number}", flow_id=number
        )
        site.store.run(operations.record(alert))
    found: list[str] = []
    after = ""
    while True:
        page = ask(site, "GET", f"/api/v1/incidents?limit=10&after={after}").json
        found += [one["id"] for one in page["incidents"]]
        after = page.get("next", "")
        if not after:
            break
    assert len(found) == len(set(found)) == 45
    assert found == sorted(found, reverse=True)
    for wrong in ("x", "nan/a", "inf/a", "1e9"):
        assert ask(site, "GET", f"/api/v1/incidents?after={wrong}").status in {200, 400}
    narrow = ask(site, "GET", "/api/v1/incidents?container=box-7&since=2001-09-09T00:00:00Z").json
    assert [one["id"] for one in narrow["incidents"]] == ["inc-007"]


def test_health_says_what_is_wrong(site: Site) -> None:
    """All is well at first; a dead worker, a source not followed and bad roads are named."""
    filled(site)
    health = ask(site, "GET", "/api/v1/health").json
    assert health["ok"], health
    assert health["redis"]["answers"]
    assert 59 < health["rules"]["age_seconds"] < 120
    assert health["sources"][0] == {"name": "docker", "changes": 0, "following": True}
    assert health["sources"][1]["name"] == "trainer"
    site.workers[0].alive = False
    site.docker.failed("no such socket")
    site.noted.append("asymmetric routes: ...")
    health = ask(site, "GET", "/api/v1/health").json
    assert health["problems"] == [
        "queue-40 is not running",
        "lineage source docker is not following: no such socket",
        "asymmetric routes: ...",
    ]
    assert not health["ok"]


def test_a_store_that_is_away_is_said(site: Site, server: EmbeddedRedis) -> None:
    """Health goes on answering and names it; what needs the store is a 503 that says when."""
    server.stop()
    health = ask(site, "GET", "/api/v1/health").json
    assert not health["redis"]["answers"]
    assert "does not answer" in " ".join(health["problems"])
    for path in ("/api/v1/incidents", "/api/v1/lineage/box"):
        answer = ask(site, "GET", path)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    told = {"ip": "10.0.0.7", "container": "box"}
    assert ask(site, "POST", "/api/v1/lineage/bind", told).status == 503
    assert ask(site, "GET", "/api/v1/flows").status == 200


def test_the_packets_are_what_was_sent(site: Site) -> None:
    """The bytes behind an incident come as they were; a path that is no evidence is not read."""
    stage = played(site)
    page = ask(site, "GET", f"/api/v1/incidents/{CHIEF}/packets").json
    [packet] = page["packets"]
    assert bytes.fromhex(packet["payload"]) == LOGIN
    assert (packet["src_ip"], packet["dest_port"], packet["proto"]) == ("10.0.0.7", 3333, "TCP")
    assert packet["length"] == len(LOGIN)
    secret = site.state / "secret.pcap"
    pcap(secret, stage.at, b"secret")
    stage.record(an_alert("inc-path", container="other", pcap_file=str(secret)))
    page = ask(site, "GET", "/api/v1/incidents/inc-path/packets").json
    assert page["packets"] == []
    assert "not in an evidence folder" in page["missing"][0]
    many = pcap(site.state / "evidence" / "many.pcap", stage.at, *([b"x" * 5000] * 70))
    stage.record(an_alert("inc-many", container="third", pcap_file=many))
    page = ask(site, "GET", "/api/v1/incidents/inc-many/packets").json
    assert len(page["packets"]) == PACKETS
    assert (len(page["packets"][0]["payload"]), page["packets"][0]["length"]) == (4096, 5000)
    assert "the bundle has them" in page["missing"][0]


def test_flows_and_statistics_are_what_was_published(site: Site) -> None:
    """A flow's alerts are one record with its gravest verdict; counters and rates add up."""
    now = time.time()
    site.publish(
        an_alert(flow_id=1, at=now),
        an_alert(flow_id=2, at=now, dest_port=4444),
        stats(at=now - 60, packets=0, bytes=0, flows=0, seconds=1.0),
        stats(at=now, packets=6000, bytes=600_000, flows=60, seconds=61.0),
    )
    flows = ask(site, "GET", "/api/v1/flows").json
    assert [one["flow_id"] for one in flows["flows"]] == [2, 1]
    assert flows["kept"] == 2
    assert flows["flows"][0]["lineage"]["tool_call_id"] == "call-8f2"
    told = ask(site, "GET", "/api/v1/stats").json
    assert (told["packets"], told["cleared"]) == (6000, 37)
    assert told["verdicts"] == [{"action": "reject", "category": "mining", "alerts": 2}]
    middle = told["series"][-2]
    assert middle["packets"] == pytest.approx(100, abs=1)
    assert middle["bytes"] == pytest.approx(10_000, rel=0.01)
    text = ask(site, "GET", "/metrics").body.decode()
    assert 'davylamp_packets_total{worker="queue-40"} 6000.0' in text
