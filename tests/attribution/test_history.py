"""One address's history: reuse, late and repeated news, and nobody released by mistake."""

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.attribution.history import History
from davylamp.attribution.model import Binding, Grade

IP = "10.0.0.7"


def hold(name: str, start: float, **fields: object) -> Binding:
    """Bind a lifecycle of that name."""
    return Binding(ip=IP, lifecycle_id=name, valid_from=start, container=name, **fields)  # type: ignore[arg-type]


def spans(history: History) -> list[tuple[str, float, float | None]]:
    """Who held the address, from when to when."""
    return [(b.lifecycle_id, b.valid_from, b.valid_to) for b in history.bindings if not b.empty]


def test_a_new_holder_releases_the_old_one() -> None:
    """An address has one holder: the next bind ends the one before."""
    history = History(IP).bind(hold("a", 10), 1).bind(hold("b", 20), 2)
    assert spans(history) == [("a", 10, 20), ("b", 20, None)]
    assert history.current is not None
    assert history.current.lifecycle_id == "b"


def test_a_late_release_leaves_the_new_holder() -> None:
    """The release of an old lifecycle, however late, does not touch the current one."""
    history = History(IP).bind(hold("a", 10), 1).bind(hold("b", 20), 2).release("a", 30, 3)
    assert spans(history) == [("a", 10, 20), ("b", 20, None)]


def test_a_release_before_its_bind_is_remembered() -> None:
    """A bind that arrives after its own release does not revive the container."""
    history = History(IP).release("a", 20, 1)
    assert history.current is None
    history = history.bind(hold("a", 10), 2)
    assert spans(history) == [("a", 10, 20)]


def test_an_early_release_of_a_stranger_ends_nobody() -> None:
    """A release of an unknown lifecycle leaves the current holder in place."""
    history = History(IP).bind(hold("a", 10), 1).release("b", 15, 2)
    assert spans(history) == [("a", 10, None)]


def test_a_late_bind_takes_its_place_in_the_past() -> None:
    """A bind that began before the current holder's ends where that one began."""
    history = History(IP).bind(hold("b", 20), 1).bind(hold("a", 10), 2)
    assert spans(history) == [("a", 10, 20), ("b", 20, None)]


def test_a_container_may_take_its_address_again() -> None:
    """The same lifecycle that reconnects after its release holds the address twice."""
    history = History(IP).bind(hold("a", 10), 1).release("a", 20, 2).bind(hold("a", 30), 3)
    assert spans(history) == [("a", 10, 20), ("a", 30, None)]
    assert spans(history.release("a", 20, 4)) == spans(history)


def test_sources_add_to_one_another() -> None:
    """A surer source's words win, a less sure one fills what is empty, the first start stays."""
    seen = hold("a", 10, image="i", grade=Grade.OBSERVED, source="docker", run_id="guess")
    told = hold("a", 11, run_id="r", grade=Grade.BOUND, source="trainer")
    for first, second in ((seen, told), (told, seen)):
        [binding] = History(IP).bind(first, 1).bind(second, 2).bindings
        assert (binding.image, binding.run_id, binding.source) == ("i", "r", "trainer")
        assert (binding.grade, binding.valid_from) == (Grade.BOUND, 10)


def test_a_bind_without_lifecycle_joins_the_same_container() -> None:
    """Repeating a bind by name adds to the current lifecycle; another rollout begins a new one."""
    history = History(IP).bind(hold("a@10", 10, rollout_id="r1"), 1)
    again = Binding(ip=IP, lifecycle_id="", valid_from=12, container="a@10", step=4)
    joined = history.bind(again, 2)
    assert [(b.lifecycle_id, b.step) for b in joined.bindings] == [("a@10", 4)]
    other = Binding(ip=IP, lifecycle_id="", valid_from=13, container="a@10", rollout_id="r2")
    assert len(joined.bind(other, 3).bindings) == 2


def test_trimming_keeps_the_current_holder() -> None:
    """Releases of strangers cannot push the current holder out of a bounded history."""
    history = History(IP).bind(hold("a", 1), 1)
    for number in range(10):
        history = history.release(f"x{number}", 2.0 + number, 2 + number)
    assert spans(history.trimmed(4)) == [("a", 1, None)]
    assert len(history.trimmed(4).bindings) == 4


holders = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 3)), min_size=1, max_size=6
)  # (gap before, length) of one holder after another


@settings(max_examples=200, deadline=None)
@given(holders=holders, data=st.data())
def test_order_does_not_matter(holders: list[tuple[int, int]], data: st.DataObject) -> None:
    """Binds and releases in any order, repeated, end in who truly held the address when."""
    start, truth = 0, []
    for number, (gap, length) in enumerate(holders):
        truth.append((f"c{number}", float(start + gap), float(start + gap + length)))
        start += gap + length
    news = [(kind, each) for each in truth for kind in ("bind", "release")]
    shuffled = data.draw(st.permutations(news + data.draw(st.lists(st.sampled_from(news)))))
    history = History(IP)
    for stamp, (kind, (name, begin, end)) in enumerate(shuffled):
        if kind == "bind":
            history = history.bind(hold(name, begin), stamp)
        else:
            history = history.release(name, end, stamp)
    assert spans(history) == truth


