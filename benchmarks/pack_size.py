"""Whether a large pack costs a flow more than the core pack: they take turns.

    .venv/bin/python benchmarks/pack_size.py
    .venv/bin/python benchmarks/pack_size.py --names 1000000 --signatures 20000

Writes a pack with everything of the core pack, and so many more host names, addresses and
signatures of every kind of condition, of which ordinary traffic meets none; and one that has a
single signature of every kind, for what is asked at all costs something, however few ask it. Then
the same packets go through the pipeline under each pack. Exit status 1: a flow costs more than a
tenth more under the large one than under the core pack.
"""

# ruff: noqa: INP001, T201 - a script, whose output is its purpose

import argparse
import gc
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from pathlib import Path

from arguments import at_least_one  # type: ignore[import-not-found] # beside this file
from core import Case, cases, packets  # type: ignore[import-not-found] # beside this file

from davylamp import paths
from davylamp.pipeline import Pipeline, Vantage
from davylamp.policy import Policy
from davylamp.signatures.disk import read_files
from davylamp.signatures.memo import Memo
from davylamp.signatures.pack import Pack, load

_ROUNDS = 15
_TARGET = 1.10

HEAD = """\
id: {identity}
rev: 1
title: A made-up protocol
category: mining
dialect: made-up
role: miner
kind: login
coins: [XXX]
confidence: 70
severity: 2
maturity: stable
technique: T1496.001
references: [https://example.org/made-up]
detail: a message of a made-up protocol
when:
"""
_NAME = "{name}\tendpoint\tconfirmed\tXMR\tpool {pool}\tmade-up\t2026-11-01\n"
_ADDRESS = "{address}\t{port}\ttcp\tcandidate\tXMR\tpool\tmade-up\t2026-11-01\t2027-06-01\n"


def conditions() -> tuple[Callable[[int], str], ...]:
    """Return ways to write a condition that differs by a number, one for each index."""
    return (
        lambda n: f"  json: {{method: toy.m{n}, members: {{params: [string, hex:8]}}}}",
        lambda n: f'  json: {{members: {{params: {{toy_{n}: "string:1-", id: any}}}}}}',
        lambda n: f"  json: {{members: {{type: {{$const: toy-{n}}}, params: object}}}}",
        lambda n: f"  json: {{members: {{params: {{name: {{$const: toy-{n}}}}}}}}}",
        lambda n: f"  json: {{members: {{params: [{{$const: toy-{n}}}, string, string]}}}}",
        lambda n: f"  line: {{starts_with: 'TOY{n},', split: ',', fields: [any, wallet, any]}}",
        lambda n: f"  line: {{ends_with: ' toy{n}', from: client}}",
        lambda n: f"  bytes: {{starts_with: {{hex: 00 01 {n:08x} 02}}, contains: rig}}",
        lambda n: f"  http: {{path: /toy/{n}/work*, method: POST}}",
        lambda n: f"  http: {{headers: {{user-agent: {{$starts_with: toyminer-{n}/}}}}}}",
        lambda n: f"  tls: {{ja4: t13i{n % 90 + 10}0900_{n:012x}_*, names_server: false}}",
        lambda n: f"  all_of: [http: {{host: toy-{n}.test}}, json: {{method: toy.n{n}}}]",
    )


def write_pack(root: Path, names: int, addresses: int, signatures: int) -> None:
    """Write the core pack and so much more."""
    shutil.copytree(paths.SIGNATURES / "core", root)
    pools = root / "lists" / "pools.tsv"
    with pools.open("a", encoding="utf-8") as file:
        for number in range(names):
            name = f"{'*.' * (number % 10 == 0)}stratum{number % 7}.pool-{number}.example"
            file.write(_NAME.format(name=name, pool=number % 500))
    with (root / "lists" / "addresses.tsv").open("w", encoding="utf-8") as file:
        for number in range(addresses):
            address = ".".join(
                map(str, (100 + (number >> 16), 64, number >> 8 & 255, number & 255))
            )
            file.write(_ADDRESS.format(address=address, port=1024 + number % 60_000))
    made = conditions()
    (root / "toy").mkdir()
    for number, when in _listed(made, signatures):
        head = HEAD.format(identity=f"toy-{number}")
        (root / "toy" / f"toy-{number}.yaml").write_text(f"{head}{when}\n", "utf-8")


