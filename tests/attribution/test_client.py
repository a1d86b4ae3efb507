"""The trainer's client, on a real store that also goes away and comes back."""

import asyncio
import logging
import time
from pathlib import Path

import pytest

from davylamp import lineage
from davylamp.attribution.operations import Dossier
from davylamp.attribution.server import EmbeddedRedis
from davylamp.attribution.store import Store
from davylamp.errors import ConfigError

IP = "10.0.0.7"


def look_up(store: Store, subject: str) -> Dossier:
    """Return what is on record, which must be something."""
    dossier = store.run(store.operations.look_up(subject))
    assert dossier is not None
    return dossier


def test_a_tool_call_has_a_beginning_and_an_end(server: EmbeddedRedis, store: Store) -> None:
    """Inside the block the call runs, after it the call has ended; an exception ends it too."""
    with lineage.Client(server.url) as client:
        bound = client.bind(ip=IP, container="a", run_id="r", labels={"davylamp.step": "4"})
        assert (bound.grade, bound.step, bound.source) == (lineage.Grade.BOUND, 4, "trainer")

        @client.tool_call(container="a", tool="bash", tool_call_id="t1", step=5)
        def tool() -> None:
            [running] = look_up(store, "a").calls
            assert (running.tool_call_id, running.step, running.ended) == ("t1", 5, None)
            raise RuntimeError("the tool's own")

        with pytest.raises(RuntimeError, match="the tool's own"):
            tool()
        [ended] = look_up(store, "a").calls
        assert ended.ended is not None
        assert ended.lifecycle_id == bound.lifecycle_id


def test_as_a_decorator_each_invocation_is_a_call(server: EmbeddedRedis, store: Store) -> None:
    """Plain and async functions alike make one new call an invocation, which lasts as long."""
    with lineage.Client(server.url) as client:
        client.bind(ip=IP, container="a")

        @client.tool_call(ip=IP, tool="plain")
        def plain(number: int) -> int:
            return number + 1

        @client.tool_call(container="a", tool="later")
        async def later() -> str:
            await asyncio.sleep(0.05)
            return "done"

        assert [plain(1), plain(2)] == [2, 3]
        assert asyncio.run(later()) == "done"
    calls = look_up(store, IP).calls
    assert [call.tool for call in calls] == ["plain", "plain", "later"]
    assert len({call.tool_call_id for call in calls}) == 3
    assert calls[2].ended is not None
    assert calls[2].ended - calls[2].started >= 0.05


def test_a_container_with_two_addresses_has_one_lifecycle(
    server: EmbeddedRedis, store: Store
) -> None:
    """A second address joins the lifecycle that its container has now, and no other."""
    six, other = "fd00:90::7", "10.0.0.8"
    with lineage.Client(server.url) as client:
        four = client.bind(ip=IP, container="a", run_id="r1")
        assert client.bind(ip=six, container="a").lifecycle_id == four.lifecycle_id
        assert client.bind(ip=other, container="b").lifecycle_id != four.lifecycle_id
        contradicting = client.bind(ip=other, container="a", run_id="r2")
        assert contradicting.lifecycle_id != four.lifecycle_id
        client.release(container="a")
        client.release(lifecycle_id=four.lifecycle_id)
        later = client.bind(ip=six, container="a", run_id="r1")
        assert later.lifecycle_id not in {four.lifecycle_id, contradicting.lifecycle_id}
        with client.tool_call(ip=six, tool="bash"):
            assert client.bind(ip=IP, container="a").lifecycle_id == later.lifecycle_id
    assert [call.tool for call in look_up(store, IP).calls] == ["bash"]


def test_release_by_name_address_and_lifecycle(server: EmbeddedRedis, store: Store) -> None:
    """A container is released however it is named, and only if it is the one that is meant."""
    with lineage.Client(server.url) as client:
        for how in ({"ip": IP}, {"container": "a"}):
            client.bind(ip=IP, container="a")
            client.release(**how)  # type: ignore[arg-type]
            assert store.run(store.operations.history(IP)).current is None
        bound = client.bind(ip=IP, container="b")
        client.release(ip=IP, lifecycle_id="another")
        assert store.run(store.operations.history(IP)).current == bound
        client.release(lifecycle_id=bound.lifecycle_id)
        assert store.run(store.operations.history(IP)).current is None


