"""Attribution by time: certain only where it is right, stale or unknown elsewhere."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.attribution.history import History
from davylamp.attribution.model import (
    Binding,
    BindingChange,
    Grade,
    ToolCall,
    ToolCallChange,
)
from davylamp.attribution.table import LineageTable, TableLimits

IP = "10.0.0.7"


def bound(name: str, start: float, end: float | None = None, **fields: object) -> BindingChange:
    """Say that a container holds the address from start to end."""
    binding = Binding(
        ip=IP,
        lifecycle_id=name,
        valid_from=start,
        valid_to=end,
        container=name,
        grade=Grade.BOUND,
        serial=int(start) + 1,
        version=1 if end is None else 2,
    )
    return BindingChange(binding=msgspec.structs.replace(binding, **fields))


def called(name: str, start: float, end: float | None = None) -> ToolCallChange:
    """Say that a tool call ran in container ``a``."""
    return ToolCallChange(
        call=ToolCall(tool_call_id=name, lifecycle_id="a", started=start, ended=end)
    )


def table_of(
    *changes: BindingChange | ToolCallChange, limits: TableLimits | None = None
) -> LineageTable:
    """Fill a live table, confirmed at 100."""
    table = LineageTable(limits)
    for change in changes:
        table.apply(change)
    table.confirm(100.0)
    return table


def test_nobody_is_named_before_anything_is_known() -> None:
    """An empty table answers unknown, with a reason."""
    answer = LineageTable().attribute(IP, 1.0)
    assert (answer.grade, answer.binding) == (Grade.UNKNOWN, None)
    assert answer.info().reason


def test_a_reused_address_belongs_to_whoever_held_it_then() -> None:
    """The time of the flow decides, not who holds the address now."""
    table = table_of(bound("a", 10, 20), bound("b", 20, 30), bound("c", 40))
    answers = [table.attribute(IP, at) for at in (5, 10, 19.9, 20, 29, 50)]
    named = [answer.binding and answer.binding.lifecycle_id for answer in answers]
    assert named == [None, "a", "a", "b", "b", "c"]
    assert [answer.grade for answer in answers] == ["unknown", *["bound"] * 5]


def test_just_released_is_stale_and_long_released_is_unknown() -> None:
    """The last packets of a container are a good guess for a minute, and a guess is marked."""
    table = table_of(bound("a", 10, 20))
    assert table.attribute(IP, 21).grade is Grade.STALE
    assert table.attribute(IP, 81).grade is Grade.UNKNOWN


def test_an_old_snapshot_is_stale_beyond_its_confirmation() -> None:
    """While Redis hangs, what was confirmed stays certain and what came later does not."""
    table = table_of(bound("a", 10))
    assert table.attribute(IP, 100).grade is Grade.BOUND
    assert table.attribute(IP, 100.1).grade is Grade.STALE


def test_what_was_not_confirmed_is_certain_once_it_is() -> None:
    """Not lost and not late: what has just happened may be on its way, until it is confirmed."""
    table = table_of(bound("a", 10))
    assert table.attribute(IP, 100.1).grade is Grade.STALE
    table.confirm(101)
    assert table.attribute(IP, 100.1).grade is Grade.BOUND


def test_one_running_call_is_named_and_several_are_candidates() -> None:
    """An address cannot tell overlapping tool calls apart; they are listed instead."""
    table = table_of(bound("a", 10), called("t1", 20, 30), called("t2", 25, 40))
    one, two, none = (table.attribute(IP, at) for at in (22, 27, 50))
    assert one.call is not None
    assert (one.call.tool_call_id, one.candidates) == ("t1", ())
    assert two.call is None
    assert [call.tool_call_id for call in two.candidates] == ["t1", "t2"]
    assert (none.call, none.candidates) == (None, ())
    assert [each.tool_call_id for each in two.info().candidates] == ["t1", "t2"]


def test_a_stale_answer_names_no_tool_call() -> None:
    """What may have ended unseen is a candidate, not the answer."""
    table = table_of(bound("a", 10), called("t1", 20))
    table.lose()
    answer = table.attribute(IP, 150)
    assert (answer.grade, answer.call) == (Grade.STALE, None)
    assert [call.tool_call_id for call in answer.candidates] == ["t1"]


def test_another_containers_call_is_not_ours() -> None:
    """Tool calls are joined by lifecycle as well as by time."""
    table = table_of(bound("b", 10), called("t1", 20))
    assert table.attribute(IP, 25).call is None


def test_an_ended_call_does_not_run_again() -> None:
    """A begin that arrives after its end changes nothing."""
    table = table_of(bound("a", 10), called("t1", 20, 30), called("t1", 20))
    assert table.attribute(IP, 35).call is None


def test_dropped_calls_take_certainty_with_them() -> None:
    """Where calls were dropped for space, one remaining call is not named as the only one."""
    calls = [called("long", 20, 90), called("t1", 30, 40), called("t2", 50, 60)]
    table = table_of(bound("a", 10), *calls, limits=TableLimits(calls=2))
    assert table.attribute(IP, 35).call is None
    assert [c.tool_call_id for c in table.attribute(IP, 35).candidates] == ["t1"]


def test_the_table_is_bounded() -> None:
    """Addresses, bindings and calls beyond the limits push out the oldest."""
    table = LineageTable(TableLimits(addresses=4, bindings=3, calls=3, lifecycles=4))
    for number in range(50):
        table.apply(bound(f"c{number}", number, number + 1))
        table.apply(bound("x", 1, ip=f"10.0.1.{number}"))
        table.apply(called(f"t{number}", number, number + 1))
    table.confirm(100)
    assert table.addresses == 4
    assert table.attribute(IP, 10.5).grade is Grade.UNKNOWN


def test_adopting_forgets_what_was_there() -> None:
    """A reload leaves nothing of the old snapshot, and readers never see a half of it."""
    table, shadow = table_of(bound("a", 10)), LineageTable()
    shadow.apply(bound("b", 10, ip="10.0.0.8"))
    table.adopt(shadow)
    assert table.attribute(IP, 50).grade is Grade.UNKNOWN
    assert table.attribute("10.0.0.8", 50).grade is Grade.BOUND


holders = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 4)), min_size=1, max_size=6
)  # (gap before, length) of one holder after another


@settings(max_examples=200, deadline=None)
@given(
    holders=holders,
    lost_at=st.integers(0, 30).map(float),
    lost=st.booleans(),
    at=st.integers(0, 60).map(lambda half: half / 2),
    data=st.data(),
)
def test_certain_answers_are_right(
    *,
    holders: list[tuple[int, int]],
    lost_at: float,
    lost: bool,
    at: float,
    data: st.DataObject,
) -> None:
    """A grade better than stale names the true holder, whatever came late, twice or never."""
    start, truth = 0, []
    for number, (gap, length) in enumerate(holders):
        truth.append((f"c{number}", float(start + gap), float(start + gap + length)))
        start += gap + length
    holder = next((name for name, begin, end in truth if begin <= at < end), None)

    published = [c for c in _published(truth) if c[0] <= lost_at]
    repeated = st.lists(st.sampled_from(published)) if published else st.just([])
    delivered = data.draw(st.permutations(published + data.draw(repeated)))
    table = LineageTable()
    for _, change in delivered:
        table.apply(change)
    table.confirm(lost_at)
    if lost:
        table.lose()

    answer = table.attribute(IP, at)
    if answer.grade.certain():
        assert answer.binding is not None
        assert answer.binding.lifecycle_id == holder
    elif at <= lost_at:
        assert holder is None


def _published(truth: list[tuple[str, float, float]]) -> list[tuple[float, BindingChange]]:
    """Return the changes that a store publishes while these containers come and go."""
    history, found = History(IP), []
    moments = [(end, 0, name) for name, _, end in truth]
    moments += [(begin, 1, name) for name, begin, _ in truth]
    for stamp, (at, kind, name) in enumerate(sorted(moments)):
        before = history
        if kind == 0:
            history = history.release(name, at, stamp)
        else:
            bind = Binding(ip=IP, lifecycle_id=name, valid_from=at, grade=Grade.OBSERVED)
            history = history.bind(bind, stamp)
        fresh = [each for each in history.bindings if each not in before.bindings]
        found += [(at, BindingChange(binding=each)) for each in fresh]
    return found
