"""The store on a real redis-server: compare-and-set, history, tags, and what other clients see."""

import asyncio
import ctypes
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from davylamp.attribution.keys import Keys, Retention
from davylamp.attribution.model import Binding, Grade, ToolCall
from davylamp.attribution.operations import Operations
from davylamp.attribution.server import EmbeddedRedis
from davylamp.attribution.store import AsyncStore, Store
from davylamp.attribution.table import LineageTable
from davylamp.errors import LineageUnavailable
from davylamp.events import AlertEvent, LineageEvent, LineageInfo, rfc3339

IP = "10.0.0.7"


def hold(container: str, start: float, **fields: object) -> Binding:
    """Bind the address to one lifecycle of a container."""
    return Binding(
        ip=IP,
        lifecycle_id=f"{container}@{start}",
        valid_from=start,
        container=container,
        **fields,  # type: ignore[arg-type]
    )


@pytest.fixture
def raw(server: EmbeddedRedis) -> Iterator[Any]:
    """Open a plain Redis client, as anybody's program would."""
    with redis.Redis(unix_socket_path=str(server.place.socket), decode_responses=True) as client:
        yield client


def test_a_reused_address_keeps_its_history(store: Store) -> None:
    """Each holder of an address is found by time after the address was given on."""
    ops = store.operations
    store.run(ops.bind(hold("a", 10), 10))
    store.run(ops.bind(hold("b", 20), 20))
    store.run(ops.release(IP, "b@20", 30, 30))
    history = store.run(ops.history(IP))
    held = [holder and holder.container for holder in map(history.holder, (5, 15, 25, 35))]
    assert held == [None, "a", "b", None]


def test_a_late_release_does_not_remove_the_new_binding(store: Store, raw: Any) -> None:
    """A release compares the lifecycle before it removes the current binding."""
    ops = store.operations
    store.run(ops.bind(hold("a", 10), 10))
    store.run(ops.bind(hold("b", 20), 20))
    assert store.run(ops.release(IP, "a@10", 25, 25)) is False
    assert json.loads(str(raw.get("davylamp:address:10.0.0.7")))["container"] == "b"
    assert store.run(ops.release(IP, "b@20", 30, 30)) is True
    assert raw.get("davylamp:address:10.0.0.7") is None
    assert raw.zcard("davylamp:address-past:10.0.0.7") == 2


def test_repeating_changes_and_publishes_nothing(store: Store, raw: Any) -> None:
    """A bind, call or release said twice is one change in the stream."""
    ops = store.operations
    call = ToolCall(tool_call_id="t", lifecycle_id="a@10", started=11.0, ended=12.0)
    for _ in range(3):
        store.run(ops.bind(hold("a", 10), 10))
        store.run(ops.put_call(call))
    assert raw.xlen("davylamp:lineage:changes") == 2
    for _ in range(3):
        store.run(ops.release(IP, "a@10", 30, 30))
    assert raw.xlen("davylamp:lineage:changes") == 3


def test_a_call_that_ended_stays_ended(store: Store) -> None:
    """A begin delayed past its end does not make the call run again."""
    ops = store.operations
    call = ToolCall(tool_call_id="t", lifecycle_id="a@10", started=11.0, ended=12.0)
    assert store.run(ops.put_call(call))
    assert not store.run(
        ops.put_call(ToolCall(tool_call_id="t", lifecycle_id="a@10", started=11.0))
    )
    assert store.run(ops.calls(["a@10"])) == [call]


def test_concurrent_writers_leave_one_holder(server: EmbeddedRedis) -> None:
    """Writers that race for an address all get in, one after another, without an overlap."""

    def write(number: int) -> None:
        with Store(server.url) as mine:
            for turn in range(5):
                start = float(turn * 8 + number + 1)
                mine.run(mine.operations.bind(hold(f"c{number}", start), start))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Store(server.url) as store:
        history = store.run(store.operations.history(IP))
    assert [b.valid_from for b in history.bindings] == [float(n) for n in range(1, 41)]
    assert [b.valid_to for b in history.bindings] == [*(float(n) for n in range(2, 41)), None]


def test_times_survive_to_the_microsecond(store: Store) -> None:
    """Lua rounds numbers to 14 digits; times pass it as text."""
    start = 1763930000.123456
    store.run(store.operations.bind(hold("a", start), start))
    store.run(store.operations.bind(hold("b", start + 1e-6), start))
    history = store.run(store.operations.history(IP))
    assert [b.valid_from for b in history.bindings] == [start, start + 1e-6]