names = st.sampled_from("abc")
times = st.integers(0, 12).map(float)
steps = st.tuples(st.sampled_from(["bind", "release"]), names, times)


@settings(max_examples=200, deadline=None)
@given(st.lists(steps, max_size=12))
def test_histories_are_always_in_order(news: list[tuple[str, str, float]]) -> None:
    """No news, however contradictory, makes two holders overlap; repeats do nothing."""
    history = History(IP)
    for stamp, (kind, name, at) in enumerate(news):
        before = history
        for _ in range(2):
            if kind == "bind":
                history = history.bind(hold(name, at), stamp)
            else:
                history = history.release(name, at, stamp)
            if history != before:
                assert history.version > before.version
                before = history
        for earlier, later in pairwise([b for b in history.bindings if not b.empty]):
            assert earlier.valid_to is not None
            assert earlier.valid_to <= later.valid_from


@dataclass(frozen=True, slots=True)
class Life:
    """One start of one container: what a runtime saw of it, and what the trainer said, if at all.

    ``said`` is the trainer's own time, before the start or during the life; None says nothing.
    The runtime's word on the end may be ``lost``.
    """

    number: int
    name: str
    container_id: str
    start: float
    end: float
    said: float | None
    named: bool
    lost: bool

    @property
    def lifecycle(self) -> str:
        """The id that the runtime's events give it."""
        return f"{self.container_id}@{self.start}"

    def told(self) -> Binding:
        """Return the trainer's bind: it knows the name and the run, and may have an id."""
        assert self.said is not None
        return Binding(
            ip=IP,
            lifecycle_id=f"job-{self.number}" if self.named else "",
            valid_from=self.said,
            container=self.name,
            run_id=f"run-{self.number}",
            grade=Grade.BOUND,
            source="trainer",
        )

    def seen(self) -> Binding:
        """Return the runtime's bind: it knows the container, not the run."""
        return Binding(
            ip=IP,
            lifecycle_id=self.lifecycle,
            valid_from=self.start,
            container=self.name,
            container_id=self.container_id,
            grade=Grade.OBSERVED,
            source="docker",
        )


@st.composite
def lives(draw: st.DrawFn) -> list[Life]:
    """Draw what happened on one address; names come again, and so do ids where one restarts."""
    made: list[Life] = []
    named = draw(st.booleans())
    clock = 100.0
    for number in range(draw(st.integers(1, 5))):
        before = made[-1] if made else None
        name = draw(st.sampled_from("ab"))
        again = before is not None and before.name == name and draw(st.booleans())
        start = clock + draw(st.integers(1, 4))
        end = start + draw(st.integers(2, 5))
        # A trainer may give out an address while it is still held, unless what it says would be
        # true of the holder as well.
        ambiguous = before is not None and before.name == name and before.said is None
        moments: tuple[float | None, ...] = (None, start, start + 1)
        if before is None or not ambiguous or not before.lost:
            earliest = before.start + 1.5 if before and not ambiguous else clock + 0.5
            moments += (earliest, start - 0.5)
        said = draw(st.sampled_from(moments))
        if said is not None and before is not None and before.said is not None:
            said = max(said, before.said + 0.25)
        container_id = made[-1].container_id if again else f"id{number}"
        lost = draw(st.booleans())
        made.append(Life(number, name, container_id, start, end, said, named, lost))
        clock = float(end)
    return made


@settings(max_examples=300, deadline=None)
@given(made=lives(), data=st.data())
def test_two_sources_speak_of_one_hold(made: list[Life], data: st.DataObject) -> None:
    """Whoever speaks first, what a trainer said and a runtime saw of a container is one hold."""
    told = [("told", each) for each in made if each.said is not None]
    seen = [(kind, each) for each in made for kind in ("start", "die")]
    seen = [(kind, each) for kind, each in seen if kind == "start" or not each.lost]
    history = History(IP)
    stamp = 0
    while told or seen:
        queue = told if told and (not seen or data.draw(st.booleans())) else seen
        kind, life = queue.pop(0)
        for _ in range(data.draw(st.integers(1, 2))):
            stamp += 1
            match kind:
                case "told":
                    history = history.bind(life.told(), stamp)
                case "start":
                    history = history.bind(life.seen(), stamp)
                case _:
                    history = history.release(life.lifecycle, life.end, stamp)
    found = [each for each in history.bindings if not each.empty]
    assert len(found) == len(made)
    for life, hold_ in zip(made, found, strict=True):
        assert (hold_.container, hold_.container_id) == (life.name, life.container_id)
        assert hold_.run_id == (f"run-{life.number}" if life.said is not None else "")
        assert hold_.valid_from <= life.start
        following = made[life.number + 1].start if life.number + 1 < len(made) else None
        if life.lost:
            assert hold_.valid_to is None or life.start < hold_.valid_to <= (following or 0.0)
        else:
            assert hold_.valid_to == life.end
        assert life.lifecycle in hold_.lifecycles
        if life.said is not None:
            assert hold_.grade == Grade.BOUND
