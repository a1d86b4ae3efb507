"""The trainer hears which rollouts it must not learn from."""

import threading
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from davylamp.attribution.feedback import FeedbackOperations, RolloutVerdict
from davylamp.attribution.operation import Operation
from davylamp.attribution.server import EmbeddedRedis
from davylamp.attribution.store import Store
from davylamp.lineage import Client, LineageUnavailable

FIRST = RolloutVerdict(
    run_id="rlhf:12",
    rollout_id="r-3",
    valid=False,
    at=1e9 + 0.25,
    reason="CryptoNote login",
    incident_id="inc-1",
    tool_call_id="t-1",
    step=41,
    gateway="gw-1",
)


def test_a_rollout_is_valid_again_only_when_nothing_speaks_against_it(
    server: EmbeddedRedis, store: Store
) -> None:
    """The first reason is on record; each incident's is taken back by itself; repeats are none."""
    ops = FeedbackOperations.beside(store.operations)
    second = replace(
        FIRST, incident_id="inc-2", tool_call_id="", candidates=("a,b", "c"), step=None
    )
    names = {"run_id": "rlhf:12", "rollout_id": "r-3"}
    with Client(server.url) as client:
        assert client.rollout_verdict(**names) is None
        assert store.run(ops.mark(FIRST))
        assert not store.run(ops.mark(replace(FIRST, at=2e9)))
        assert store.run(ops.mark(second))
        assert client.rollout_verdict(**names) == FIRST
        assert client.rollout_verdict(run_id="rlhf", rollout_id="12:r-3") is None
        assert store.run(ops.revoke("rlhf:12", "r-3", "inc-1", "ann", 2e9))
        assert client.rollout_verdict(**names) == second
        assert not store.run(ops.revoke("rlhf:12", "r-3", "inc-1", "ann", 2e9))
        assert store.run(ops.revoke("rlhf:12", "r-3", "inc-2", "ann", 2e9))
        left = client.rollout_verdict(**names)
        assert left is not None
        assert left.valid
        raw = [
            *client.feedback(group="trainers", wait=0.3, since_start=True),
        ]
    assert [(one.incident_id, one.valid) for one in raw] == [
        ("inc-1", False),
        ("inc-2", False),
        ("inc-2", True),
    ]


def test_the_trainer_hears_of_more_candidates(server: EmbeddedRedis, store: Store) -> None:
    """They take the place of the fewer, on record and in the news; fewer say nothing new."""
    ops = FeedbackOperations.beside(store.operations)
    few = replace(FIRST, tool_call_id="", candidates=("a", "b"))
    more = replace(few, candidates=("a", "b", "c"), at=2e9)
    other = replace(FIRST, incident_id="inc-2")
    with Client(server.url) as client:
        assert store.run(ops.mark(few))
        assert store.run(ops.mark(other))
        assert store.run(ops.mark(more))
        assert not store.run(ops.mark(few))
        assert client.rollout_verdict(run_id="rlhf:12", rollout_id="r-3") == more
        news = client.feedback(group="trainers", wait=0.3, since_start=True)
        assert [one.candidates for one in news] == [few.candidates, (), more.candidates]
        assert store.run(ops.mark(replace(few, incident_id="inc-3", candidates=())))
        assert store.run(ops.mark(replace(more, incident_id="inc-3")))
        assert client.rollout_verdict(run_id="rlhf:12", rollout_id="r-3") == more


def test_readers_of_a_group_share_the_verdicts(server: EmbeddedRedis, store: Store) -> None:
    """Each goes to one reader; what one left undone another has later; news arrive at once."""
    ops = FeedbackOperations.beside(store.operations)
    with Client(server.url) as client:
        for number in range(4):
            store.run(ops.mark(replace(FIRST, rollout_id=f"r-{number}")))
        dying = client.feedback(group="g", consumer="one", since_start=True, wait=5)
        assert next(dying).rollout_id == "r-0"
        assert next(dying).rollout_id == "r-1"
        dying.close()  # r-1 was not done with, and the rest was only fetched
        rest = client.feedback(group="g", consumer="two", wait=0.6, idle=0.0)
        assert [one.rollout_id for one in rest] == ["r-1", "r-2", "r-3"]
        assert list(client.feedback(group="g", consumer="one", wait=0.2, idle=0.0)) == []
        arrived: list[float] = []
        reader = client.feedback(group="g", consumer="three", wait=10)

        def read() -> None:
            next(reader)
            arrived.append(time.monotonic())

        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(0.2)
        said = time.monotonic()
        store.run(ops.mark(replace(FIRST, rollout_id="late")))
        thread.join(10)
        assert arrived[0] - said < 0.5


def test_a_reader_waits_for_a_store_that_is_away(server: EmbeddedRedis) -> None:
    """It goes on when Redis is back, and what others wrote there stops nobody."""
    with Client(server.url) as client, Store(server.url) as store:
        ops = FeedbackOperations.beside(store.operations)
        reader = client.feedback(group="g", wait=20, since_start=True)
        store.run(ops.mark(FIRST))
        assert next(reader) == FIRST
        server.stop()
        found: list[RolloutVerdict] = []
        thread = threading.Thread(target=lambda: found.append(next(reader)))
        thread.start()
        time.sleep(0.3)
        server.start()
        store.run(_nonsense(ops))
        second = replace(FIRST, rollout_id="r-4")
        store.run(ops.mark(second))
        thread.join(15)
        # The acknowledgement was lost with the connection: then the first comes again.
        assert found[0] in {FIRST, second}


def test_what_cannot_be_asked_is_said(tmp_path: Path) -> None:
    """A question that the store cannot answer is not answered with "nothing is known"."""
    with (
        Client(f"unix://{tmp_path}/nowhere.sock") as client,
        pytest.raises(LineageUnavailable),
    ):
        client.rollout_verdict(run_id="r", rollout_id="x")


def _nonsense(ops: FeedbackOperations) -> Operation[None]:
    """Write what nobody should have written."""
    stream = ops.keys.feedback
    yield (("XADD", stream, "*", "verdict", b"{"), ("XADD", stream, "*", "x", "y"))
