"""Alerts whose container or tool call becomes known only after they were told."""

import asyncio

import pytest
from tests.gateway.test_alerts import ADDRESS, Clock, alert, holds

from davylamp.attribution.model import Change, Grade, ToolCall, ToolCallChange
from davylamp.attribution.naming import AddressNamer
from davylamp.attribution.table import LineageTable
from davylamp.events import AlertEvent, LineageEvent, LineageInfo
from davylamp.latecomers import CAPACITY, Latecomers

OPENED = 100.0


class Scene:
    """A table, a clock and what was told; an alert of a flow that opened at 100."""

    def __init__(self, *known: Change, seconds: float = 60.0) -> None:
        self.table, self.clock = LineageTable(), Clock(OPENED + 3)
        self.told: list[LineageEvent] = []
        self.late = Latecomers(AddressNamer(self.table), self.told.append, self.clock, seconds)
        self.learn(*known)
        self.late.take(self.alert)

    @property
    def alert(self) -> AlertEvent:
        """The alert as it is told by what is known now."""
        who = self.table.attribute(ADDRESS, OPENED).info()
        return alert(incident_id="inc-1", lineage=who)

    def learn(self, *changes: Change) -> None:
        """Have the table learn something, and all be confirmed until now."""
        for change in changes:
            self.table.apply(change)
        self.table.confirm(self.clock.now)

    def later(self, *changes: Change, after: float = 5.0) -> list[LineageEvent]:
        """Learn something that much later; return what was told since."""
        self.clock.now += after
        self.learn(*changes)
        before = len(self.told)
        asyncio.run(self.late.look_again())
        return self.told[before:]


def call(started: float) -> ToolCallChange:
    """Return a tool call of the container that ran from then on."""
    return ToolCallChange(
        call=ToolCall(tool_call_id="call-1", lifecycle_id="one@90.0", started=started, tool="bash")
    )


def test_a_binding_that_comes_late_names_the_flow() -> None:
    """Both are told: what the alert said, and who it is; once."""
    scene = Scene()
    [event] = scene.later(holds("one", 90.0, 1))
    assert event.before == LineageInfo(
        grade="unknown", reason="no container is known to have held it"
    )
    assert (event.lineage.grade, event.lineage.container) == ("bound", "one")
    assert (event.change, event.incident_id, event.flow_id) == ("attributed", "inc-1", 1)
    assert scene.later(holds("one", 90.0, 1)) == []


def test_a_tool_call_that_comes_late_is_added() -> None:
    """The container was known; what it ran is told when the trainer says so."""
    scene = Scene(holds("one", 90.0, 1))
    [event] = scene.later(call(started=95.0))
    assert event.lineage.tool_call_id == "call-1"
    assert event.before is not None
    assert (event.before.container, event.before.tool_call_id) == ("one", "")


def test_a_correction_is_told_too() -> None:
    """That another container had the address by then, said late, takes the earlier's place."""
    scene = Scene(holds("one", 90.0, 1))
    [event] = scene.later(holds("two", 99.0, 2))
    assert event.before is not None
    assert (event.before.container, event.lineage.container) == ("one", "two")


@pytest.mark.parametrize("change", [holds("one", 101.0, 1), call(started=95.0)])
def test_news_of_something_else_tell_nothing(change: Change) -> None:
    """Who took the address afterwards is not who it was."""
    assert Scene().later(change) == []


def test_after_its_time_an_alert_is_left_as_it_is() -> None:
    """And where nothing is to be looked at again, nothing is kept."""
    scene = Scene()
    assert scene.later(holds("one", 90.0, 1), after=61.0) == []
    assert len(scene.late) == 0
    assert len(Scene(seconds=0.0).late) == 0


def test_what_is_sure_is_not_kept_and_the_rest_is_bounded() -> None:
    """However many alerts there are."""
    assert len(Scene(holds("one", 90.0, 1), call(started=95.0)).late) == 0
    scene = Scene()
    for _ in range(CAPACITY + 5):
        scene.late.take(scene.alert)
    assert len(scene.late) == CAPACITY
    assert Grade(scene.alert.lineage.grade if scene.alert.lineage else "") is Grade.UNKNOWN


def test_all_else_goes_on_while_many_are_looked_at() -> None:
    """The event loop is never held for more than a few; what comes meanwhile harms nothing."""
    scene = Scene()
    for _ in range(CAPACITY):
        scene.late.take(scene.alert)
    unnamed = scene.alert
    scene.clock.now += 5.0
    scene.learn(holds("one", 90.0, 1))

    async def looked_at() -> int:
        looking = asyncio.create_task(scene.late.look_again())
        turns = 0
        while not looking.done():
            turns += 1
            scene.late.take(unnamed)
            await asyncio.sleep(0)
        await looking
        return turns

    assert asyncio.run(looked_at()) >= 100
    assert len(scene.told) == CAPACITY
