"""Incidents in a real Redis: each alert once, several writers, bounds, a restart."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec.structs import replace
from tests.incidents.conftest import MakeAlert

from davylamp.attribution.server import EmbeddedRedis
from davylamp.attribution.store import Store
from davylamp.events import ActionEvent, ActionInfo, encode
from davylamp.incidents import chain
from davylamp.incidents.keys import IncidentKeys, IncidentRetention
from davylamp.incidents.model import BOUNDS, Bounds, Status
from davylamp.incidents.operations import IncidentOperations

OPERATIONS = IncidentOperations()


def test_an_alert_that_is_handed_over_again_changes_nothing(
    store: Store, make_alert: MakeAlert
) -> None:
    """The spool may deliver one twice; it is folded once."""
    for _ in range(3):
        assert store.run(OPERATIONS.record(make_alert())) == "inc-1"
    record = store.run(OPERATIONS.look_up("inc-1"))
    assert record is not None
    assert record.incident.alerts == 1
    assert record.lines == (encode(make_alert()),)


def test_writers_at_the_same_time_lose_nothing(
    server: EmbeddedRedis, make_alert: MakeAlert
) -> None:
    """Four gateways feed one incident: each alert is in it once, and the chain is whole."""

    def write(writer: int) -> None:
        with Store(server.url) as mine:
            for number in range(15):
                flow = 100 * writer + number + 1
                alert = make_alert(f"inc-{writer}", flow_id=flow, at=1e9 + flow)
                mine.run(OPERATIONS.record(alert))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    with Store(server.url) as store:
        found = store.run(OPERATIONS.listing())
        records = [store.run(OPERATIONS.look_up(one.id)) for one in found]
    assert sum(one.alerts for one in found) == 60
    for record in records:
        assert record is not None
        assert list(record.digests) == chain.digests(record.incident.id, record.lines)
        assert record.digests[-1] == record.incident.chain_head


def test_another_id_of_the_same_subject_finds_the_one_incident(
    store: Store, make_alert: MakeAlert
) -> None:
    """A restarted gateway gives a new id: within the window it is the same incident, later not."""
    store.run(OPERATIONS.record(make_alert("inc-1", at=1000)))
    assert store.run(OPERATIONS.record(make_alert("inc-2", at=1100))) == "inc-1"
    assert store.run(OPERATIONS.record(make_alert("inc-2", at=1200, flow_id=2))) == "inc-1"
    assert store.run(OPERATIONS.record(make_alert("inc-3", at=5000))) == "inc-3"
    by_either = store.run(OPERATIONS.held("inc-2"))
    assert by_either is not None
    assert (by_either.incident.id, by_either.incident.alerts) == ("inc-1", 3)


def test_resolving_is_done_once_and_the_store_survives_a_restart(
    server: EmbeddedRedis, store: Store, make_alert: MakeAlert
) -> None:
    """Who resolved it first stays; all of it is there after Redis came back."""
    store.run(OPERATIONS.record(make_alert()))
    store.run(OPERATIONS.resolve("inc-1", "ada", "removed", 1e9 + 5))
    store.run(OPERATIONS.resolve("inc-1", "bob", "", 1e9 + 6))
    assert store.run(OPERATIONS.resolve("inc-none", "bob", "", 1e9)) is None
    server.stop()
    server.start()
    record = store.run(OPERATIONS.look_up("inc-1"))
    assert record is not None
    assert record.incident.status is Status.RESOLVED
    assert record.incident.resolution is not None
    assert record.incident.resolution.by == "ada"
    assert len(record.lines) == len(record.digests) == 2


def test_what_was_done_about_it_is_told_once(store: Store, make_alert: MakeAlert) -> None:
    """In the timeline, with who did it, and in the chain; of an incident that is gone nowhere."""
    store.run(OPERATIONS.record(make_alert()))
    event = ActionEvent(
        timestamp="2001-09-09T01:46:41+00:00",
        incident_id="inc-1",
        action=ActionInfo(kind="quarantine", status="done", target="c@1", gateway="gw-1"),
    )
    for _ in range(2):
        assert store.run(OPERATIONS.note(event))
    assert not store.run(OPERATIONS.note(replace(event, incident_id="inc-none")))
    for number in range(BOUNDS.timeline):
        store.run(
            OPERATIONS.note(replace(event, timestamp=f"2001-09-09T02:00:00.{number:06}+00:00"))
        )
    record = store.run(OPERATIONS.look_up("inc-1"))
    assert record is not None
    told = record.incident.timeline
    assert (told[1].what, told[1].by) == ("quarantine done: ", "gateway gw-1")
    assert len(told) == BOUNDS.timeline
    assert chain.digests("inc-1", record.lines)[-1] == record.incident.chain_head
    assert record.incident.alerts == 1


def test_no_more_is_kept_than_may_be(store: Store, make_alert: MakeAlert) -> None:
    """The incident silent longest goes with all its keys; an incident's own alerts are counted."""
    small = IncidentOperations(
        keep=IncidentRetention(incidents=3, trait=2), bounds=Bounds(alerts=2)
    )
    for number in range(6):
        alert = make_alert(f"inc-{number}", at=1000 + number, run=f"run-{number}")
        store.run(small.record(alert))
    for flow in range(2, 6):
        store.run(small.record(make_alert("inc-5", at=1005 + flow, run="run-5", flow_id=flow)))
    found = store.run(small.listing())
    assert [one.id for one in found] == ["inc-5", "inc-4", "inc-3"]
    assert (found[0].alerts, found[0].kept) == (5, 2)
    keys = {key.decode() for key in store._redis.keys("*")}
    names = IncidentKeys()
    assert not keys & {names.incident("inc-0"), names.chain("inc-0"), names.digests("inc-0")}
    assert store._redis.llen(names.chain("inc-5")) == 2
    assert all(store._redis.zcard(key) <= 2 for key in keys if "incident-trait" in key)


def test_a_wallet_is_found_again_in_the_experiment(store: Store, make_alert: MakeAlert) -> None:
    """Three runs, three incidents: the third knows of two before it."""
    for number in range(3):
        alert = make_alert(f"inc-{number}", at=1000 + 100 * number, run=f"run-{number}")
        store.run(OPERATIONS.record(alert))
    newest = store.run(OPERATIONS.listing())[0]
    [again] = [one for one in newest.recurrence if one.kind == "wallet"]
    assert (again.times, again.runs) == (3, ("run-0", "run-1"))


@pytest.mark.parametrize("planted", [b"{", b"\xff", b"[]", b'{"id":1}'])
def test_what_others_wrote_is_passed_over(
    store: Store, make_alert: MakeAlert, planted: bytes
) -> None:
    """An incident that cannot be read hides no other."""
    store.run(OPERATIONS.record(make_alert()))
    store._redis.hset(IncidentKeys().incident("inc-bad"), "json", planted)
    store._redis.zadd(IncidentKeys().index, {"inc-bad": 2e9})
    assert [one.id for one in store.run(OPERATIONS.listing())] == ["inc-1"]
    assert store.run(OPERATIONS.look_up("inc-bad")) is None