def test_a_trainer_survives_an_outage_of_redis(
    server: EmbeddedRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """Said while Redis is away, everything arrives after it is back, with its own times."""
    with lineage.Client(server.url) as client:
        client.bind(ip=IP, container="a", valid_from=10.0)
        server.stop()
        with (
            caplog.at_level(logging.WARNING, "davylamp.lineage"),
            client.tool_call(container="a", tool="bash", tool_call_id="t1"),
        ):
            pass
        client.bind(ip="10.0.0.8", container="b", lifecycle_id="b@20", valid_from=20.0)
        client.release(ip="10.0.0.8", lifecycle_id="b@20", at=30.0)
        before = time.time()
        assert client.waiting == 4
        assert "kept in memory" in caplog.text
        server.start()
        deadline = time.monotonic() + 20
        while client.waiting and time.monotonic() < deadline:
            time.sleep(0.01)
    with Store(server.url) as store:
        [call] = look_up(store, "a").calls
        assert call.ended is not None
        assert call.ended <= before
        [late] = look_up(store, "b").bindings
        assert (late.valid_from, late.valid_to) == (20.0, 30.0)


def test_a_restarted_redis_is_not_even_noticed(server: EmbeddedRedis, store: Store) -> None:
    """A connection that the restart cut is opened anew within the same call."""
    with lineage.Client(server.url) as client:
        client.bind(ip=IP, container="a")
        server.stop()
        server.start()
        client.bind(ip=IP, container="b")
        assert client.waiting == 0
    assert look_up(store, IP).bindings[-1].container == "b"


def test_without_a_store_the_tool_still_runs(tmp_path: Path) -> None:
    """A trainer on a host without a store does its work and is not held up at the end."""
    ran = []
    client = lineage.Client(f"unix://{tmp_path}/none.sock")
    client.bind(ip=IP, container="a")
    with client.tool_call(container="a"):
        ran.append(1)
    client.close(0.1)
    assert ran == [1]


def test_a_call_of_a_stranger_waits_for_its_bind(
    server: EmbeddedRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """It is warned about, the tool runs, and a bind of that start finds it, as none later does."""
    with lineage.Client(server.url) as client:
        before = time.time()
        with client.tool_call(container="late", tool_call_id="t-1"):
            client.bind(ip=IP, container="late", valid_from=before)
        assert "call bind() first" in caplog.text
        with client.tool_call(container="early", tool_call_id="t-2"):
            pass
        client.bind(ip="10.0.0.8", container="early")
        store = client._store
        late, early = (store.run(store.operations.look_up(name)) for name in ("late", "early"))
    assert late is not None
    assert early is not None
    assert [(call.tool_call_id, call.ended is None) for call in late.calls] == [("t-1", False)]
    assert early.calls == ()


def test_what_is_wrong_is_raised_at_once(server: EmbeddedRedis) -> None:
    """Mistakes are the caller's to see, with the store there or not."""
    with lineage.Client(server.url) as client:
        with pytest.raises(ConfigError, match="not an IP address"):
            client.bind(ip="sandbox-7", container="a")
        with pytest.raises(ConfigError, match="needs"):
            client.release()
        with pytest.raises(ConfigError, match="needs"):
            client.tool_call(tool="bash")
        with pytest.raises(ConfigError, match="longer"):
            client.tool_call(container="a", tool="x" * 1000)


def test_the_store_is_found_by_the_environment(
    server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a URL the client finds the store of the host's gateway."""
    monkeypatch.delenv("DAVYLAMP_LINEAGE_URL", raising=False)
    monkeypatch.setenv("DAVYLAMP_STATE", str(server.place.runtime.parent))
    with lineage.Client() as client:
        assert client.bind(ip=IP, container="a").serial > 0
