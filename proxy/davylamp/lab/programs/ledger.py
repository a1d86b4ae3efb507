"""What a pool received: every byte in a record file, and the counts in a summary file."""

import base64
import json
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from davylamp.lab.programs.dialogue import Exchange
from davylamp.lab.programs.report import Json, Reporter, replace_json


class Layer(StrEnum):
    """Where bytes were seen: on the wire, or inside TLS."""

    WIRE = "wire"
    TLS = "tls"


@dataclass(slots=True)
class Counts:
    """What the pool got, over all connections.

    ``complete_requests`` is every closed mining request; ``terminated_requests`` are those whose
    newline came too, and ``unterminated_requests`` the rest.
    """

    connections: int = 0
    open_connections: int = 0
    bytes_received: int = 0
    complete_requests: int = 0
    terminated_requests: int = 0
    unterminated_requests: int = 0
    shares_accepted: int = 0
    shares_rejected: int = 0
    tls_handshakes: int = 0
    resets: int = 0


class Ledger:
    """Keeps the counts and the two files; one for all connections of a program.

    The record is JSON lines: connection, peer, port, time (Unix seconds), monotonic, event, and
    for bytes the direction, the layer and the base64 of every byte. Above ``limit`` recorded
    bytes a connection goes on being counted, not recorded, and a line says so.
    """

    def __init__(
        self,
        reporter: Reporter,
        record: Path | None = None,
        summary: Path | None = None,
        limit: int = 64 << 20,
    ) -> None:
        self.counts = Counts()
        self.reporter = reporter
        self.limit = limit
        self._summary = summary
        self._record: TextIO | None = None
        if record is not None:
            self._record = record.open("a", encoding="utf-8")
        self.changed()

    def opened(self, peer: str, port: int) -> "Entry":
        """Begin the account of one accepted connection."""
        self.counts.connections += 1
        self.counts.open_connections += 1
        entry = Entry(self, self.counts.connections, peer, port)
        entry.event("connect")
        self.changed()
        return entry

    def changed(self) -> None:
        """Rewrite the summary file."""
        if self._summary is not None:
            replace_json(self._summary, asdict(self.counts))

    def write(self, line: dict[str, Json]) -> None:
        """Append one line to the record file."""
        if self._record is not None:
            self._record.write(json.dumps(line, separators=(",", ":")) + "\n")
            self._record.flush()

    def close(self) -> None:
        """Write the last summary and close the record."""
        self.changed()
        if self._record is not None:
            self._record.close()
            self._record = None


class Entry:
    """The account of one connection."""

    def __init__(self, ledger: Ledger, number: int, peer: str, port: int) -> None:
        self._ledger = ledger
        self._room = ledger.limit
        self._complete = 0
        self._terminated = 0
        self._identity: dict[str, Json] = {"connection": number, "peer": peer, "port": port}

    def event(self, name: str, **members: Json) -> None:
        """Note something that happened, in the record and on stdout."""
        self._note(event=name, **members)
        self._ledger.reporter.say(name, **self._identity, **members)

    def bytes_received(self, data: bytes, layer: Layer) -> None:
        """Note bytes from the peer; those on the wire are what is counted."""
        if layer is Layer.WIRE:
            self._ledger.counts.bytes_received += len(data)
        self._bytes("received", data, layer)
        self._ledger.changed()

    def bytes_sent(self, data: bytes, layer: Layer) -> None:
        """Note bytes sent to the peer."""
        self._bytes("sent", data, layer)

    def exchanged(self, exchange: Exchange, complete: int, terminated: int) -> None:
        """Note what the miner's bytes amounted to; the two counts are the connection's totals."""
        counts = self._ledger.counts
        counts.complete_requests += complete - self._complete
        counts.terminated_requests += terminated - self._terminated
        counts.unterminated_requests = counts.complete_requests - counts.terminated_requests
        self._complete, self._terminated = complete, terminated
        counts.shares_accepted += exchange.accepted
        counts.shares_rejected += exchange.rejected
        for method in exchange.methods:
            self.event("request", method=method[:64])
        if exchange.accepted:
            self.event("share_accepted", total=counts.shares_accepted)
        for reason in exchange.reasons:
            self.event("refused", reason=reason)
        self._ledger.changed()

    def tls_established(self, **members: Json) -> None:
        """Note a finished TLS handshake."""
        self._ledger.counts.tls_handshakes += 1
        self.event("tls", **members)
        self._ledger.changed()

    def closed(self, error: Exception | None) -> None:
        """Note the end: ``reset`` where the peer or someone in the path cut it, else ``close``."""
        self._ledger.counts.open_connections -= 1
        # A write after the peer's RST says EPIPE where a read would have said ECONNRESET.
        if isinstance(error, ConnectionResetError | BrokenPipeError):
            self._ledger.counts.resets += 1
            self.event("reset", errno=error.errno)
        else:
            self.event("close", error="" if error is None else str(error))
        self._ledger.changed()

    def _bytes(self, direction: str, data: bytes, layer: Layer) -> None:
        if self._room < 0:
            return
        self._room -= len(data)
        if self._room < 0:
            self._note(event="record_full", limit=self._ledger.limit)
            return
        encoded = base64.b64encode(data).decode("ascii")
        self._note(event="bytes", direction=direction, layer=layer.value, base64=encoded)

    def _note(self, **members: Json) -> None:
        now, tick = time.time(), round(time.monotonic(), 6)
        self._ledger.write({**self._identity, "time": now, "monotonic": tick, **members})
