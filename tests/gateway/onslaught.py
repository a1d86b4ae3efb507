"""Many miners and honest clients at once: ``onslaught POOL FIRST-PORT PORTS WEB-URL SECONDS``.

Every miner connects again and again, to one port after the other, and says a whole log-in; honest
clients fetch a page each on a connection of its own, with all the patience of TCP. A last line says
how it went: ``tried``, ``answered`` miners, ``cut`` ones, honest ``pages`` and ``broken`` ones, and
the most milliseconds that a page took from the first SYN to its first byte. SIGUSR1 ends it before
its time.
"""

import asyncio
import itertools
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

from davylamp.lab.programs.report import Reporter

_LOGIN = b'{"id":1,"method":"mining.subscribe","params":["cgminer/4.12.1"]}\n'
_MINERS, _HONEST = 4, 2
_PATIENCE = 60.0
"""TCP waits twice as long from one repetition to the next: 26 s from the sixth to the seventh."""


class Clock:
    """Says for how long to go on."""

    def __init__(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds

    def end(self) -> None:
        """Let it be over."""
        self.until = 0.0

    @property
    def running(self) -> bool:
        """Whether to begin anew."""
        return time.monotonic() < self.until


async def mine(pool: str, ports: Iterator[int], clock: Clock, counts: Counter[str]) -> None:
    """Try to mine while the clock runs."""
    while clock.running:
        counts["tried"] += 1
        try:
            async with asyncio.timeout(2.0):
                reader, writer = await asyncio.open_connection(pool, next(ports))
                writer.write(_LOGIN)
                answer = await reader.read(4096)
        except (OSError, TimeoutError):
            counts["cut"] += 1
        else:
            counts["answered" if answer else "cut"] += 1
            writer.close()
        await asyncio.sleep(0.1)


async def browse(url: str, clock: Clock, counts: Counter[str], reporter: Reporter) -> None:
    """Fetch a page again and again while the clock runs."""
    parts = urlsplit(url)
    request = f"GET {parts.path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    while clock.running:
        began = time.monotonic()
        try:
            async with asyncio.timeout(_PATIENCE):
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
                writer.write(request)
                whole = await reader.read(4096)
                waited = round((time.monotonic() - began) * 1000)
                counts["slowest"] = max(counts["slowest"], waited)
                whole += await reader.read()
                writer.close()
        except (OSError, TimeoutError) as error:
            counts["broken"] += 1
            reporter.say("broken", error=repr(error))
        else:
            counts["pages" if whole.startswith(b"HTTP/1.1 200") else "broken"] += 1
        await asyncio.sleep(0.1)


async def main(pool: str, first: int, ports: int, url: str, seconds: float) -> None:
    """Run all of them and report."""
    counts: Counter[str] = Counter()
    reporter, clock = Reporter(), Clock(seconds)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, clock.end)
    reporter.ready()
    cycle = itertools.cycle(range(first, first + ports))
    await asyncio.gather(
        *(mine(pool, cycle, clock, counts) for _ in range(_MINERS)),
        *(browse(url, clock, counts, reporter) for _ in range(_HONEST)),
    )
    names = ("tried", "answered", "cut", "pages", "broken", "slowest")
    reporter.say("summary", **{name: counts[name] for name in names})


if __name__ == "__main__":
    _, pool_, first_, ports_, url_, seconds_ = sys.argv
    asyncio.run(main(pool_, int(first_), int(ports_), url_, float(seconds_)))
