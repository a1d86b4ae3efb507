"""Another pack in force while connections open by the thousand: what is lost, and for how long.

    .venv/bin/python benchmarks/reload.py [--seconds 20] [--reloads 5] [--every 0.05]

wrk opens a connection for each request through a lab's gateway. First nothing changes; then, for as
long, the site's own signatures change again and again, so that all workers compile the pack and
switch. All the while a miner strikes a port of its own every 50 ms, so that each strike has to be
inspected. Exit status 1: a request failed, a strike came through, a packet was lost, or a worker
paused for 50 ms.
"""

# ruff: noqa: INP001, T201 - a script, whose output is its purpose

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from arguments import above_zero, at_least_one  # type: ignore[import-not-found] # beside this file
from pack_size import HEAD  # type: ignore[import-not-found] # beside this file

from davylamp.bench.load import prepare
from davylamp.bench.output import Requests
from davylamp.errors import KernelError
from davylamp.events import PackEvent
from davylamp.lab import Lab, LabSpec
from davylamp.lab.gateway import LabGateway
from davylamp.lab.service import Service
from davylamp.lab.topology import OUTSIDE, SITES

_PORTS = range(20_000, 24_000)
_CONNECTIONS = 128
_TARGET_PAUSE = 0.05
_LOST = ("queue_dropped", "queue_overruns", "exceptions", "sample_overruns")
_STRIKE = b'{"id":1,"method":"mining.subscribe","params":["cgminer/4.12.1"]}\n'


@dataclass(frozen=True, slots=True)
class Found:
    """What came of one run; ``pauses`` and ``longest`` in seconds."""

    plain: Requests
    calm: Requests
    busy: Requests
    pauses: list[float]
    outcomes: dict[str, int]
    longest: float
    whole: int
    lost: dict[str, int]


def main() -> int:
    """Measure and print; return 1 where something was lost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=at_least_one, default=20)
    parser.add_argument("--reloads", type=at_least_one, default=5)
    parser.add_argument("--every", type=above_zero, default=0.05, help="seconds between strikes")
    parser.add_argument("--role", choices=("strike", "catch"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role:
        asyncio.run(_strike(arguments.every) if arguments.role == "strike" else _catch())
        return 0
    with (
        tempfile.TemporaryDirectory() as folder,
        Lab.create(LabSpec(f"reload-{os.getpid()}", sandboxes=2)) as lab,
    ):
        return measure(lab, Path(folder), arguments)


def measure(lab: Lab, work: Path, arguments: argparse.Namespace) -> int:
    """Load the gateway twice, the second time with reloads; print what came of it."""
    seconds, reloads = arguments.seconds, arguments.reloads
    _, web = prepare(lab, work, threads=2)
    web.run(connections=_CONNECTIONS, seconds=1)
    plain = web.run(connections=_CONNECTIONS, seconds=min(5, seconds))
    gateway = LabGateway(lab, work / "gateway").start()
    catcher = Service(lab, OUTSIDE, "catch", "--role", "catch", script=Path(__file__)).wait_ready()
    role = "--role", "strike", "--every", str(arguments.every)
    striker = Service(lab, "sandbox-2", "strike", *role, script=Path(__file__))
    striker.wait_ready()
    web.run(connections=_CONNECTIONS, seconds=1)
    calm = web.run(connections=_CONNECTIONS, seconds=seconds)
    changing = threading.Thread(target=change, args=(gateway, seconds, reloads))
    changing.start()
    busy = web.run(connections=_CONNECTIONS, seconds=seconds)
    changing.join()
    striker.stop()
    catcher.stop()
    switched = [one for one in gateway.events() if isinstance(one, PackEvent)]
    pauses = [one.pause_seconds for one in switched if one.change == "switched"]
    counters = gateway.counters()
    gateway.stop()
    struck, caught = striker.events("struck")[0], catcher.events("caught")[0]
    found = Found(
        plain,
        calm,
        busy,
        pauses,
        struck["outcomes"],
        struck["longest"],
        caught["whole"],
        {name: counters.get(name, 0) for name in _LOST},
    )
    return tell(found, reloads)


def change(gateway: LabGateway, seconds: int, reloads: int) -> None:
    """Change the site's own signatures so many times, evenly, and have the gateway read them."""
    local = gateway.directory / "state" / "packs" / "local" / "toys"
    local.mkdir(parents=True)
    assert gateway.process is not None
    for number in range(reloads):
        time.sleep(seconds / (reloads + 1))
        (local / f"toy-{number}.yaml").write_text(_signature(number))
        gateway.process.send_signal(signal.SIGHUP)


