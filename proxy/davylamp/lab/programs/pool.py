"""A mining pool that speaks Bitcoin Stratum v1 and CryptoNote stratum, and records every byte.

Any port takes either dialect, told apart by the first line, in the clear or inside TLS, told
apart by the first byte (as xmrig-proxy does); ``--tls-bind`` ports take TLS only. Bitcoin shares
are verified with real double SHA-256 against a tiny difficulty; CryptoNote shares by shape only,
because RandomX is out of reach here.
"""

import asyncio
import ssl
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click

from davylamp.lab.programs.addresses import Endpoint, parse_endpoint
from davylamp.lab.programs.certs import Leaf, certificate
from davylamp.lab.programs.dialogue import Dialogue, Settings
from davylamp.lab.programs.ledger import Entry, Layer, Ledger
from davylamp.lab.programs.pool_answer import Dialect
from davylamp.lab.programs.report import Listening, Reporter
from davylamp.lab.programs.shell import listen, listening_of, plain_errors, until_signal
from davylamp.lab.programs.tls_layer import TlsLayer

MAX_CONNECTIONS = 2048
# A peer that does not read is cut off before it costs memory.
MAX_UNSENT = 1 << 20
TLS_HANDSHAKE = 0x16


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """What the pool listens on and how it behaves; ``job_interval`` is in seconds."""

    binds: tuple[Endpoint, ...]
    tls_binds: tuple[Endpoint, ...]
    leaf: Leaf
    settings: Settings
    job_interval: float = 15.0


class PoolConnection(asyncio.Protocol):
    """One accepted connection: TLS or not, recorded, conversed with."""

    def __init__(
        self,
        options: PoolOptions,
        ledger: Ledger,
        peers: "set[PoolConnection]",
        *,
        tls_only: bool,
    ) -> None:
        self._options = options
        self._peers = peers
        self._ledger = ledger
        self._tls_only = tls_only
        self._dialogue = Dialogue(options.settings)
        self._tls: TlsLayer | None = None
        self._judged = False
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport
        self._entry: Entry | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the account; speak first where told to."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._peers.add(self)
        if self._ledger.counts.open_connections >= MAX_CONNECTIONS:
            transport.abort()
            return
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self._entry = self._ledger.opened(str(Endpoint(peer[0], peer[1])), local[1])
        if self._tls_only:
            self._judged = True
            self._tls = TlsLayer(self._options.leaf.server_context)
        else:
            self._say(self._dialogue.open(time.time()))
        self._schedule()

    def data_received(self, data: bytes) -> None:
        """Record, decrypt where needed, converse."""
        if self._entry is None:
            return
        self._entry.bytes_received(data, Layer.WIRE)
        if not self._judged:
            self._judged = True
            if data[0] == TLS_HANDSHAKE:
                self._tls = TlsLayer(self._options.leaf.server_context)
        if self._tls is not None:
            data = self._decrypt(self._tls, data)
        if data:
            self._converse(self._entry, data)
        if self._tls is not None and self._tls.ended:
            self._transport.close()

    def eof_received(self) -> bool:
        """Note a half-close; close our half too."""
        if self._entry is not None:
            self._entry.event("eof")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """End the account."""
        self._peers.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._entry is not None:
            self._entry.closed(exc)

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def _decrypt(self, tls: TlsLayer, data: bytes) -> bytes:
        assert self._entry is not None
        was_established = tls.established
        try:
            plain = tls.receive(data)
        except ssl.SSLError as error:
            self._entry.event("tls_error", error=str(error))
            self._send(tls.pending())
            self._transport.close()
            return b""
        self._send(tls.pending())
        if tls.established and not was_established:
            self._entry.tls_established(server_name=tls.server_name, version=tls.version)
            if self._tls_only:
                self._say(self._dialogue.open(time.time()))
        if plain:
            self._entry.bytes_received(plain, Layer.TLS)
        return plain

    def _converse(self, entry: Entry, data: bytes) -> None:
        exchange = self._dialogue.receive(data, time.time())
        scanner = self._dialogue.scanner
        entry.exchanged(exchange, scanner.complete, scanner.terminated)
        self._say(exchange.reply)
        if exchange.fault:
            entry.event("fault", reason=exchange.fault)
            self._transport.close()

    def _say(self, data: bytes) -> None:
        """Send application bytes, inside TLS where that is what the connection speaks."""
        if not data or self._transport.is_closing():
            return
        if self._tls is None:
            self._send(data)
        elif self._tls.established:
            assert self._entry is not None
            self._entry.bytes_sent(data, Layer.TLS)
            self._tls.send(data)
            self._send(self._tls.pending())

    def _send(self, data: bytes) -> None:
        if not data or self._entry is None:
            return
        if self._transport.get_write_buffer_size() + len(data) > MAX_UNSENT:
            self._entry.event("fault", reason="peer does not read")
            self._transport.abort()
            return
        self._entry.bytes_sent(data, Layer.WIRE)
        self._transport.write(data)

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._options.job_interval, self._new_block)

    def _new_block(self) -> None:
        self._say(self._dialogue.push(time.time()))
        if not self._transport.is_closing():
            self._schedule()


