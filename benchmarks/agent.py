"""How many translated flows a second an agent can publish, and what one costs.

In a network of its own (root), whose kernel masquerades: lone datagrams, each a new flow, at a
given rate; the agent's own watch and publisher, and a real redis-server. Every figure printed was
measured in that run::

    .venv/bin/python benchmarks/agent.py --rates 1000,5000,10000 --seconds 5
"""

# ruff: noqa: INP001, T201, S603, S607, SLF001 - a script, whose output is its purpose

import argparse
import asyncio
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from arguments import at_least_one, listed  # type: ignore[import-not-found] # beside this file

from davylamp.agent.flows import LiveFlows
from davylamp.agent.publisher import Publisher
from davylamp.agent.watch import Watch
from davylamp.attribution.hosts.model import Agent
from davylamp.attribution.place import place_under
from davylamp.attribution.server import EmbeddedRedis
from davylamp.attribution.store import AsyncStore

HOST, INNER = "192.0.2.1", "172.17.0.2"
NETWORK = f"""
ip link set lo up
ip link add d0 arp off type veth peer name d1
ip link set d1 up
ip address add {HOST}/24 dev d0
ip address add {INNER}/32 dev d0
ip link set d0 up
nft add table ip t
nft add chain ip t post '{{ type nat hook postrouting priority 100; }}'
nft add rule ip t post ip saddr {INNER} masquerade
sysctl -qw net.netfilter.nf_conntrack_udp_timeout=1
"""
SENDER = f"""
import socket, sys, time
rate, seconds, first = map(int, sys.argv[1:])
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.bind(("{INNER}", 1024 + first))
begin, sent = time.monotonic(), 0
while (passed := time.monotonic() - begin) < seconds:
    while sent < passed * rate:
        sender.sendto(b"", (f"192.0.2.{{10 + sent // 60000 % 200}}", 1024 + sent % 60000))
        sent += 1
    time.sleep(0.002)
print(sent)
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of one rate; times in seconds, ``memory`` in bytes of Redis."""

    sent: int
    seconds: float
    known: int
    behind: float
    cpu: float
    gaps: int
    dropped: int
    memory: int

    def line(self, rate: int) -> str:
        """Return it as a row."""
        return (
            f"{rate:>9,} {self.sent / self.seconds:>9,.0f} {100 * self.known / self.sent:>8.1f} % "
            f"{1e6 * self.cpu / self.sent:>8.1f} µs {self.behind:>8.2f} s {self.gaps:>5} "
            f"{self.dropped:>8,} {self.memory / max(self.known, 1):>8.0f} B"
        )


async def play(url: str, rate: int, seconds: int, number: int) -> Measured:
    """Send at a rate, and see what the store knows afterwards."""
    async with AsyncStore(url) as store:
        await store._execute([("FLUSHALL",)])
        before = await _memory(store)
        flows = LiveFlows("host", [ip_address(HOST).packed])
        publisher = Publisher(store, time.time)

        def about(seen: float) -> Agent:
            return Agent(name="host", id="b", addresses=(HOST,), watch=flows.watch, seen=seen)

        watch = Watch(flows, publisher, time.time)
        tasks = [
            asyncio.create_task(watch.run()),
            asyncio.create_task(publisher.run(about, flows.alive)),
        ]
        await asyncio.sleep(0.5)
        cpu, began, behind = time.process_time(), time.monotonic(), 0.0
        words = ("-c", SENDER, str(rate), str(seconds), str(number))
        sender = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdout=asyncio.subprocess.PIPE
        )
        said = asyncio.create_task(sender.communicate())
        while not said.done():
            await asyncio.wait([said], timeout=0.1)
            behind = max(behind, time.time() - publisher.seen)
        took = time.monotonic() - began
        end = time.time()
        while publisher.seen < end and time.time() < end + 30:  # noqa: ASYNC110 - a measurement
            await asyncio.sleep(0.05)
        cpu = time.process_time() - cpu
        [size] = await store._execute([("DBSIZE",)])
        memory = await _memory(store) - before
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    sent = int((await said)[0])
    return Measured(sent, took, size - 2, behind, cpu, publisher.gaps, publisher.dropped, memory)


async def _memory(store: AsyncStore) -> int:
    [info] = await store._execute([("INFO", "memory")])
    found = info if isinstance(info, dict) else {}
    return int(found.get("used_memory", 0))


def main() -> None:
    """Measure each rate, and print a row for it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", type=listed, default="1000,5000,10000", help="flows a second")
    parser.add_argument("--seconds", type=at_least_one, default=5)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedRedis(place_under(Path(folder))) as server,
    ):
        print(
            f"{'asked /s':>9} {'sent /s':>9} {'known':>10} {'CPU':>11} {'behind':>10} "
            f"{'gaps':>5} {'dropped':>8} {'each':>10}"
        )
        for number, rate in enumerate(given.rates):
            os.unshare(os.CLONE_NEWNET)
            subprocess.run(["sh", "-ec", NETWORK], check=True)
            measured = asyncio.run(play(server.url, rate, given.seconds, number))
            print(measured.line(rate), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"the agent's memory at most: {peak:.0f} MB")


if __name__ == "__main__":
    main()
