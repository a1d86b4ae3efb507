"""What gateways refuse together, in a real Redis."""

from typing import Any

import pytest
from msgspec.structs import replace
from tests.blocks.conftest import MakeAlert

from davylamp.attribution.operation import Operation
from davylamp.attribution.store import Store
from davylamp.blocks.keys import BlockRetention
from davylamp.blocks.model import EndpointBlock, EndpointChange, Quarantine, Report, encode
from davylamp.blocks.operations import ALIVE_SECONDS, BlockOperations
from davylamp.blocks.sharing import shareable

NOW = 1e9


@pytest.fixture
def block(make_alert: MakeAlert) -> EndpointBlock:
    """Give a block that a gateway shares."""
    found = shareable(make_alert(), "gw-1", 80, NOW, 600.0)
    assert found is not None
    return found


def test_a_block_is_published_once_and_only_prolonged(store: Store, block: EndpointBlock) -> None:
    """A repeat changes nothing, a longer one does; a release ends it; what is older stays out."""
    ops = BlockOperations.beside(store.operations)
    longer = replace(block, until=NOW + 700, gateway="gw-2")
    later = replace(block, at=NOW + 30, until=NOW + 630)
    assert store.run(ops.put(block, NOW))
    assert not store.run(ops.put(replace(block, until=NOW + 599), NOW))
    assert store.run(ops.put(longer, NOW))
    assert [one.block for one in store.run(ops.listing(NOW))] == [longer]
    assert store.run(ops.listing(NOW + 701)) == []
    released = store.run(ops.release(block.endpoint, "ann", NOW + 20))
    assert (released.released, released.released_by) == (NOW + 20, "ann")
    assert store.run(ops.listing(NOW + 20)) == []
    assert not store.run(ops.put(replace(block, until=NOW + 9000), NOW + 21))
    assert store.run(ops.put(later, NOW + 30))
    assert [one.block for one in store.run(ops.listing(NOW + 30))] == [later]
    told = store.run(ops.changes("0-0", 0.01, 100)).changes
    expected = [block, longer, released, later]
    assert [one.block for one in told if isinstance(one, EndpointChange)] == expected
    # What loads late hears of the same end.
    assert store.run(ops.load()) == [EndpointChange(block=later)]


def test_in_force_is_what_gateways_say_they_have_read(store: Store, block: EndpointBlock) -> None:
    """Those that are behind, silent, only watch or do not share have it not."""
    ops = BlockOperations.beside(store.operations)
    before = store.run(ops.position())
    store.run(ops.put(block, NOW))
    after = store.run(ops.position())
    full = Report(name="full", at=NOW, position=after, enforcing=True, shares=True)
    for report in (
        full,
        replace(full, name="behind", position=before),
        replace(full, name="silent", at=NOW - ALIVE_SECONDS - 1),
        replace(full, name="watches", enforcing=False),
        replace(full, name="alone", shares=False),
    ):
        store.run(ops.report(report))
    (found,) = store.run(ops.listing(NOW))
    assert found.gateways == ("full",)
    store.run(ops.put(replace(block, endpoint="tcp/198.51.100.10:1", by="ann"), NOW))
    store.run(ops.report(replace(full, name="alone", shares=False, position="9999999999999-0")))
    asked = next(one for one in store.run(ops.listing(NOW)) if one.block.by)
    assert asked.gateways == ("alone",)


def test_quarantines_end_once(store: Store) -> None:
    """One that was freed stays free until there is another reason."""
    ops = BlockOperations.beside(store.operations)
    one = Quarantine(lifecycle_id="c@1", addresses=("10.0.0.7",), at=NOW, until=NOW + 60)
    assert store.run(ops.confine(one, NOW))
    assert not store.run(ops.confine(one, NOW))
    assert store.run(ops.free("c@1", "ann", NOW + 1))
    assert not store.run(ops.free("c@1", "ann", NOW + 2))
    assert not store.run(ops.confine(one, NOW + 2))
    assert store.run(ops.confine(replace(one, at=NOW + 3, until=NOW + 63), NOW + 3))


def test_what_is_kept_is_bounded_and_what_others_wrote_is_passed_over(
    store: Store, block: EndpointBlock
) -> None:
    """The blocks that end first go first; nonsense in a hash or stream harms nothing."""
    keep = BlockRetention(records=3, changes=10, gateways=2)
    ops = BlockOperations(keep=keep)
    for number in range(1, 7):
        other = replace(block, endpoint=f"tcp/198.51.100.9:{number}", until=NOW + 100 * number)
        store.run(ops.put(other, NOW))
    ports = sorted(one.block.endpoint[-1] for one in store.run(ops.listing(NOW)))
    assert ports == ["4", "5", "6"]
    for number in range(4):
        report = Report(name=f"gw-{number}", at=NOW + number, position="0-0")
        store.run(ops.report(report))
    reports = next(iter(store.run(_read(ops))))
    assert set(reports) == {b"gw-2", b"gw-3"}
    ops = BlockOperations()
    for number, line in enumerate((b"{", b"[]", b"\xff", encode(block)[:-9])):
        store.run(_write(ops, block.endpoint, line))
        assert len(store.run(ops.listing(NOW))) == 3
        store.run(ops.changes("0-0", 0.01, 100))
        again = replace(block, at=NOW + number, until=NOW + 9000)
        assert store.run(ops.put(again, NOW))
        store.run(ops.release(block.endpoint, "ann", NOW + number))


def _read(ops: BlockOperations) -> Operation[list[Any]]:
    """Return what gateways reported."""
    return (yield (("HGETALL", ops.keys.gateways),))


def _write(ops: BlockOperations, name: str, line: bytes) -> Operation[None]:
    """Put nonsense where a record and a change should be."""
    yield (
        ("HSET", ops.keys.endpoints.records, name, line),
        ("XADD", ops.keys.changes, "*", "change", line),
        ("HSET", ops.keys.gateways, "nonsense", line),
    )