def test_keys_are_bounded(server: EmbeddedRedis, raw: Any) -> None:
    """Bindings, lifecycles, calls, incidents and addresses are kept up to their limits."""
    keep = Retention(bindings=3, lifecycles=3, calls=3, addresses=5)
    with Store(server.url, Operations(keep=keep)) as store:
        ops = store.operations
        for number in range(1, 20):
            store.run(ops.bind(hold("a", float(number)), float(number)))
            other = Binding(ip=f"10.0.1.{number}", lifecycle_id="x", valid_from=1.0, container="x")
            store.run(ops.bind(other, float(number)))
            call = ToolCall(tool_call_id=f"t{number}", lifecycle_id="x", started=float(number))
            store.run(ops.put_call(call))
        assert raw.zcard("davylamp:address-past:10.0.0.7") <= 3
        assert raw.zcard("davylamp:container-lifecycles:a") == 3
        assert [c.tool_call_id for c in store.run(ops.calls(["x"]))] == ["t17", "t18", "t19"]
        assert raw.zcard("davylamp:calls-order:x") == 3
        assert raw.zcard("davylamp:lineage:addresses") == 5


def test_the_tag_is_on_the_containers_record(
    store: Store, raw: Any, make_alert: Callable[..., AlertEvent]
) -> None:
    """An incident shows on the container for our own reader and for any Redis client."""
    ops = store.operations
    store.run(ops.bind(hold("a", 10.0, run_id="r1"), 10))
    alert = make_alert("a", "a@10.0")
    assert [store.run(ops.record(alert)) for _ in range(3)] == [True, False, False]
    dossier = store.run(ops.look_up("a"))
    assert dossier is not None
    assert dossier.incidents == (alert,)
    record = raw.hgetall("davylamp:container:a")
    assert record["incidents"] == "1"
    assert record["run_id"] == "r1"
    assert json.loads(record["last_incident"])["alert"]["signature_id"] == "stratum-v1-login"
    assert raw.xlen("davylamp:events") == 1
    assert list(raw.hgetall("davylamp:incidents:a@10.0")) == ["i-1/7/stratum-v1-login"]


def test_a_tag_alone_is_not_an_event(
    store: Store, raw: Any, make_alert: Callable[..., AlertEvent]
) -> None:
    """Tagging a container does not publish the alert a second time."""
    alert = make_alert("a", "a@10")
    assert store.run(store.operations.tag(alert))
    assert raw.xlen("davylamp:events") == 0
    assert store.run(store.operations.record(alert))
    assert raw.xlen("davylamp:events") == 1
    assert raw.hlen("davylamp:incidents:a@10") == 1


def test_an_incident_stays_with_its_lifecycle(
    store: Store, raw: Any, make_alert: Callable[..., AlertEvent]
) -> None:
    """A container of the same name that starts later has a clean record; history keeps the old."""
    ops = store.operations
    store.run(ops.bind(hold("a", 10), 10))
    store.run(ops.record(make_alert("a", "a@10")))
    store.run(ops.bind(hold("a", 20), 20))
    store.run(ops.record(make_alert("a", "a@10", flow_id=8)))
    assert "incidents" not in raw.hgetall("davylamp:container:a")
    assert len(_incidents(store, "a@10")) == 2
    assert len(_incidents(store, "a@20")) == 0


def _incidents(store: Store, subject: str) -> tuple[AlertEvent, ...]:
    dossier = store.run(store.operations.look_up(subject))
    assert dossier is not None
    return dossier.incidents


def test_events_without_a_container_are_published(store: Store, raw: Any) -> None:
    """Any event goes to the stream, as the very line that files get."""
    event = LineageEvent(timestamp=rfc3339(1.0), change="bound", lineage=LineageInfo(grade="bound"))
    assert store.run(store.operations.record(event))
    [(_, fields)] = raw.xrange("davylamp:events")
    assert json.loads(fields["event"])["event_type"] == "lineage"


def test_both_addresses_of_a_container_are_released_together(store: Store) -> None:
    """Releasing a container by name ends its IPv4 and its IPv6 binding."""
    ops = store.operations
    for ip in (IP, "fd00::7"):
        binding = Binding(ip=ip, lifecycle_id="a@10", valid_from=10.0, container="a")
        store.run(ops.bind(binding, 10))
    assert store.run(ops.release_container("a", 20.0, 20)) == 2
    assert store.run(ops.release_container("a", 20.0, 20)) == 0
    assert store.run(ops.listing(10)) == []


