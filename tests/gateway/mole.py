"""An echo server and its clients, for a protocol that no shipped pack knows.

mole.py server ADDRESS PORT              echoes lines
mole.py load ADDRESS PORT [LINE]         opens connections until SIGTERM; sums up how they went
mole.py say ADDRESS PORT LINE [FILE]     sends a line, half of it before FILE is there; how it went
"""

import asyncio
import contextlib
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from davylamp.lab.programs.report import Json, Listening, Reporter

_LANES = 16
_BENIGN = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}\n'
_PATIENCE = 60.0


async def server(address: str, port: str) -> None:
    """Echo lines until killed."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
        writer.close()

    listening = await asyncio.start_server(echo, address, int(port), backlog=1024)
    Reporter().ready([Listening("mole", address, int(port))])
    await listening.serve_forever()


async def exchange(address: str, port: str, line: bytes, file: str = "") -> str:
    """Return ``echoed``, ``reset``, ``refused`` or ``silence``."""
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_connection(address, int(port))
            if file:
                writer.write(line[: len(line) // 2])
                Reporter().say("half")
                while not Path(file).exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
                    await asyncio.sleep(0.02)
                line = line[len(line) // 2 :]
            writer.write(line)
            answer = await reader.readline()
            writer.close()
            return "echoed" if answer.endswith(b"\n") else "reset"
    except ConnectionRefusedError:
        return "refused"
    except ConnectionError:
        return "reset"
    except TimeoutError:
        return "silence"


async def load(address: str, port: str, line: str = "") -> None:
    """Open connections until SIGTERM."""
    reporter, ending = Reporter(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    results: Counter[str] = Counter()
    longest = 0.0

    async def lane() -> None:
        nonlocal longest
        while not ending.is_set():
            began = time.monotonic()
            outcome = await exchange(address, port, line.encode() + b"\n" if line else _BENIGN)
            longest = max(longest, time.monotonic() - began)
            results[outcome] += 1

    reporter.ready()
    began = time.monotonic()
    await asyncio.gather(*(lane() for _ in range(_LANES)))
    reporter.say(
        "summary",
        results=dict[str, Json](results),
        longest=longest,
        seconds=time.monotonic() - began,
    )


async def say(address: str, port: str, line: str, file: str = "") -> None:
    """Send one line and say how it went."""
    Reporter().ready()
    outcome = await exchange(address, port, line.encode() + b"\n", file)
    Reporter().say("done", outcome=outcome)


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    match what:
        case "server":
            asyncio.run(server(*words))
        case "load":
            asyncio.run(load(*words))
        case _:
            asyncio.run(say(*words))
