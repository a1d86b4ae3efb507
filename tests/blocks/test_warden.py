"""Which addresses are in quarantine as lineage changes, and what of others' verdicts is taken.

The kernel's sets are played here; tests/enforcement holds the real ones to their word.
"""

from ipaddress import ip_address, ip_network
from typing import Any, cast

import pytest
from msgspec.structs import replace

from davylamp.attribution.model import Binding, BindingChange, Grade
from davylamp.attribution.table import LineageTable, TableLimits
from davylamp.blocks.model import EndpointBlock, Quarantine, parse_endpoint
from davylamp.blocks.spared import Spared
from davylamp.blocks.warden import Warden
from davylamp.decision import Block, Endpoint
from davylamp.enforcement.nftset import Blocked
from davylamp.errors import KernelError
from davylamp.flow import Proto

NOW = 1e9


class Sets:
    """The kernel's sets, as far as a warden knows them."""

    def __init__(self) -> None:
        self.addresses: dict[bytes, float] = {}
        self.shared: dict[Endpoint, float] = {}
        self.single: list[Blocked] = []
        self.full = False

    def confined(self) -> dict[bytes, float]:
        """Return who is in quarantine, and for how long."""
        return dict(self.addresses)

    def confine(self, address: bytes, seconds: float) -> None:
        """Put an address in quarantine."""
        if self.full:
            raise KernelError("the set is full")
        self.addresses[address] = seconds

    def free(self, address: bytes) -> bool:
        """Take it out."""
        return self.addresses.pop(address, None) is not None

    def refused(self) -> dict[Endpoint, float]:
        """Return what is refused to all."""
        return dict(self.shared)

    def refuse(self, endpoint: Endpoint, seconds: float) -> None:
        """Refuse to all."""
        self.shared[endpoint] = seconds

    def admit(self, endpoint: Endpoint) -> bool:
        """Refuse no longer."""
        return self.shared.pop(endpoint, None) is not None

    def blocked(self) -> list[Blocked]:
        """Return what is refused to single sandboxes."""
        return list(self.single)

    def unblock(self, block: Block) -> bool:
        """Refuse it no longer."""
        self.single = [one for one in self.single if one.block != block]
        return True

    def shown(self) -> set[str]:
        """Return who is in quarantine, as text."""
        return {str(ip_address(one)) for one in self.addresses}


class World:
    """A warden, its sets, the lineage it sees, and a clock."""

    def __init__(self, **changes: Any) -> None:
        self.sets, self.now = Sets(), NOW
        self.table = LineageTable(TableLimits(addresses=3))
        self.guards: list[bool] = []
        self.version = 0
        networks = (ip_network("192.0.2.0/24"),)
        self.warden = Warden(
            cast("Any", self.sets),
            Spared(cast("Any", self.sets), networks, steering=False),
            self.table,
            guard=self.guards.append,
            clock=lambda: self.now,
            block_seconds=600.0,
            **{"refuses": True, "shares": True, "confines": True, **changes},
        )

    def bind(self, ip: str, lifecycle: str, start: float, end: float | None = None) -> None:
        """Have lineage say who holds an address."""
        self.version += 1
        binding = Binding(
            ip=ip,
            lifecycle_id=lifecycle,
            container=lifecycle,
            valid_from=start,
            valid_to=end,
            grade=Grade.BOUND,
            serial=int(start),
            version=self.version,
        )
        change = BindingChange(binding=binding)
        self.table.apply(change)
        self.table.confirm(self.now)
        self.warden.heard(change)

    def confine(self, *held: str, **changes: Any) -> None:
        """Have the store say that a@1 is in quarantine."""
        fields = {"lifecycle_id": "a@1", "addresses": ("10.0.0.7",), "at": NOW, "until": NOW + 60}
        self.warden.quarantine(Quarantine(**{**fields, **changes}), held)
        self.warden.settle()


def test_a_quarantine_goes_with_the_lifecycle() -> None:
    """It follows to new addresses, ends with each hold, and the successor is free at once."""
    world = World()
    world.bind("10.0.0.7", "a@1", NOW - 10)
    world.bind("fd00::7", "a@1", NOW - 10)
    world.confine("fd00::7")
    assert world.sets.shown() == {"10.0.0.7", "fd00::7"}
    world.bind("10.0.0.8", "a@1", NOW - 1)
    assert world.sets.shown() == {"10.0.0.7", "10.0.0.8", "fd00::7"}
    world.bind("10.0.0.7", "a@1", NOW - 10, NOW)
    world.bind("10.0.0.7", "b@2", NOW)
    assert world.sets.shown() == {"10.0.0.8", "fd00::7"}
    world.table.lose()  # what the store cannot say leaves all as it is
    world.now += 30
    world.warden.settle()
    assert world.sets.shown() == {"10.0.0.8", "fd00::7"}
    world.confine(released=NOW + 31)
    assert world.sets.shown() == set()
    assert world.guards == [True, False]