def _listed(made: tuple[Callable[[int], str], ...], signatures: int) -> Iterator[tuple[int, str]]:
    yield 0, "  endpoint: {list: addresses}"
    for number in range(1, signatures):
        yield number, made[number % len(made)](number)


def loaded(path: Path) -> tuple[Pack, float, float]:
    """Return a pack and how many seconds of processor time it took to load, and once more."""
    memo = Memo()
    began = time.process_time()
    pack = load(read_files(path), memo)
    once = time.process_time()
    load(read_files(path), memo)
    return pack, once - began, time.process_time() - once


def turns(packs: Sequence[Pack], case: Case) -> tuple[list[float], list[float]]:
    """Return microseconds a packet under each pack, and how the last compares with each.

    That is the middle of the rounds' ratios.
    """
    made = packets(case)[:1500]
    best = [float("inf")] * len(packs)
    ratios: list[list[float]] = []
    for number in range(_ROUNDS):
        took = [0.0] * len(packs)
        for at in sorted(range(len(packs)), reverse=bool(number % 2)):
            pipeline = Pipeline(packs[at], Policy(), vantage=Vantage.INLINE)
            gc.collect()
            gc.disable()
            began = time.process_time()
            for ip in made:
                pipeline.packet(ip, 1.0, triggered=case.triggered)
            took[at] = (time.process_time() - began) * 1e6 / len(made)
            gc.enable()
            best[at] = min(best[at], took[at])
        ratios.append([took[-1] / one for one in took])
    return best, [statistics.median(column) for column in zip(*ratios, strict=True)]


def memory(path: Path) -> float:
    """Return how many megabytes a process grows by that loads a pack."""
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from davylamp.signatures.disk import load_directory\n"
        "def held():\n"
        "    return int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize()\n"
        "before = held()\n"
        "pack = load_directory(Path(sys.argv[1]))\n"
        "print((held() - before) / 1e6)\n"
    )
    done = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", script, str(path)], check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--names", type=at_least_one, default=200_000)
    parser.add_argument("--addresses", type=at_least_one, default=20_000)
    parser.add_argument("--signatures", type=at_least_one, default=10_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="davylamp-pack-") as folder:
        core, kinds, large = paths.SIGNATURES / "core", Path(folder, "kinds"), Path(folder, "large")
        one_of_each = len(conditions()) + 1
        write_pack(kinds, 1, 1, one_of_each)
        write_pack(large, given.names, given.addresses, max(given.signatures, one_of_each))
        found = [loaded(path) for path in (core, kinds, large)]
        packs = [pack for pack, _, _ in found]
        _row("", "core", "one of each", "large")
        _row("signatures", *(f"{len(pack.signatures):,}" for pack in packs))
        _row("host names", *(f"{_sum(pack.lists):,}" for pack in packs))
        _row("addresses", *(f"{_sum(pack.endpoint_lists):,}" for pack in packs))
        _row("processor seconds to load", *(f"{once:.3f}" for _, once, _ in found))
        _row("the same again", *(f"{again:.3f}" for _, _, again in found))
        grown = [memory(path) for path in (core, kinds, large)]
        _row("megabytes of a process", *(f"{one:.1f}" for one in grown))
        print()
        ratio = _tell_costs(packs)
    sys.exit(1 if ratio > _TARGET else 0)


def _tell_costs(packs: list[Pack]) -> float:
    """Print what packets cost; return the ratio of the large pack to the core pack, over all."""
    _row("us/packet, a flow each", "core", "one of each", "large", "to core", "to each")
    totals = [0.0] * len(packs)
    for case in cases():
        best, ratios = turns(packs, case)
        if not case.name.startswith("mining"):  # it costs as much as all the others
            totals = [total + one for total, one in zip(totals, best, strict=True)]
        _row(case.name, *(f"{one:.2f}" for one in best), *(f"{one:.3f}" for one in ratios[:-1]))
    ratios = [totals[-1] / one for one in totals]
    _row(
        "all but mining", *(f"{one:.2f}" for one in totals), *(f"{one:.3f}" for one in ratios[:-1])
    )
    return ratios[0]


def _row(label: str, *columns: str) -> None:
    print(f"{label:28}" + "".join(f"{column:>13}" for column in columns))


def _sum(lists: Mapping[str, Sized]) -> int:
    return sum(map(len, lists.values()))


if __name__ == "__main__":
    main()
