"""Two containers of one name, as pods of two namespaces are: a name alone tells of neither."""

import pytest

from davylamp.attribution.calls import waiting_for
from davylamp.attribution.model import Binding, Grade, ToolCall
from davylamp.attribution.store import Store
from davylamp.errors import AmbiguousNameError

NAME = "sandbox-0"
A, B = f"uid-a@{100:.6f}", f"uid-b@{200:.6f}"


def pod(which: str, ip: str, since: float) -> Binding:
    """Return what the Kubernetes source says of a pod."""
    return Binding(
        ip=ip,
        lifecycle_id=f"uid-{which}@{since:.6f}",
        valid_from=since,
        container=NAME,
        container_id=f"uid-{which}",
        grade=Grade.OBSERVED,
        source="kubernetes",
    )


def call(name: str, started: float) -> ToolCall:
    """Return a call that began then."""
    return ToolCall(tool_call_id=name, lifecycle_id="", started=started)


def calls_of(store: Store, lifecycle: str) -> list[str]:
    """Return which calls are put down to a lifecycle."""
    return [each.tool_call_id for each in store.run(store.operations.calls([lifecycle]))]


def test_a_call_by_a_shared_name_is_refused_while_both_run(store: Store) -> None:
    """By the address or lifecycle id it is taken, and by the name when only one of them ran."""
    ops = store.operations
    for ip in ("10.7.0.1", "fd00::1"):
        store.run(ops.bind(pod("a", ip, 100.0), 100.0))
    for ip in ("10.7.0.2", "fd00::2"):
        store.run(ops.bind(pod("b", ip, 200.0), 200.0))
    for started in (200.0, 250.0):
        with pytest.raises(AmbiguousNameError, match="2 containers are named sandbox-0"):
            store.run(ops.put_call_of(call("both", started), NAME, ""))
    with pytest.raises(AmbiguousNameError):
        store.run(ops.release_container(NAME, 250.0, 250.0))
    store.run(ops.put_call_of(call("by-ip", 250.0), "", "10.7.0.1"))
    store.run(ops.put_call_of(call("by-id", 250.0), B, ""))
    store.run(ops.put_call_of(call("before", 150.0), NAME, ""))
    for ip in ("10.7.0.1", "fd00::1"):
        store.run(ops.release(ip, A, 300.0, 300.0))
    with pytest.raises(AmbiguousNameError):
        store.run(ops.put_call_of(call("late", 299.0), NAME, ""))
    store.run(ops.put_call_of(call("after", 300.0), NAME, ""))
    assert calls_of(store, A) == ["before", "by-ip"]
    assert calls_of(store, B) == ["by-id", "after"]


def test_a_call_is_taken_back_when_a_second_of_its_name_turns_up(store: Store) -> None:
    """It was put on the only one known; that both ran is known too late. No bind takes it then."""
    ops = store.operations
    store.run(ops.bind(pod("a", "10.7.0.1", 100.0), 100.0))
    store.run(ops.put_call_of(call("early", 150.0), NAME, ""))
    store.run(ops.put_call_of(call("both", 250.0), NAME, ""))
    store.run(ops.bind(pod("b", "10.7.0.2", 200.0), 260.0))
    store.run(ops.bind(pod("b", "fd00::2", 200.0), 261.0))
    store.run(ops.bind(pod("a", "fd00::1", 100.0), 262.0))
    assert calls_of(store, A) == ["early"]
    assert calls_of(store, B) == []
    assert calls_of(store, waiting_for(NAME)) == ["both"]


def test_one_after_the_other_is_no_matter(store: Store) -> None:
    """Nor is a start whose end nobody told, where no runtime saw both."""
    ops = store.operations
    store.run(ops.bind(pod("a", "10.7.0.1", 100.0), 100.0))
    store.run(ops.release("10.7.0.1", A, 200.0, 200.0))
    store.run(ops.bind(pod("b", "10.7.0.1", 200.0), 200.0))
    for number in range(2):
        told = Binding(
            ip=f"10.7.1.{number}", lifecycle_id="", valid_from=1.0 + number, container="t"
        )
        store.run(ops.bind(told, 3.0))
    placed = [store.run(ops.put_call_of(call("c", 200.0), name, "")) for name in (NAME, "t")]
    assert placed[0] is not None
    assert placed[0].lifecycle_id == B
    assert placed[1] is not None