def test_an_address_that_lineage_forgets_stays_in_quarantine() -> None:
    """Whether the table is full or the store lost all; who is on record as its next one is free."""
    world = World()
    world.bind("10.0.0.7", "a@1", NOW - 10)
    world.confine()
    for last in range(3):
        world.bind(f"10.0.1.{last}", f"other-{last}@1", NOW - 5)
    world.warden.settle()
    assert world.sets.shown() == {"10.0.0.7"}
    world.table.adopt(LineageTable())
    world.warden.settle()
    assert world.sets.shown() == {"10.0.0.7"}
    world.bind("10.0.0.7", "b@2", NOW - 1)
    assert world.sets.shown() == set()


@pytest.mark.parametrize("end", ["release", "time", "known"])
def test_a_forgotten_address_is_free_in_the_end(end: str) -> None:
    """When the quarantine is released or over, or an old end of the hold comes to be known."""
    world = World()
    world.bind("10.0.0.7", "a@1", NOW - 900)
    world.confine()
    world.table.adopt(LineageTable())
    world.now += 1
    if end == "release":
        world.confine(released=world.now)
    elif end == "time":
        world.now = NOW + 61
        world.warden.settle()
    else:
        world.bind("10.0.0.7", "a@1", NOW - 900, NOW - 600)
    assert world.sets.shown() == set()


def test_a_quarantine_ends_by_itself_and_is_kept_over_a_restart() -> None:
    """What the kernel kept stays until lineage and the store were read, and is then put right."""
    world = World()
    world.sets.addresses = {ip_address(ip).packed: 50.0 for ip in ("10.0.0.7", "10.0.0.9")}
    world.warden.begin()
    world.confine()
    assert world.sets.shown() == {"10.0.0.7", "10.0.0.9"}
    world.bind("10.0.0.7", "a@1", NOW - 10)
    world.warden.settle()
    assert world.sets.shown() == {"10.0.0.7"}
    world.now = NOW + 61
    world.warden.settle()
    assert world.sets.shown() == set()
    assert world.guards == [False]


def test_a_gateway_that_only_watches_confines_nobody() -> None:
    """Nor does it refuse an endpoint."""
    world = World(confines=False, refuses=False)
    world.bind("10.0.0.7", "a@1", NOW - 10)
    world.confine()
    block = EndpointBlock(endpoint="tcp/198.51.100.9:1", at=NOW, until=NOW + 60, by="ann")
    world.warden.endpoints([block])
    assert (world.sets.addresses, world.sets.shared, world.guards) == ({}, {}, [])


def test_what_the_kernel_refuses_is_tried_again() -> None:
    """A full set holds up nothing else, and there is no lack of room for ever."""
    world = World()
    world.bind("10.0.0.7", "a@1", NOW - 10)
    world.sets.full = True
    world.confine()
    world.warden.settle()
    assert world.sets.addresses == {}
    world.sets.full = False
    world.warden.settle()
    assert world.sets.shown() == {"10.0.0.7"}


BLOCK = EndpointBlock(endpoint="tcp/198.51.100.9:1", at=NOW, until=NOW + 60, gateway="gw-2")


@pytest.mark.parametrize(
    ("block", "shares", "taken"),
    [
        (BLOCK, True, True),
        (BLOCK, False, False),
        (replace(BLOCK, by="ann"), False, True),
        (replace(BLOCK, endpoint="tcp/192.0.2.9:1"), True, False),
        (replace(BLOCK, endpoint="tcp/192.0.2.9:1", by="ann"), True, True),
        (replace(BLOCK, until=NOW), True, False),
        (replace(BLOCK, endpoint="nonsense"), True, False),
        (replace(BLOCK, until=1e300), True, True),
    ],
)
def test_what_of_others_verdicts_is_taken(block: EndpointBlock, shares: bool, taken: bool) -> None:
    """Those of gateways where it shares, but for the site's own; those of persons always."""
    world = World(shares=shares)
    world.warden.endpoints([block])
    assert bool(world.sets.shared) is taken
    assert all(seconds < 1e9 for seconds in world.sets.shared.values())


def test_a_release_lifts_only_what_was_there_then() -> None:
    """Also single sandboxes' blocks; one that was earned since stays, whoever hears of it when."""
    world = World()
    endpoint = parse_endpoint(BLOCK.endpoint)

    def single(sandbox: str, ago: float, port: int = 1) -> Blocked:
        key = ip_address(sandbox).packed, endpoint.address, port
        return Blocked(Block(Proto.TCP, *key), 600.0 - ago)

    since, other = single("10.0.0.8", 10), single("10.0.0.7", 100, port=2)
    world.warden.endpoints([BLOCK])
    world.sets.single = [single("10.0.0.7", 100), since, other]
    world.warden.endpoints([replace(BLOCK, released=NOW - 50)])
    assert world.sets.shared == {}
    assert world.sets.single == [since, other]


def test_nonsense_in_the_store_harms_nobody() -> None:
    """Addresses that are none, ends that never come, bindings that others wrote."""
    world = World()
    world.bind("10.0.0.7", "a@1", NOW - 10)
    world.confine("x", "", addresses=("10.0.0.7", "999.1.1.1", "\ud7ff"), until=1e300)
    assert world.sets.shown() == {"10.0.0.7"}
    assert world.sets.addresses[ip_address("10.0.0.7").packed] < 1e9
    world.bind("nonsense", "a@1", NOW)
    assert world.sets.shown() == {"10.0.0.7"}
