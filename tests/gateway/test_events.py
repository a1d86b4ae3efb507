"""The events that a gateway writes, as a log pipeline reads them."""

import re

import pytest
from tests.gateway.world import POOL, World, endpoint
from tests.lines import whole_lines

from davylamp.lab.programs.miner import MONERO_USER
from davylamp.lineage import Client

pytestmark = pytest.mark.lab

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00")


def test_events_are_eve_shaped_lines(world: World) -> None:
    """An alert has the members that DESIGN names, of the right kinds, with nothing secret in it."""
    world.pool(3333, families=(4,))
    with Client(world.gateway.lineage_url) as trainer:
        trainer.bind(ip=world.lab.sandboxes[0].ipv4, container="one", run_id="run-1")
        world.miner("sandbox-1", endpoint(POOL[4], 3333), dialect="cryptonote", attempts=2)
    world.gateway.wait_alerts(bool)
    events = whole_lines(world.gateway.events_file)
    alerts = [event for event in events if event["event_type"] == "alert"]
    assert [one["alert"]["signature_id"] for one in alerts] == ["cryptonote-login"]
    [alert] = alerts
    assert _TIME.fullmatch(alert["timestamp"])
    assert 0 < alert["flow_id"] < 2**53
    assert re.fullmatch(r"1:[A-Za-z0-9+/]{27}=", alert["community_id"])
    ends = [alert[name] for name in ("src_ip", "dest_ip", "dest_port", "proto", "app_proto")]
    assert ends == [world.lab.sandboxes[0].ipv4, POOL[4], 3333, "TCP", "cryptonote"]
    assert isinstance(alert["src_port"], int)
    about = alert["alert"]
    assert (about["category"], about["severity"]) == ("mining", 1)
    assert about["rev"] >= 1
    assert 80 <= about["confidence"] <= 100
    assert alert["verdict"]["action"] == "reject"
    assert alert["verdict"]["reason"]
    mining = {name: alert["mining"][name] for name in ("dialect", "role", "layers")}
    assert mining == {"dialect": "cryptonote", "role": "miner", "layers": ["tcp"]}
    [evidence] = alert["evidence"]
    assert (evidence["direction"], evidence["offset"]) == ("originator", 0)
    assert '"method":"login"' in evidence["excerpt"]
    assert MONERO_USER not in alert["evidence"][0]["excerpt"]
    assert MONERO_USER[:6] in evidence["excerpt"]
    lineage = alert["lineage"]
    assert (lineage["grade"], lineage["container"], lineage["run_id"]) == ("bound", "one", "run-1")
    assert lineage["lifecycle_id"].startswith("one@")
    assert alert["incident_id"].startswith("inc-")
    kinds = {event["event_type"] for event in events}
    assert kinds <= {"alert", "stats", "lineage", "pack"}
    assert world.gateway.events_file.stat().st_mode & 0o777 == 0o600


def test_statistics_come_from_every_worker(world: World) -> None:
    """Each worker reports its counters regularly, under its own name."""
    stats = [event for event in world.gateway.events() if hasattr(event, "worker")]
    assert {event.worker for event in stats} >= {"queue-40", "queue-41", "sample"}