def test_a_call_is_placed_by_name_and_time(store: Store) -> None:
    """A name means the lifecycle that had it when the call began; strangers get nothing."""
    ops = store.operations
    store.run(ops.bind(hold("a", 10), 10))
    store.run(ops.bind(hold("a", 20), 20))
    call = ToolCall(tool_call_id="t", lifecycle_id="", started=15.0)
    for container, ip in (("a", ""), ("", IP), ("a@10", "")):
        placed = store.run(ops.put_call_of(call, container, ip))
        assert placed is not None
        assert placed.lifecycle_id == "a@10"
    assert store.run(ops.put_call_of(call, "nobody", "")) is None


def test_what_others_wrote_is_skipped(store: Store, raw: Any) -> None:
    """Records that cannot be read do not hide those that can."""
    ops = store.operations
    store.run(ops.bind(hold("a", 10), 10))
    raw.zadd("davylamp:address-past:10.0.0.7", {"not json": 1.0, '{"ip": 7}': 2.0})
    raw.hset("davylamp:calls:a@10", "x", "\ud7ff{")
    raw.hset("davylamp:incidents:a@10", "x", "[]")
    raw.xadd("davylamp:lineage:changes", {"change": "{}"})
    raw.xadd("davylamp:lineage:changes", {"other": "x"})
    dossier = store.run(ops.look_up(IP))
    assert dossier is not None
    assert [b.container for b in dossier.bindings] == ["a"]
    assert len(store.run(ops.changes("0-0", 0.01, 100)).changes) == 1


def test_a_prefix_in_braces_is_one_cluster_slot(server: EmbeddedRedis, raw: Any) -> None:
    """With ``{davylamp}:`` every key hashes by its tag, so scripts stay within one slot."""
    with Store(server.url, Operations(keys=Keys("{davylamp}:"))) as store:
        store.run(store.operations.bind(hold("a", 10), 10))
        assert store.run(store.operations.look_up("a")) is not None
    assert all(str(key).startswith("{davylamp}:") for key in raw.scan_iter())


def test_the_async_store_does_the_same(
    server: EmbeddedRedis, make_alert: Callable[..., AlertEvent]
) -> None:
    """What one executor writes the other reads."""

    async def scenario() -> None:
        async with AsyncStore(server.url) as store:
            bound = await store.run(store.operations.bind(hold("a", 10, grade=Grade.BOUND), 10))
            assert bound.serial > 0
            assert await store.record(make_alert("a", "a@10"))
            assert not await store.record(make_alert("a", "a@10"))
            assert not await store.run(store.operations.tag(make_alert("a", "a@10")))

    asyncio.run(scenario())
    with Store(server.url) as store:
        assert len(_incidents(store, "a")) == 1


def test_redis_away_is_lineage_unavailable(tmp_path: Path) -> None:
    """Where nobody listens both executors raise our own error, which says what to do."""
    url = f"unix://{tmp_path}/none.sock"
    with Store(url) as store, pytest.raises(LineageUnavailable, match="davylamp gateway"):
        store.run(store.operations.listing(1))

    async def scenario() -> None:
        async with AsyncStore(url) as store:
            await store.run(store.operations.listing(1))

    with pytest.raises(LineageUnavailable):
        asyncio.run(scenario())


