"""Addresses and names reused, news late, out of order, repeated or lost, against a plain model.

The model is what the news that came says, and no more: an address is its latest starter's, until
that one's release has come and was due. The store on a real Redis, a snapshot that follows its
stream and one that is loaded afterwards must all say the same, at every moment.
"""

from dataclasses import dataclass
from typing import Any

import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from tests.attribution.redis_world import until

from davylamp.attribution.model import Binding, Grade
from davylamp.attribution.server import EmbeddedRedis
from davylamp.attribution.store import Store
from davylamp.attribution.table import LineageTable

ADDRESSES = ("10.0.0.1", "10.0.0.2", "fd00::3")
NAMES = ("a", "b", "c")


@dataclass(frozen=True, slots=True)
class Hold:
    """One container's start on one address, and its end: the truth."""

    name: str
    ip: str
    start: float
    end: float

    @property
    def lifecycle(self) -> str:
        """The id of this start."""
        return f"{self.name}@{self.start}"


class Churn(RuleBasedStateMachine):
    """Containers come and go on three addresses; news of it comes as the test draws it."""

    store: Store
    raw: Any

    def __init__(self) -> None:
        super().__init__()
        self.raw.flushall()
        self.clock = 100.0
        self.free: dict[str, float] = dict.fromkeys(ADDRESSES, 0.0)
        self.holds: list[Hold] = []
        self.news: list[tuple[str, Hold]] = []
        self.bound: set[Hold] = set()
        self.released: set[Hold] = set()
        self.table = LineageTable()
        self.position = "0-0"

    @rule(
        name=st.sampled_from(NAMES),
        ip=st.sampled_from(ADDRESSES),
        gap=st.integers(0, 2),
        length=st.integers(1, 4),
    )
    def live(self, name: str, ip: str, gap: int, length: int) -> None:
        """Let a container live on an address; names are used again, addresses at once."""
        self.clock += 0.001  # no two starts of one name at one instant
        start = max(self.free[ip], self.clock) + gap
        hold = Hold(name, ip, start, start + length)
        self.free[ip] = hold.end
        self.holds.append(hold)
        self.news += [("bind", hold), ("release", hold)]

    @rule(which=st.integers(0, 1_000), observed=st.booleans())
    def hear(self, which: int, observed: bool) -> None:
        """Let one piece of news come, be it old or the newest, and be forgotten."""
        if self.news:
            self.come(*self.news.pop(which % len(self.news)), observed=observed)

    @rule(which=st.integers(0, 1_000), observed=st.booleans())
    def repeat(self, which: int, observed: bool) -> None:
        """Let something be said that is said again later, perhaps by another source."""
        if self.news:
            self.come(*self.news[which % len(self.news)], observed=observed)

    @rule(which=st.integers(0, 1_000))
    def lose(self, which: int) -> None:
        """Let a piece of news never come."""
        if self.news:
            self.news.pop(which % len(self.news))

    def come(self, kind: str, hold: Hold, *, observed: bool) -> None:
        """Tell the store, at some moment of its own clock."""
        self.clock += 0.001
        operations = self.store.operations
        if kind == "release":
            released = operations.release(hold.ip, hold.lifecycle, hold.end, self.clock)
            self.store.run(released)
            self.released.add(hold)
            return
        binding = Binding(
            ip=hold.ip,
            lifecycle_id=hold.lifecycle,
            valid_from=hold.start,
            container=hold.name,
            grade=Grade.OBSERVED if observed else Grade.BOUND,
        )
        self.store.run(operations.bind(binding, self.clock))
        self.bound.add(hold)

    def expected(self, ip: str, at: float) -> str:
        """Return whom the news names for an address at a time, or ''."""
        begun = [each for each in self.bound if each.ip == ip and each.start <= at]
        if not begun:
            return ""
        last = max(begun, key=lambda each: each.start)
        return "" if last in self.released and at >= last.end else last.lifecycle

    def moments(self) -> list[float]:
        """Return every moment at which something began or ended, and some between."""
        edges = {edge for each in self.holds for edge in (each.start, each.end)}
        return sorted({at for edge in edges for at in (edge - 0.0005, edge, edge + 0.5)})

    @invariant()
    def all_say_what_the_news_says(self) -> None:
        """Compare the store, the snapshot that follows, and a fresh one with the model."""
        operations = self.store.operations
        # Redis looks ten times a second who has waited in vain: read where there is something.
        if self.store.run(operations.position()).last_id != self.position:
            read = self.store.run(operations.changes(self.position, 0.001, 1_000))
            self.position = read.last_id
            for change in read.changes:
                self.table.apply(change)
        loaded = LineageTable()
        for change in self.store.run(operations.load(ADDRESSES)):
            loaded.apply(change)
        for ip in ADDRESSES:
            history = self.store.run(operations.history(ip))
            for at in self.moments():
                expected = self.expected(ip, at)
                holder = history.holder(at)
                assert (holder.lifecycle_id if holder is not None else "") == expected
                assert _sure(self.table, ip, at) == expected
                assert _sure(loaded, ip, at) == expected

    def teardown(self) -> None:
        """Let all that was not lost come: whoever's news is whole is named, and nobody else."""
        while self.news:
            self.come(*self.news.pop(), observed=False)
        self.all_say_what_the_news_says()
        for hold in self.bound & self.released:
            for at in (hold.start, (hold.start + hold.end) / 2):
                assert _sure(self.table, hold.ip, at) == hold.lifecycle
            after = _sure(self.table, hold.ip, hold.end)
            assert after in {each.lifecycle for each in self.bound if each.start == hold.end} | {""}


def _sure(table: LineageTable, ip: str, at: float) -> str:
    """Return whom a snapshot names without a doubt, all news up to then having been read."""
    table.confirm(at)
    answer = table.attribute(ip, at)
    sure = answer.binding is not None and answer.grade.certain()
    return answer.binding.lifecycle_id if answer.binding is not None and sure else ""


def test_every_answer_is_what_the_news_says(server: EmbeddedRedis) -> None:
    """Under any churn, the store and both snapshots name whom the model names, or nobody."""
    with Store(server.url) as opened, redis.Redis(unix_socket_path=str(server.place.socket)) as raw:
        until(raw.ping)

        class OnRedis(Churn):
            store = opened

        OnRedis.raw = raw
        run_state_machine_as_test(
            OnRedis,
            settings=settings(
                max_examples=60,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
