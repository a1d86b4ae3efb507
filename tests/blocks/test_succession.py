"""Which blocks an address's next holder is spared; the kernel's sets are played here."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from tests.blocks.test_warden import NOW, Sets

from davylamp.attribution.model import Binding, BindingChange, Grade
from davylamp.attribution.table import LineageTable
from davylamp.blocks.succession import Succession
from davylamp.decision import Block
from davylamp.enforcement.nftset import Blocked
from davylamp.errors import KernelError
from davylamp.flow import Proto

_SECONDS = 600.0


class World:
    """The kernel's blocks of 10.0.0.7, and what lineage says of it."""

    def __init__(self) -> None:
        self.sets, self.table, self.now = Sets(), LineageTable(), NOW
        self.version = 0
        self.succession = Succession(
            cast("Any", self.sets),
            self.table,
            block_seconds=_SECONDS,
            clock=lambda: self.now,
        )

    def block(self, began: float, port: int = 3333) -> None:
        """Have the kernel refuse a port since then."""
        block = Block(Proto.TCP, bytes((10, 0, 0, 7)), bytes((203, 0, 113, 9)), port)
        self.sets.single.append(Blocked(block, began + _SECONDS - self.now))

    def hold(
        self,
        lifecycle: str,
        start: float,
        end: float | None = None,
        grade: Grade = Grade.BOUND,
        *,
        known: float = 0.0,
    ) -> None:
        """Have lineage say who held the address; it is known up to then, else up to now."""
        self.version += 1
        binding = Binding(
            ip="10.0.0.7",
            lifecycle_id=lifecycle,
            valid_from=start,
            valid_to=end,
            grade=grade,
            serial=int(start),
            version=self.version,
        )
        self.table.apply(BindingChange(binding=binding))
        self.table.confirm(known or self.now)
        self.succession.heard(BindingChange(binding=binding))

    def left(self) -> list[int]:
        """Look; return the ports that are still refused."""
        self.succession.look()
        return [one.block.resp_port for one in self.sets.single]


def ended(world: World) -> None:
    """Have its holder give the address up."""
    world.hold("a@1", NOW - 50, NOW - 5)


def taken(world: World) -> None:
    """Have it taken by the next one as well."""
    ended(world)
    world.hold("b@2", NOW - 5)


@pytest.mark.parametrize("end", [ended, taken], ids=["released", "taken"])
def test_a_block_goes_with_who_earned_it(end: Callable[[World], None]) -> None:
    """It is in force while the lifecycle holds the address; what began later is the next one's."""
    world = World()
    world.hold("a@1", NOW - 50)
    world.block(NOW - 20, 3333)
    world.block(NOW - 2, 4444)
    assert world.left() == [3333, 4444]
    end(world)
    assert world.left() == [4444]


@pytest.mark.parametrize(
    ("began", "grade", "heir"),
    [
        pytest.param(NOW - 60, Grade.BOUND, "b@2", id="held-by-nobody-known"),
        pytest.param(NOW - 20, Grade.STALE, "b@2", id="by-one-who-is-not-sure"),
        pytest.param(NOW - 5.01, Grade.BOUND, "b@2", id="at-the-moment-of-the-change"),
        pytest.param(NOW - 20, Grade.BOUND, "a@1", id="same-lifecycle-again"),
    ],
)
def test_a_block_of_no_sure_name_stays(began: float, grade: Grade, heir: str) -> None:
    """And so does one of a lifecycle that holds the address again."""
    world = World()
    world.block(began)
    world.hold("a@1", NOW - 50, NOW - 5, grade)
    world.hold(heir, NOW - 5)
    assert world.left() == [3333]


def test_news_are_waited_for() -> None:
    """A block from after the last confirmation is lifted once lineage is known up to then."""
    world = World()
    world.hold("a@1", NOW - 50)
    world.now = NOW + 2
    world.block(NOW + 1)
    world.hold("a@1", NOW - 50, NOW + 1.5, known=NOW)
    assert world.left() == [3333]
    world.table.confirm(world.now)
    assert world.left() == []


def test_what_was_not_heard_is_found_in_a_minute() -> None:
    """Lineage loaded anew says nothing of what changed; a refusing kernel is asked again."""
    world = World()
    world.hold("a@1", NOW - 50)
    world.block(NOW - 20)
    assert world.left() == [3333]
    world.now = NOW + 10
    other = World()
    taken(other)
    world.table.adopt(other.table)
    world.table.confirm(world.now)
    assert world.left() == [3333]
    world.now = NOW + 61
    world.sets.single = [Blocked(one.block, one.seconds - 61) for one in world.sets.single]
    blocked = world.sets.blocked

    def refusing() -> list[Blocked]:
        raise KernelError("the table is gone")

    world.sets.blocked = refusing  # type: ignore[method-assign]
    assert world.left() == [3333]
    world.sets.blocked = blocked  # type: ignore[method-assign]
    assert world.left() == []


def test_a_kernel_that_takes_its_time_is_asked_again() -> None:
    """A block seems to have begun later by as long as the answer was under way."""
    world = World()
    world.block(NOW - 5.2)
    ended(world)
    blocked = world.sets.blocked

    def slow() -> list[Blocked]:
        found = blocked()
        world.now += 0.3
        return found

    world.sets.blocked = slow  # type: ignore[method-assign]
    assert world.left() == [3333]
    world.sets.blocked = blocked  # type: ignore[method-assign]
    world.now -= 0.3
    assert world.left() == []
