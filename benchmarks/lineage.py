"""Lineage under churn: containers that start by the thousand a second, and who is named for each.

    .venv/bin/python benchmarks/lineage.py [--containers 100000] [--rate 1000] [--json]

A real redis-server is started, writers (processes of their own, as trainers are) bind containers at
the rate, each to the address that was given up longest ago, and release them after their life; some
releases come late, some are said twice. A gateway's snapshot follows the stream of changes
and is asked, as it follows, who held an address at random moments of the past seconds. What it says
for sure is compared with the truth; anything else is counted as unsure, not as right. At the end
every container is asked for once more. Exit status 1 where any answer was wrong.
"""

# ruff: noqa: INP001, T201, S311 - a script, whose output is its purpose; no secrets

import argparse
import asyncio
import gc
import heapq
import json
import multiprocessing
import random
import sys
import tempfile
import time
from collections import deque
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import redis
from arguments import above_zero, at_least_one  # type: ignore[import-not-found] # beside this file

from davylamp.attribution.model import Binding
from davylamp.attribution.place import place_under
from davylamp.attribution.server import EmbeddedRedis
from davylamp.attribution.store import AsyncStore, Store
from davylamp.attribution.sync import LineageSync
from davylamp.attribution.table import LineageTable

_LIFE = 8.0
_SPARE = 0.2
_WRITERS = 4
_ASKED = 40


@dataclass(frozen=True, slots=True, order=True)
class Life:
    """The truth about one container: its name, its address, and when it held that."""

    name: str
    ip: str
    start: float
    end: float


@dataclass(slots=True)
class Tally:
    """What the snapshot answered, and how long it took, in seconds."""

    right: int = 0
    wrong: int = 0
    unsure: int = 0
    first_wrong: str = ""

    def count(self, life: Life, named: str, *, sure: bool) -> None:
        """Compare one answer with the truth."""
        if sure and named != life.name:
            self.wrong += 1
            self.first_wrong = self.first_wrong or f"{life} was put down to {named!r}"
        elif sure:
            self.right += 1
        else:
            self.unsure += 1


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one run."""

    containers: int
    addresses: int
    starts_a_second: float
    right: int
    unsure: int
    wrong: int
    wrong_at_the_end: int
    lost_at_the_end: int
    p50_us: float
    p99_us: float
    gateway_bytes_a_container: float
    redis_bytes_a_container: float


def _write(url: str, net: int, containers: int, rate: float, tell: Connection) -> None:
    """Start containers at the rate and end each after its life, as a trainer's client does."""
    # Few to spare: an address is somebody else's a fifth of a second after it was given up.
    free = deque(f"10.{net}.{n >> 8}.{n & 255}" for n in range(int(rate * (_LIFE + _SPARE))))
    ending: list[tuple[float, Life]] = []
    began = time.time()
    with Store(url) as store:
        for number in range(containers):
            due = began + number / rate
            _end(store, ending, free, until=due)
            while not free:
                _end(store, ending, free, until=ending[0][0])
            now = time.time()
            # Names come round again, as those of a pool of sandboxes do.
            name = f"sandbox-{net}-{number % 1250}"
            life = Life(f"{name}@{number}", free.popleft(), now, now + _LIFE)
            store.run(store.operations.bind(_binding(life, name), time.time()))
            # Every tenth release is late, as an event of a busy runtime is.
            late = random.random() * 0.05 if random.random() < 0.1 else 0.0
            heapq.heappush(ending, (life.end + late, life))
            tell.send(life)
    tell.send(None)


def _end(store: Store, ending: list[tuple[float, Life]], free: deque[str], *, until: float) -> None:
    """Say every release that is due by then, when it is due, and wait for that moment."""
    while ending and ending[0][0] <= until:
        due, life = heapq.heappop(ending)
        time.sleep(max(0.0, due - time.time()))
        for _ in range(1 + (random.random() < 0.1)):  # some are said twice
            store.run(store.operations.release(life.ip, life.name, life.end, time.time()))
        free.append(life.ip)
    time.sleep(max(0.0, until - time.time()))


def _binding(life: Life, container: str) -> Binding:
    return Binding(
        ip=life.ip,
        lifecycle_id=life.name,
        valid_from=life.start,
        container=container,
        run_id="run",
        rollout_id=life.name,
    )


