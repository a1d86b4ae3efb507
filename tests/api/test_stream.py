"""The event stream: what comes, how soon, and what becomes of who does not read."""

import asyncio
import http.client
import json
import socket
import time
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.api.conftest import Site
from tests.api.talk import an_alert, ask, wait_until

from davylamp.api import hub
from davylamp.api.flows import FlowRing
from davylamp.api.hub import Hub
from davylamp.api.model import Hello
from davylamp.api.series import SLOT_SECONDS, SLOTS, Series
from davylamp.events import StatsEvent, TlsEvent, rfc3339
from davylamp.incidents.operations import IncidentOperations
from davylamp.lineage import Client


class Listener:
    """A client of the stream."""

    def __init__(self, site: Site) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
        self._connection.request("GET", "/api/v1/events", headers=site.headers())
        self.answer = self._connection.getresponse()

    def next(self, name: str) -> Any:
        """Return the data of the next event of that name."""
        wanted = False
        while line := self.answer.readline():
            if line.startswith(b"event: "):
                wanted = line[7:].strip().decode() == name
            elif wanted and line.startswith(b"data: "):
                return json.loads(line[6:])
        raise AssertionError("the stream has ended")

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def test_what_happens_comes_at_once(site: Site) -> None:
    """An incident that another writes to the store, its end, a flow and a binding, within 2 s."""
    document = ask(site, "GET", "/api/v1/openapi.json").json
    kinds = document["paths"]["/api/v1/events"]["get"]["x-events"]

    def fits(name: str, data: Any) -> Any:
        whole = {**kinds[name], "components": document["components"]}
        Draft202012Validator(whole).validate(data)
        return data

    operations = IncidentOperations()
    site.store.run(operations.record(an_alert("inc-old")))
    listener = Listener(site)
    assert listener.answer.headers["Content-Type"] == "text/event-stream"
    assert fits("hello", listener.next("hello"))["version"]
    began = time.monotonic()
    site.store.run(operations.record(an_alert("inc-new", container="box", run="r2")))
    while (one := listener.next("incident"))["id"] != "inc-new":
        pass
    assert fits("incident", one)["who"]["run_id"] == "r2"
    site.store.run(operations.resolve("inc-new", "ada", "", time.time()))
    while (one := listener.next("incident"))["status"] != "resolved":
        assert one["id"] == "inc-new"
    site.publish(an_alert(flow_id=77))
    assert fits("flow", listener.next("flow"))["flow_id"] == 77
    with Client(site.store.url) as client:
        client.bind(ip="10.0.0.20", container="late")
    assert fits("lineage", listener.next("lineage"))["lineage"]["container"] == "late"
    assert time.monotonic() - began < 6  # four things of 2 s each at most
    listener.close()
    assert wait_until(lambda: len(site.board.hub) == 0, 15)


def test_who_does_not_read_is_cut_off(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client with a full queue is hung up on, whoever reads goes on, and too many are refused."""
    monkeypatch.setattr(hub, "CLIENTS", 2)
    reader = Listener(site)
    reader.next("hello")
    slow = socket.create_connection(("127.0.0.1", site.port))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    token = site.token()
    slow.sendall(
        f"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n"
        "".encode()
    )
    assert wait_until(lambda: len(site.board.hub) == 2)
    assert ask(site, "GET", "/api/v1/events").status == 503
    seen = 0

    def flooded() -> bool:
        nonlocal seen
        site.publish(*(an_alert(flow_id=seen + number) for number in range(100)))
        for _ in range(100):
            seen = reader.next("flow")["flow_id"] + 1
        return site.board.hub.cut == 1

    assert wait_until(flooded, 30)
    assert seen >= 100
    assert len(site.board.hub) == 1
    slow.close()
    reader.close()


def test_a_queue_is_bounded_in_events_and_bytes() -> None:
    """Who has taken nothing is cut once either bound is reached."""
    cut: list[int] = []

    async def scenario(size: int) -> None:
        made = Hub()
        assert made.subscribe(lambda: cut.append(size)) is not None
        for _ in range(hub.QUEUE + 1):
            made.publish("hello", Hello(at="x" * size, version=""))
        assert len(made) == 0

    asyncio.run(scenario(1))
    asyncio.run(scenario(hub.QUEUE_BYTES // 100))
    assert cut == [1, hub.QUEUE_BYTES // 100]


def test_the_ring_of_flows_is_bounded() -> None:
    """The oldest go; a diversion of a flow that was alerted on leaves its verdict standing."""
    ring = FlowRing(3)
    for number in range(5):
        ring.take(an_alert(flow_id=number))
    assert [one.flow_id for one in ring.newest(9)] == [4, 3, 2]
    diverted = TlsEvent(
        timestamp=rfc3339(2e9),
        flow_id=3,
        flow_start=rfc3339(1e9),
        community_id="1:3",
        src_ip="10.0.0.7",
        src_port=1,
        dest_ip="198.51.100.9",
        dest_port=443,
        proto="TCP",
        diversion="untrusted",
    )
    assert ring.take(diverted).action == "reject"
    assert [one.flow_id for one in ring.newest(9)] == [3, 4, 2]
    fresh = FlowRing().take(diverted)
    assert (fresh.action, fresh.what) == ("divert", "untrusted")


def counted(at: float, seconds: float, packets: int, worker: str = "w") -> StatsEvent:
    """Return a report."""
    return StatsEvent(
        timestamp=rfc3339(at),
        packets=packets,
        bytes=packets * 10,
        flows=packets,
        alerts=0,
        seconds=seconds,
        worker=worker,
    )


def test_throughput_is_spread_over_the_time_it_took() -> None:
    """Growth between reports is even, a worker that begins anew adds what it counted, old goes."""
    series = Series()
    start = 1_000_000.0
    series.take(counted(start, 0.0, 0))
    series.take(counted(start + 40, 40.0, 4000))
    assert {one.packets for one in series.samples(start + 41)} == {100.0}
    assert len(series.samples(start + 41)) == 4
    series.take(counted(start + 60, 10.0, 500))  # started again ten seconds ago
    assert [one.packets for one in series.samples(start + 61)] == [100.0] * 4 + [0.0, 50.0]
    series.take(counted(start + 60 + 10 * SLOTS * SLOT_SECONDS, 9_000_010.0, 10**9))
    assert len(series.samples(start + 60 + 10 * SLOTS * SLOT_SECONDS)) == SLOTS
    for number in range(1000):
        series.take(counted(start, 1.0, 1, f"worker-{number}"))
    assert len(series._last) <= 256
