"""Stratum behind an HTTP front: a proxy's CONNECT, or a protocol switched to by a 101.

    frontmining.py front connect|upgrade HOST PORT POOL POOLPORT [CHAIN KEY]
    frontmining.py miner connect|upgrade tcp|tls HOST PORT DIALECT INNER

The front hands what follows its head to the pool behind it, byte by byte. INNER is ``tls`` where
the miner speaks TLS with the pool through the front, else ``plain``. The miner is the lab's;
exit 3 where it was reset, 0 where a share was accepted.
"""

import asyncio
import ssl
import sys

from davylamp.lab.programs import http1
from davylamp.lab.programs.link import Link, LinkOptions, Outcome, outcome_of
from davylamp.lab.programs.miner import miner_options, session
from davylamp.lab.programs.miner_session import Budget
from davylamp.lab.programs.pool_answer import Dialect
from davylamp.lab.programs.report import Reporter

_reporter = Reporter()
_ANSWERS = {
    "connect": b"HTTP/1.1 200 Connection established\r\n\r\n",
    "upgrade": b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n",
}


async def front(how: str, host: str, port: int, pool: tuple[str, int], *pair: str) -> None:
    """Serve until killed."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await http1.read_head(reader)
            _reporter.say("opened", start=" ".join(head.start))
            behind = await asyncio.open_connection(*pool)
            writer.write(_ANSWERS[how])
            async with asyncio.TaskGroup() as both:
                both.create_task(carry(reader, behind[1]))
                both.create_task(carry(behind[0], writer))
            _reporter.say("ended")
        except* ConnectionResetError:
            _reporter.say("reset")
        except* (OSError, EOFError):
            _reporter.say("closed")
        finally:
            writer.close()

    tls = None
    if pair:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*pair)
    server = await asyncio.start_server(serve, host, port, ssl=tls)
    _reporter.ready()
    await server.serve_forever()


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on what comes."""
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def mine(how: str, outer: str, host: str, port: str, dialect: str, inner: str) -> int:
    """Get through the front, and mine behind it."""
    blind = ssl.create_default_context()
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
    _reporter.ready()
    budget = Budget(50_000_000, 1)
    try:
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_connection(
                host,
                int(port),
                ssl=blind if outer == "tls" else None,
                server_hostname="" if outer == "tls" else None,
            )
            if how == "connect":
                start, fields = "CONNECT pool.example:3333 HTTP/1.1", {"Host": "pool.example:3333"}
            else:
                start, fields = "GET /lines HTTP/1.1", {"Host": host, "Upgrade": "lines"}
                fields["Connection"] = "Upgrade"
            writer.write(http1.head_bytes(start, fields))
            answer = await http1.read_head(reader)
            _reporter.say("answered", status=answer.start[1])
            if inner == "tls":
                await writer.start_tls(blind, server_hostname="pool.example")
            options = LinkOptions(patience=10.0)
            link = Link(reader, writer, options, _reporter)
            spoken = Dialect(dialect)
            await session(spoken, link, miner_options(spoken), budget).run()
    except (OSError, EOFError, ExceptionGroup) as error:
        cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
        outcome = outcome_of(cause)
        _reporter.say(outcome.value, error=repr(cause))
        return 3 if outcome is Outcome.RESET else 1
    return 0 if budget.accepted else 1


def main(role: str, *rest: str) -> int:
    """Be one end."""
    if role == "miner":
        how, outer, host, port, dialect, inner = rest
        return asyncio.run(mine(how, outer, host, port, dialect, inner))
    how, host, port, pool, pool_port, *pair = rest
    asyncio.run(front(how, host, int(port), (pool, int(pool_port)), *pair))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