async def _measure(url: str, containers: int, rate: float) -> Report:
    table = LineageTable()
    tally, took, lives = Tally(), list[float](), list[Life]()
    async with AsyncStore(url) as store:
        empty = _redis_bytes(url)
        sync = LineageSync(store, table)
        task = asyncio.create_task(sync.run())
        await sync.wait_loaded(10)
        writing = _start_writers(url, containers // _WRITERS, rate / _WRITERS)
        while writing:
            await asyncio.sleep(0.05)
            for one in [each for each in writing if each.poll()]:
                while one.poll():
                    life = one.recv()
                    if life is None:
                        writing.remove(one)
                        break
                    lives.append(life)
            _ask(table, lives, tally, took)
        end = time.time()
        while table.fresh_at < end:  # noqa: ASYNC110 - the snapshot has no such event
            await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        last = _ask_all(table, lives)
        redis_bytes = (_redis_bytes(url) - empty) / containers
    took.sort()
    starts = [each.start for each in lives]
    gateway_bytes = _size_of(table) / containers
    return Report(
        containers=len(lives),
        addresses=table.addresses,
        starts_a_second=round(len(lives) / (max(starts) - min(starts)), 1),
        right=tally.right,
        unsure=tally.unsure,
        wrong=tally.wrong,
        wrong_at_the_end=last.wrong,
        lost_at_the_end=last.unsure,
        p50_us=round(took[len(took) // 2] * 1e6, 1),
        p99_us=round(took[len(took) * 99 // 100] * 1e6, 1),
        gateway_bytes_a_container=round(gateway_bytes),
        redis_bytes_a_container=round(redis_bytes),
    )


def _start_writers(url: str, containers: int, rate: float) -> list[Connection]:
    """Start the writers; each tells of every container that it has bound, and at the end None."""
    context = multiprocessing.get_context("spawn")
    listening: list[Connection] = []
    for net in range(_WRITERS):
        ours, theirs = context.Pipe(duplex=False)
        arguments = (url, net, containers, rate, theirs)
        context.Process(target=_write, args=arguments, daemon=True).start()
        listening.append(ours)
    return listening


def _ask(table: LineageTable, lives: list[Life], tally: Tally, took: list[float]) -> None:
    """Ask for some of the latest containers, each at a moment of its life that is confirmed.

    A gateway waits for that: it names nobody for sure before.
    """
    for _ in range(min(_ASKED, len(lives))):
        life = lives[-1 - int(random.random() * min(len(lives), 4000))]
        if table.fresh_at < life.start:
            continue
        at = random.uniform(life.start, min(life.end, table.fresh_at))
        before = time.perf_counter()
        answer = table.attribute(life.ip, at)
        took.append(time.perf_counter() - before)
        named = answer.binding.lifecycle_id if answer.binding is not None else ""
        tally.count(life, named, sure=answer.grade.certain())


def _ask_all(table: LineageTable, lives: list[Life]) -> Tally:
    """Ask for every container when everything has been said, in the middle of what it lived."""
    tally, told = Tally(), table.fresh_at
    for life in lives:
        at = (life.start + min(life.end, told)) / 2
        answer = table.attribute(life.ip, at)
        named = answer.binding.lifecycle_id if answer.binding is not None else ""
        tally.count(life, named, sure=answer.grade.certain())
    if tally.first_wrong:
        print(tally.first_wrong, file=sys.stderr)
    return tally


def _redis_bytes(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        told: Any = client.info("memory")
        return int(told["used_memory"])


def _size_of(table: LineageTable) -> int:
    """Return the bytes of all that only the table refers to."""
    seen, size = set[int](), 0
    waiting: list[Any] = [table._snapshot]  # noqa: SLF001 - to weigh it
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, type):
            continue
        seen.add(id(one))
        size += sys.getsizeof(one)
        waiting.extend(gc.get_referents(one))
    return size


def main() -> int:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--containers", type=at_least_one, default=100_000)
    parser.add_argument("--rate", type=above_zero, default=1_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="davylamp-bench-") as directory:
        place = place_under(Path(directory))
        with EmbeddedRedis(place, persist=False) as server:
            report = asyncio.run(_measure(server.url, arguments.containers, arguments.rate))
    if arguments.json:
        print(json.dumps(asdict(report)))
    else:
        for name, value in asdict(report).items():
            print(f"{name.replace('_', ' '):28} {value:>14,}")
    return int(report.wrong + report.wrong_at_the_end > 0)


if __name__ == "__main__":
    sys.exit(main())
