# ruff: noqa: INP001 - a script, in no package
"""Builds signatures/core/lists/pools.tsv from public lists and from tools/pools_by_hand.tsv.

    python tools/curate_pools.py --mpdi mining_pool_domains.csv --maltrail crypto_mining.txt \
        --read-on 2026-11-23

The inputs are mining-pool-domain-intel's CSV (Apache-2.0) and maltrail's crypto_mining trail (MIT),
downloaded beforehand: nothing is fetched and no name is resolved here. The same inputs give the
same file. docs/signatures.md says what each kind and grade means and why entries are left out.
"""

import argparse
import csv
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import structs

from davylamp.signatures.names import Grade, Kind, NameEntry, find, parse_names

ROOT = Path(__file__).resolve().parents[1]
BY_HAND = ROOT / "tools" / "pools_by_hand.tsv"
OUTPUT = ROOT / "signatures" / "core" / "lists" / "pools.tsv"

HEADER = """\
# Mining pools by host name. Made by tools/curate_pools.py: edit tools/pools_by_hand.tsv instead.
# sources: configs = published configurations and documentation of several projects, read by hand;
#   mpdi = mining-pool-domain-intel (Apache-2.0); maltrail = maltrail crypto_mining trail (MIT).
# name\tkind\tgrade\tcoins\tpool\tsource\tdate
"""

# Second-level suffixes under which the lists' registrable names have three labels.
_TWO_LABEL_SUFFIXES = ("co.uk", "my.id", "us.to")
# First labels of hosts that serve people, mail or a chain's own peers, not miners.
_NOT_MINING = (
    {"www", "web", "api", "blog", "docs", "help", "support", "status", "portal", "forum", "wiki"}
    | {"mail", "imap", "pop", "smtp", "ftp", "cdn", "static", "dl", "download", "xiazai"}
    | {"seed", "node"}
)
# A host of maltrail's trail is taken only where its own name speaks of mining.
_MINING_WORDS = ("pool", "xmr", "monero", "mine", "mining", "stratum", "hash", "donate", "zeph")
# From this reference on, the trail lists whatever a scanner saw behind one page title.
_SCANNED_BY_TITLE = "# TITLE-HOST/IP="


def main() -> int:
    """Write the list and say how many entries of each kind it has."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mpdi", type=Path, required=True, help="mining_pool_domains.csv")
    parser.add_argument("--maltrail", type=Path, required=True, help="crypto_mining.txt")
    parser.add_argument("--read-on", required=True, metavar="YYYY-MM-DD", help="when maltrail was")
    arguments = parser.parse_args()
    by_hand = parse_names(BY_HAND.read_bytes(), BY_HAND.name)
    mpdi = mpdi_entries(arguments.mpdi.read_text("utf-8").splitlines())
    maltrail = maltrail_entries(
        arguments.maltrail.read_text("utf-8").splitlines(), arguments.read_on
    )
    entries = merge(by_hand, mpdi, maltrail)
    OUTPUT.write_text(HEADER + "".join(f"{line(entry)}\n" for entry in entries), "utf-8")
    blocking = sum(entry.may_block for entry in entries)
    sys.stdout.write(f"{OUTPUT}: {len(entries)} entries, {blocking} may block\n")
    return 0


def merge(
    by_hand: Iterable[NameEntry], mpdi: Iterable[NameEntry], maltrail: Iterable[NameEntry]
) -> list[NameEntry]:
    """Return one entry a name: by hand before mpdi before maltrail; two lists agreeing count.

    A candidate that a wildcard by hand covers at least as surely is left out: as the longer name
    it would win, and weaken what is known.
    """
    ours = {entry.name: entry for entry in by_hand}
    merged = {entry.name: entry for entry in maltrail}
    for entry in mpdi:
        agreed = entry.name in merged and entry.grade is Grade.CANDIDATE
        merged[entry.name] = structs.replace(entry, grade=Grade.PROBABLE) if agreed else entry
    for name, entry in list(merged.items()):
        wider = find(ours, name)
        if wider and wider.kind is Kind.ENDPOINT and wider.confidence >= entry.confidence:
            del merged[name]
    merged.update(ours)
    return sorted(merged.values(), key=lambda entry: entry.name.split(".")[::-1])


def mpdi_entries(lines: Iterable[str]) -> Iterator[NameEntry]:
    """Yield the host names of mining-pool-domain-intel, one entry for all ports of a host."""
    rows: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader(lines):
        rows.setdefault(row["domain"].strip().lower(), []).append(row)
    for host, same in rows.items():
        if not _may_list(host):
            continue
        confirmed = any(row["confidence"] == "confirmed" for row in same)
        coins = {coin for row in same for coin in row["coin"].split("/")} - {"UNKNOWN", "AUTO", ""}
        yield NameEntry(
            name=host,
            kind=_kind(host),
            grade=Grade.CONFIRMED if confirmed else Grade.CANDIDATE,
            coins=tuple(sorted(coins)),
            pool=same[0]["pool_name"].strip() or host,
            source="mpdi",
            date=max(row["last_seen"] for row in same),
        )


def maltrail_entries(lines: Iterable[str], read_on: str) -> Iterator[NameEntry]:
    """Yield the host names of maltrail's trail that speak of mining; always as candidates."""
    for text in lines:
        if text.startswith(_SCANNED_BY_TITLE):
            return
        host = text.partition("#")[0].strip().lower()
        speaks = any(word in host for word in _MINING_WORDS)
        if speaks and _may_list(host) and _kind(host) is Kind.ENDPOINT:
            pool = ".".join(host.split(".")[-2:])
            yield NameEntry(host, Kind.ENDPOINT, Grade.CANDIDATE, (), pool, "maltrail", read_on)


def line(entry: NameEntry) -> str:
    """Return an entry as the tab-separated line that `parse_names` reads."""
    coins = ",".join(entry.coins) or "-"
    kind = f"{entry.kind}\t{entry.grade}"
    return f"{entry.name}\t{kind}\t{coins}\t{entry.pool}\t{entry.source}\t{entry.date}"


def _may_list(host: str) -> bool:
    labels = host.split(".")
    return (
        len(labels) >= 2
        and not labels[-1].isdecimal()
        and labels[-1] != "onion"
        and labels[0].rstrip("0123456789") not in _NOT_MINING
        and all(label.replace("-", "").isalnum() and label.isascii() for label in labels)
    )


def _kind(host: str) -> Kind:
    """Tell a bare registrable name, where a pool's website also lives, from a host beneath it."""
    labels = 3 if host.endswith(_TWO_LABEL_SUFFIXES) else 2
    return Kind.MIXED if host.count(".") < labels else Kind.ENDPOINT


if __name__ == "__main__":
    sys.exit(main())