class Pool:
    """The pool inside an asyncio program: ``start`` it, ``stop`` it."""

    def __init__(self, options: PoolOptions, ledger: Ledger) -> None:
        self._options = options
        self._ledger = ledger
        self._servers: list[asyncio.Server] = []
        self._connections: set[PoolConnection] = set()

    async def start(self) -> list[Listening]:
        """Listen on every address; raise ConfigError where one cannot be had."""
        for binds, tls_only in ((self._options.binds, False), (self._options.tls_binds, True)):
            factory = partial(
                PoolConnection,
                self._options,
                self._ledger,
                self._connections,
                tls_only=tls_only,
            )
            self._servers += await listen(factory, binds)
        return [one for server in self._servers for one in listening_of(server, "pool")]

    async def stop(self) -> None:
        """Stop listening, cut every connection, write the last counts."""
        for server in self._servers:
            server.close()
        for connection in tuple(self._connections):
            connection.abort()
        await asyncio.sleep(0)  # connection_lost comes in the loop's next turn
        self._ledger.close()


async def serve(options: PoolOptions, ledger: Ledger) -> None:
    """Run the pool until SIGTERM or SIGINT."""
    pool = Pool(options, ledger)
    ledger.reporter.ready(await pool.start())
    try:
        await until_signal()
    finally:
        await pool.stop()


@click.command(context_settings={"show_default": True})
@click.option("--bind", "binds", multiple=True, help="host:port for plain or TLS; repeatable.")
@click.option("--tls-bind", "tls_binds", multiple=True, help="host:port for TLS only; repeatable.")
@click.option("--cert", type=click.Path(path_type=Path), help="PEM chain; made anew if absent.")
@click.option("--key", type=click.Path(path_type=Path), help="PEM key of --cert.")
@click.option("--record", type=click.Path(path_type=Path), help="Append every byte to this file.")
@click.option("--summary", type=click.Path(path_type=Path), help="Keep the counts in this file.")
@click.option("--difficulty", default=1e-5, help="Stratum difficulty; 1e-5 is 43,000 hashes.")
@click.option("--cryptonote-difficulty", default=1000, help="Hashes a CryptoNote share takes.")
@click.option("--job-interval", default=15.0, help="Seconds between new jobs.")
@click.option("--push-first", type=click.Choice([one.value for one in Dialect]))
def main(  # noqa: PLR0913, PLR0917 - one parameter an option
    binds: tuple[str, ...],
    tls_binds: tuple[str, ...],
    cert: Path | None,
    key: Path | None,
    record: Path | None,
    summary: Path | None,
    difficulty: float,
    cryptonote_difficulty: int,
    job_interval: float,
    push_first: str | None,
) -> None:
    """Run a pool for both dialects until SIGTERM; every byte it receives can be recorded."""
    if not binds and not tls_binds:
        raise click.UsageError("give at least one --bind or --tls-bind")
    if difficulty <= 0 or cryptonote_difficulty < 1 or job_interval <= 0:
        raise click.UsageError("difficulties and the job interval must be above zero")
    first = None if push_first is None else Dialect(push_first)
    settings = Settings(difficulty, cryptonote_difficulty, first)
    with certificate(cert, key) as leaf, plain_errors():
        options = PoolOptions(
            tuple(parse_endpoint(one) for one in binds),
            tuple(parse_endpoint(one) for one in tls_binds),
            leaf,
            settings,
            job_interval,
        )
        asyncio.run(serve(options, Ledger(Reporter(), record, summary)))


if __name__ == "__main__":
    main()
