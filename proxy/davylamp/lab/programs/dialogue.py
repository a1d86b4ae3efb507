"""One connection's conversation with the pool: bytes in, bytes out, and what they amounted to.

It owns no socket, so that the pool and the web server (for a miner that starts late on an HTTP
connection) hold the same conversation.
"""

import json
from dataclasses import dataclass, field

from davylamp.lab.programs.pool_answer import Answer, Dialect, PoolSession
from davylamp.lab.programs.pool_cryptonote import CryptonoteSession
from davylamp.lab.programs.pool_stratum import StratumSession
from davylamp.lab.programs.scanner import RequestScanner, is_mining_method

# What xmrig-proxy and node-stratum-pool accept at most lies between 10 and 64 KiB.
MAX_LINE = 65_536


@dataclass(frozen=True, slots=True)
class Settings:
    """How hard the shares are: hashes a share takes are about 2**32 times ``difficulty``."""

    difficulty: float = 1e-5
    cryptonote_difficulty: int = 1000
    push_first: Dialect | None = None


@dataclass(slots=True)
class Exchange:
    """What one piece of input led to."""

    reply: bytes = b""
    methods: list[str] = field(default_factory=list)
    accepted: int = 0
    rejected: int = 0
    reasons: list[str] = field(default_factory=list)
    fault: str = ""


class Dialogue:
    """Lines in, replies out; the first line decides the dialect.

    A pool acts on a request only when its newline has come; ``scanner`` counts what was complete
    in any sense. After a ``fault`` the connection is to be closed.
    """

    def __init__(self, settings: Settings) -> None:
        self.scanner = RequestScanner()
        self.dialect: Dialect | None = None
        self._settings = settings
        self._session: PoolSession | None = None
        self._buffer = bytearray()

    def open(self, now: float) -> bytes:
        """Return what the pool says before it was spoken to; ``now`` is Unix time in seconds."""
        if self._settings.push_first is None:
            return b""
        session = self._speak(self._settings.push_first)
        return _lines(session.push(now))

    def push(self, now: float) -> bytes:
        """Return a new job, once the miner has said what it speaks."""
        return b"" if self._session is None else _lines(self._session.push(now))

    def receive(self, data: bytes, now: float) -> Exchange:
        """Take the next bytes of the miner's stream, in any pieces."""
        exchange = Exchange(methods=self.scanner.feed(data))
        self._buffer += data
        *lines, rest = bytes(self._buffer).split(b"\n")
        self._buffer[:] = rest
        for line in lines:
            if len(line) > MAX_LINE:
                exchange.fault = "line too long"
            if exchange.fault:
                break
            if line.strip():
                self._take(line, now, exchange)
        if len(rest) > MAX_LINE:
            exchange.fault = "line too long"
        return exchange

    def _take(self, line: bytes, now: float, exchange: Exchange) -> None:
        try:
            request = json.loads(line.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            exchange.fault = "not a line of JSON"
            return
        method = request.get("method") if isinstance(request, dict) else None
        if not isinstance(request, dict) or not isinstance(method, str):
            return  # An answer to something the pool asked, or a batch: pools ignore both.
        if self.dialect is None:
            if not is_mining_method(method):
                exchange.fault = "neither dialect"
                return
            stratum = method.startswith("mining.")
            self._speak(Dialect.STRATUM if stratum else Dialect.CRYPTONOTE)
        assert self._session is not None
        answer = self._session.answer(request, now)
        exchange.reply += _lines(answer)
        exchange.accepted += answer.share is True
        exchange.rejected += answer.share is False
        if answer.reason:
            exchange.reasons.append(answer.reason)

    def _speak(self, dialect: Dialect) -> PoolSession:
        self.dialect = dialect
        match dialect:
            case Dialect.STRATUM:
                self._session = StratumSession(self._settings.difficulty)
            case Dialect.CRYPTONOTE:
                self._session = CryptonoteSession(self._settings.cryptonote_difficulty)
        return self._session


def _lines(answer: Answer) -> bytes:
    return b"".join(
        json.dumps(message, separators=(",", ":")).encode() + b"\n" for message in answer.messages
    )
