"""What becomes of a worker's alert before anyone sees it: its flow, its container, its incident."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest
from tests.alerts import an_alert
from tests.alerts import signature as told_by

from davylamp.alerts import PATIENCE_SECONDS, AlertDesk, FlowBook
from davylamp.attribution.model import Binding, BindingChange, Grade
from davylamp.attribution.naming import AddressNamer
from davylamp.attribution.table import LineageTable
from davylamp.events import AlertEvent, LineageInfo

ADDRESS = "10.90.0.11"


def alert(
    signature: str = "login",
    *,
    flow_id: int = 1,
    opened: float = 100.0,
    incident_id: str = "",
    lineage: LineageInfo | None = None,
) -> AlertEvent:
    """Return an alert on one flow, as a worker makes it; or as it is told."""
    return an_alert(
        opened,
        incident_id=incident_id,
        lineage=lineage,
        flow_id=flow_id,
        community_id="1:a",
        src_ip=ADDRESS,
        dest_ip="203.0.113.10",
        alert=told_by(signature, signature=signature, confidence=95),
    )


def holds(container: str, since: float, serial: int) -> BindingChange:
    """Return the change that says who holds the address from then on."""
    binding = Binding(
        ip=ADDRESS,
        lifecycle_id=f"{container}@{since}",
        valid_from=since,
        container=container,
        grade=Grade.BOUND,
        serial=serial,
        version=serial,
    )
    return BindingChange(binding=binding)


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time that it was set to."""
        return self.now


async def settled(true: Callable[[], object]) -> None:
    """Let the desk work until something has come of it."""
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - the desk tells no one
            await asyncio.sleep(0.01)


def attribute(*, confirmed: float) -> LineageInfo:
    """Attribute an alert of a flow opened at 100 to an address last known to change hands at 99.

    The store confirms at ``confirmed`` that until then nothing else happened.
    """
    table, clock, published = LineageTable(), Clock(100.5), list[AlertEvent]()
    table.apply(holds("before", 10.0, 1))
    table.confirm(99.5)

    async def play() -> None:
        desk = AlertDesk(table, AddressNamer(table), published.append, clock)
        running = asyncio.create_task(desk.run())
        desk.take("queue-40", alert())
        await asyncio.sleep(0.2)
        assert published == []
        table.apply(holds("after", 99.9, 2))
        table.confirm(confirmed)
        clock.now = 100.5 + PATIENCE_SECONDS
        await settled(lambda: published)
        running.cancel()
        await running

    asyncio.run(play())
    [event] = published
    assert event.lineage is not None
    assert event.incident_id
    return event.lineage


def test_an_alert_waits_until_its_flows_beginning_is_known() -> None:
    """The container that took the address just before is named, not the one that gave it up."""
    assert (attribute(confirmed=100.1).container, attribute(confirmed=100.1).grade) == (
        "after",
        "bound",
    )


def test_silence_of_the_store_makes_a_name_stale() -> None:
    """Where the store has not confirmed the time when the flow opened, the grade says so."""
    assert attribute(confirmed=99.95).grade == "stale"


def test_the_rest_is_passed_on_at_the_end() -> None:
    """An alert that came just before the gateway ends is written all the same."""
    published: list[AlertEvent] = []

    async def play() -> None:
        clock = Clock(100.5)
        table = LineageTable()
        desk = AlertDesk(table, AddressNamer(table), published.append, clock)
        running = asyncio.create_task(desk.run())
        desk.take("queue-40", alert())
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.sleep(0.1)
        clock.now += 5
        await running

    asyncio.run(play())
    [event] = published
    assert event.lineage == LineageInfo(
        grade="unknown", reason="no container is known to have held it"
    )


@pytest.mark.parametrize("order", [("queue-40", "sample-40"), ("sample-40", "queue-40")])
def test_what_two_workers_see_is_one_flow(order: tuple[str, str]) -> None:
    """Who sees a flow second adds what is new to it, under the first one's flow id, once."""
    book = FlowBook()
    first, second = alert(), alert(flow_id=2, opened=101.0)
    assert book.file(order[0], first, 101.0) == first
    assert book.file(order[1], second, 101.5) is None
    more = book.file(order[1], alert("submit", flow_id=2, opened=101.0), 102.0)
    assert more is not None
    assert (more.flow_id, more.flow_start) == (first.flow_id, first.flow_start)


def test_the_same_ports_used_again_are_another_flow() -> None:
    """A worker's next flow on the same ports is alerted on anew; so is one after a long silence."""
    book = FlowBook(window=300.0)
    assert book.file("queue-40", alert(), 101.0)
    again = alert(flow_id=2, opened=150.0)
    assert book.file("queue-40", again, 151.0) == again
    much_later = alert(flow_id=3, opened=500.0)
    assert book.file("sample-40", much_later, 500.0) == much_later


@pytest.mark.parametrize("order", [("queue-40", "sample-40"), ("sample-40", "queue-40")])
def test_whoever_saw_a_flow_second_sees_another_one(order: tuple[str, str]) -> None:
    """The next connection on the same ports is one also where the other worker was first before."""
    book = FlowBook()
    assert book.file(order[0], alert(), 101.0)
    assert book.file(order[1], alert("submit", flow_id=7, opened=101.0), 102.0)
    again = alert(flow_id=8, opened=160.0)
    assert book.file(order[1], again, 160.0) == again
    more = book.file(order[1], alert("submit", flow_id=8, opened=160.0), 161.0)
    assert more is not None
    assert (more.flow_id, more.flow_start) == (again.flow_id, again.flow_start)


def test_flows_are_remembered_up_to_a_bound() -> None:
    """However many flows are alerted on, no more than the capacity are kept."""
    book = FlowBook(capacity=10)
    for number in range(100):
        one = msgspec.structs.replace(alert(flow_id=number), community_id=f"1:{number}")
        assert book.file("queue-40", one, 101.0) == one
    assert len(book._flows) == 10