def _signature(number: int) -> str:
    when = f"  json: {{method: toy.m{number}, members: {{params: [string, hex:8]}}}}\n"
    return HEAD.format(identity=f"toy-{number}") + when


def tell(found: Found, reloads: int) -> int:
    """Print the figures; return 1 where something was lost."""
    calm, busy, outcomes = found.calm, found.busy, found.outcomes
    print(f"connections a second     {found.plain.rate:>10,.0f}   plain forwarding")
    print(f"                         {calm.rate:>10,.0f}   nothing changes")
    print(f"                         {busy.rate:>10,.0f}   packs change")
    print(f"failed requests          {calm.failed:>10,}   of {calm.count:,}")
    print(f"                         {busy.failed:>10,}   of {busy.count:,}")
    print(f"packs switched           {len(found.pauses):>10,}   of {reloads}")
    print(f"longest pause            {1000 * max(found.pauses, default=0):>10.2f}   ms")
    print(f"strikes                  {sum(outcomes.values()):>10,}   {outcomes}")
    print(f"longest wait of a strike {1000 * found.longest:>10.0f}   ms")
    print(f"whole requests at a pool {found.whole:>10,}")
    print(f"packets lost             {sum(found.lost.values()):>10,}   {', '.join(_LOST)}")
    fine = (
        not (calm.failed or busy.failed or found.whole or any(found.lost.values()))
        and set(outcomes) == {"reset"}
        and len(found.pauses) == reloads
        and max(found.pauses) < _TARGET_PAUSE
    )
    return 0 if fine else 1


async def _strike(every: float) -> None:
    """Say a miner's first request on one port after another, and what became of it."""
    outcomes: Counter[str] = Counter()
    longest = 0.0
    stopped = _until_stopped()
    _say(ready=True)
    for port in _PORTS:
        began = time.monotonic()
        outcomes[await _once(port)] += 1
        took = time.monotonic() - began
        longest = max(longest, took)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stopped.wait(), max(0.0, every - took))
        if stopped.is_set():
            break
    _say(event="struck", outcomes=outcomes, longest=longest)


async def _once(port: int) -> str:
    try:
        reader, writer = await asyncio.open_connection(SITES[0], port)
        writer.write(_STRIKE)
        answer = await asyncio.wait_for(reader.read(64), 10)
    except ConnectionResetError:
        return "reset"
    except (OSError, TimeoutError) as error:
        return type(error).__name__
    with contextlib.suppress(OSError):
        writer.close()
    return "answered" if answer else "closed"


async def _catch() -> None:
    """Be a pool on every port, and count the requests that came whole."""
    whole = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal whole
        with contextlib.suppress(OSError):
            whole += (await reader.readline()).endswith(b"\n")
            writer.write(b'{"id":1,"result":[[],"00",4],"error":null}\n')
            writer.close()

    stopped = _until_stopped()
    for port in _PORTS:
        await asyncio.start_server(answer, SITES[0], port)
    _say(ready=True)
    await stopped.wait()
    _say(event="caught", whole=whole)


def _until_stopped() -> asyncio.Event:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    return stopped


def _say(**what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (KernelError, subprocess.SubprocessError) as error:
        sys.exit(f"reload: {error}")
