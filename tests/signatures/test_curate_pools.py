"""How tools/curate_pools.py chooses and grades, and that the list in the pack is its work."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from davylamp.signatures.names import Grade, Kind, NameEntry, parse_names
from davylamp.signatures.pack import Pack

ROOT = Path(__file__).parents[2]

MPDI = """\
domain,port,scheme,pool_name,coin,confidence,last_seen
erg.pool.test,8888,stratum+tcp,Pool,ERG,confirmed,2026-04-20
erg.pool.test,8889,stratum+ssl,Pool,BTC/BCH,confirmed,2026-04-21
asia.pool.test,3333,stratum+tcp,Pool,UNKNOWN,candidate,2026-04-21
pool.test,3333,stratum+tcp,Pool,UNKNOWN,candidate,2026-04-21
www.pool.test,443,stratum+ssl,Pool,UNKNOWN,candidate,2026-04-21
127.0.0.1,3333,stratum+tcp,Pool,UNKNOWN,candidate,2026-04-21
abc.onion,3333,stratum+tcp,Pool,UNKNOWN,candidate,2026-04-21
""".splitlines()

MALTRAIL = """\
# Reference: https://example.org
51.15.67.17:14444
asia.pool.test
xmr.other.test
seed2.xmrcoin.test
minecoin.test
films.example.test
# TITLE-HOST/IP=Some page
xmr.scanned.test
""".splitlines()


@pytest.fixture(scope="module")
def curate() -> ModuleType:
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location("curate", ROOT / "tools" / "curate_pools.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(name: str, grade: Grade, kind: Kind = Kind.ENDPOINT) -> NameEntry:
    """Return an entry added by hand."""
    return NameEntry(name, kind, grade, (), "Pool", "configs", "2026-01-01")


def test_hosts_are_taken_once_and_addresses_never(curate: ModuleType) -> None:
    """All ports of a host are one entry; addresses, onions and www names are left out."""
    entries = {entry.name: entry for entry in curate.mpdi_entries(MPDI)}
    assert set(entries) == {"erg.pool.test", "asia.pool.test", "pool.test"}
    assert entries["erg.pool.test"].coins == ("BCH", "BTC", "ERG")
    assert entries["erg.pool.test"].date == "2026-04-21"
    assert entries["pool.test"].kind is Kind.MIXED


def test_the_trail_is_taken_only_where_it_speaks_of_mining(curate: ModuleType) -> None:
    """Bare domains, chain seeds, films and pages found by title are left out."""
    names = [entry.name for entry in curate.maltrail_entries(MALTRAIL, "2026-01-01")]
    assert names == ["asia.pool.test", "xmr.other.test"]


def test_what_two_lists_say_is_probable(curate: ModuleType) -> None:
    """Agreement raises a candidate; a row by hand is the last word."""
    merged = curate.merge(
        [row("xmr.other.test", Grade.CONFIRMED)],
        curate.mpdi_entries(MPDI),
        curate.maltrail_entries(MALTRAIL, "2026-01-01"),
    )
    grades = {entry.name: entry.grade for entry in merged}
    assert grades["erg.pool.test"] is Grade.CONFIRMED
    assert grades["asia.pool.test"] is Grade.PROBABLE
    assert grades["xmr.other.test"] is Grade.CONFIRMED


def test_a_surer_wildcard_is_not_weakened(curate: ModuleType) -> None:
    """A candidate beneath a confirmed wildcard would win as the longer name, so it is dropped."""
    merged = curate.merge([row("*.pool.test", Grade.CONFIRMED)], curate.mpdi_entries(MPDI), ())
    assert [entry.name for entry in merged] == ["pool.test", "*.pool.test"]


def test_the_list_in_the_pack_holds_every_row_by_hand(core: Pack) -> None:
    """Whoever edits the rows by hand has to run the script again."""
    file = ROOT / "tools" / "pools_by_hand.tsv"
    assert set(parse_names(file.read_bytes(), file.name)) <= set(core.lists["pools"])