def test_a_store_of_another_user_says_who_may(tmp_path: Path) -> None:
    """It may well be there: to start a gateway would be no remedy."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to be another user")
    (tmp_path / "run").mkdir(mode=0o700)
    libc = ctypes.CDLL(None)
    with Store(f"unix://{tmp_path}/run/lineage.sock") as store:
        libc.setfsuid(65534)  # of this thread alone: setfsuid(2)
        try:
            with pytest.raises(LineageUnavailable, match="run this as who runs the gateway"):
                store.run(store.operations.listing(1))
        finally:
            libc.setfsuid(0)


def test_a_hung_redis_is_lineage_unavailable(
    server: EmbeddedRedis, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Redis that accepts and never answers is given up after the timeout."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(LineageUnavailable):
            store.run(store.operations.listing(1))
    finally:
        os.kill(server.pid, signal.SIGCONT)


def test_a_wrong_type_is_lineage_unavailable(store: Store, raw: Any) -> None:
    """A key that another program took for itself is an error of the store, not a crash."""
    raw.set("davylamp:address-past:10.0.0.7", "x")
    with pytest.raises(LineageUnavailable, match="WRONGTYPE"):
        store.run(store.operations.bind(hold("a", 10), 10))


def test_a_lifecycle_goes_by_all_its_ids(store: Store) -> None:
    """What a trainer and a runtime bind is one lifecycle, under either's id, on both addresses."""
    ops = store.operations
    told = Binding(
        ip=IP, lifecycle_id="", valid_from=10, container="a", run_id="r", source="trainer"
    )
    first = store.run(ops.bind(told, 10))
    call = ToolCall(tool_call_id="t-1", lifecycle_id="", started=10.5, tool="bash")
    store.run(ops.put_call_of(call, "a", ""))
    for ip in (IP, "fd00::7"):
        seen = Binding(
            ip=ip,
            lifecycle_id="c0ffee@11",
            valid_from=11,
            container="a",
            container_id="c0ffee",
            grade=Grade.OBSERVED,
            source="docker",
        )
        store.run(ops.bind(seen, 11))
    by_id = ToolCall(tool_call_id="t-2", lifecycle_id="", started=12, ended=13, tool="python")
    store.run(ops.put_call_of(by_id, "c0ffee@11", ""))
    table = LineageTable()
    for change in store.run(ops.load([IP, "fd00::7"])):
        table.apply(change)
    table.confirm(20)
    for ip in (IP, "fd00::7"):
        answer = table.attribute(ip, 11.5)
        assert answer.binding is not None
        assert (answer.binding.container_id, answer.binding.run_id) == ("c0ffee", "r")
        assert answer.info().tool_call_id == "t-1"
        assert {c.tool_call_id for c in table.attribute(ip, 12.5).candidates} == {"t-1", "t-2"}
    for subject in (first.lifecycle_id, "c0ffee@11"):
        found = store.run(ops.look_up(subject))
        assert found is not None
        assert [each.tool_call_id for each in found.calls] == ["t-1", "t-2"]
    assert store.run(ops.release_container("c0ffee@11", 14, 14)) == 2
    assert store.run(ops.history(IP)).current is None


def test_a_call_is_of_who_held_the_address_then(store: Store) -> None:
    """Said before the bind of the next holder is known, it goes to that one; and no other does."""
    ops = store.operations
    store.run(ops.bind(hold("a", 10), 10))
    calls = [
        ToolCall(tool_call_id="of-a", lifecycle_id="", started=12, ended=13),
        ToolCall(tool_call_id="of-b", lifecycle_id="", started=22),
        ToolCall(tool_call_id="by-name", lifecycle_id="", started=23, ended=24),
    ]
    for call in calls[:2]:
        assert store.run(ops.put_call_of(call, "", IP)) is not None
    also = Binding(ip="10.0.0.8", lifecycle_id="a@10", valid_from=10, container="a")
    store.run(ops.bind(also, 11))
    store.run(ops.put_call_of(calls[2], "a", ""))  # it may have another address
    store.run(ops.bind(hold("b", 20), 25))
    ended = ToolCall(tool_call_id="of-b", lifecycle_id="", started=22, ended=30)
    store.run(ops.put_call_of(ended, "", IP))
    found = {
        name: [call.tool_call_id for call in store.run(ops.calls([f"{name}@{start}"]))]
        for name, start in (("a", 10), ("b", 20))
    }
    assert found == {"a": ["of-a", "by-name"], "b": ["of-b"]}
    table = LineageTable()
    for change in store.run(ops.changes("0-0", 0.01, 1000)).changes:
        table.apply(change)
    table.confirm(40)
    told = {ip: table.attribute(ip, 22.5).info().tool_call_id for ip in (IP, "10.0.0.8")}
    assert told == {IP: "of-b", "10.0.0.8": ""}
    assert store.run(ops.calls(["b@20"]))[0].ended == 30
    early = ToolCall(tool_call_id="early", lifecycle_id="", started=5)
    assert store.run(ops.put_call_of(early, "", "10.0.0.9")) is None
    late = Binding(ip="10.0.0.9", lifecycle_id="c@4", valid_from=4, container="c")
    store.run(ops.bind(late, 26))
    assert [call.tool_call_id for call in store.run(ops.calls(["c@4"]))] == ["early"]
