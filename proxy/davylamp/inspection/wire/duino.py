r"""Duino-Coin's text protocol: lines of commas, often without a line's end.

Strategy: both sides are watched together, because a message ends at a newline or where the other
side speaks: the official miners send neither newline nor length. A message is matched from its
first byte, as soon as its pattern is whole, so that its end does not depend on segments.

    who      message                                           weight
    server   3.0, 4.3: the first message, whole                1 (greeting)
    client   JOB,<user>,<difficulty>                           2 (request)
    server   <40 hex>,<40 hex>,<digit>                         2 (work)
    client   <nonce>,<rate>,<... Miner>                        2 (result)
    client   <nonce> with SHA-1(first hash + nonce) = second   3 (result, proven)
    server   GOOD, BAD, BAD,<why>, BLOCK, INVU: whole          1 (feedback, behind a result)

Kinds add up once each; from `CONCLUSIVE` on it is mining. No message is that alone but a proven
result: comma-separated values can hold a job with a priority, a pair of commit ids, or a person
who is a miner by trade. A miner's first request behind a greeting is, and so is a request with
the work that answers it, and a result joined in the middle behind its work.

A side's message is looked at up to `MAX_MESSAGE` bytes; after `MAX_MISSES` messages that match
nothing the watching ends.

Sources: revoxhere/duino-coin PC_Miner.py (JOB, result, feedback), ESP_Code/MiningJob.h (newlines,
banners, difficulty names), PC_Miner 1.x and 2.x (JOB without difficulty: no match here).
"""

import re
from enum import StrEnum
from hashlib import sha1

import msgspec

from davylamp.flow import Direction
from davylamp.inspection.wire.reader import printable

CONCLUSIVE = 3
MAX_MESSAGE = 512
MAX_MISSES = 16


class DuinoKind(StrEnum):
    """What a message is."""

    GREETING = "greeting"
    REQUEST = "request"
    WORK = "work"
    RESULT = "result"
    FEEDBACK = "feedback"


class DuinoMessage(msgspec.Struct, frozen=True):
    """One message; ``offset`` and ``end`` count bytes of its direction's stream.

    ``end`` is one past the byte that completed the pattern. ``score`` is what all messages so far
    add up to, conclusive from `CONCLUSIVE` on. ``user`` is a request's account, to be redacted.
    """

    kind: DuinoKind
    direction: Direction
    offset: int
    end: int
    weight: int
    score: int
    user: str = ""
    proven: bool = False


_REQUEST = re.compile(
    rb"JOB,([^,\s]{1,64}),"
    rb"(?:LOW|MEDIUM|NET|EXTREME|AVR|MEGA|ARM|DUE|PICO|RP2040|ESP32|ESP8266)"
)
_WORK = re.compile(rb"([0-9a-f]{40}),([0-9a-f]{40}),[0-9]")
_RESULT = re.compile(rb"[0-9]{1,12},[0-9]{1,12}(?:\.[0-9]{1,17})?,[^,\r\n]{0,40}?[Mm]iner")
_NONCE = re.compile(rb"([0-9]{1,12})(?:,|\r?\Z)")
_GREETING = re.compile(rb"[1-9]\.[0-9]{1,2}\r?\Z")
_FEEDBACK = re.compile(rb"(?:GOOD|BLOCK|INVU|BAD(?:,[^\r\n]{0,100})?)\r?\Z")


class _Side:
    """One direction's present message."""

    __slots__ = ("first", "offset", "settled", "size", "text")

    def __init__(self) -> None:
        self.text = bytearray()  # its first bytes
        self.offset = 0  # of the stream, of its first byte
        self.size = 0
        self.first = True  # no message came before it
        self.settled = False  # matched already

    def end(self, gap: int) -> None:
        """Begin the next message behind a newline (1) or nothing (0)."""
        self.offset += self.size + gap
        self.text.clear()
        self.size = 0
        self.first = False
        self.settled = False


class DuinoSession:
    """Watches both directions of one connection; never raises, holds two messages at most."""

    __slots__ = ("_client", "_kinds", "_misses", "_server", "_work", "score")

    def __init__(self) -> None:
        self.score = 0
        self._client, self._server = _Side(), _Side()
        self._kinds: dict[DuinoKind, int] = {}
        self._misses = 0
        self._work: tuple[bytes, bytes] | None = None

    @property
    def conclusive(self) -> bool:
        """Whether the messages so far prove mining together."""
        return self.score >= CONCLUSIVE

    @property
    def watching(self) -> bool:
        """Whether more bytes may still match: false after too many messages that did not."""
        return self._misses <= MAX_MISSES

    @property
    def held(self) -> int:
        """Bytes kept for the next call."""
        return len(self._client.text) + len(self._server.text)

    def observe(self, direction: Direction, data: bytes) -> list[DuinoMessage]:
        """Take the next bytes of a direction, in the order in which both spoke."""
        found: list[DuinoMessage] = []
        if not data or not self.watching:
            return found
        self._end(direction.opposite, 0, found)
        at = 0
        while at < len(data) and self._misses <= MAX_MISSES:
            newline = data.find(b"\n", at)
            end = len(data) if newline < 0 else newline
            self._add(direction, data[at:end], found)
            if newline >= 0:
                self._end(direction, 1, found)
            at = end + 1
        if self._misses > MAX_MISSES:
            self._client.text.clear()
            self._server.text.clear()
        return found

    def _side(self, direction: Direction) -> _Side:
        return self._client if direction is Direction.ORIGINATOR else self._server

    def _add(self, direction: Direction, part: bytes, found: list[DuinoMessage]) -> None:
        side = self._side(direction)
        side.size += len(part)
        if side.settled or len(side.text) == MAX_MESSAGE:
            return
        side.text += part[: MAX_MESSAGE - len(side.text)]
        text = bytes(side.text)
        if direction is Direction.ORIGINATOR:
            self._from_client(text, found)
        else:
            self._work_of(text, found)

    def _end(self, direction: Direction, gap: int, found: list[DuinoMessage]) -> None:
        """Judge a message that is whole, if there is one, and begin the next."""
        side = self._side(direction)
        if side.size and not side.settled:
            whole = bytes(side.text) if side.size < MAX_MESSAGE else b""
            if direction is Direction.ORIGINATOR:
                self._proof(whole, found)
            elif side.first and _GREETING.match(whole):
                self._matched(DuinoKind.GREETING, direction, side.size, 1, found)
            elif DuinoKind.RESULT in self._kinds and _FEEDBACK.match(whole):
                self._matched(DuinoKind.FEEDBACK, direction, side.size, 1, found)
            self._misses += not side.settled
        if side.size or gap:
            side.end(gap)

    def _from_client(self, text: bytes, found: list[DuinoMessage]) -> None:
        if match := _REQUEST.match(text):
            user = printable(match[1])
            kind = DuinoKind.REQUEST
            self._matched(kind, Direction.ORIGINATOR, match.end(), 2, found, user=user)
        elif b"," in text and not self._proof(text, found) and (match := _RESULT.match(text)):
            self._matched(DuinoKind.RESULT, Direction.ORIGINATOR, match.end(), 2, found)

    def _proof(self, text: bytes, found: list[DuinoMessage]) -> bool:
        """Try a nonce on the last work: what fits is no chance."""
        match = _NONCE.match(text)
        if match is None or self._work is None:
            return False
        last, expected = self._work
        if sha1(last + match[1]).hexdigest().encode() != expected:  # noqa: S324 - the protocol's
            return False
        kind = DuinoKind.RESULT
        self._matched(kind, Direction.ORIGINATOR, match.end(1), 3, found, proven=True)
        return True

    def _work_of(self, text: bytes, found: list[DuinoMessage]) -> None:
        match = _WORK.match(text)
        if match is not None:
            self._work = match[1], match[2]
            self._matched(DuinoKind.WORK, Direction.RESPONDER, match.end(), 2, found)

    def _matched(  # noqa: PLR0913 - a message is all of these
        self,
        kind: DuinoKind,
        direction: Direction,
        size: int,
        weight: int,
        found: list[DuinoMessage],
        *,
        user: str = "",
        proven: bool = False,
    ) -> None:
        side = self._side(direction)
        side.settled = True
        self._kinds[kind] = max(weight, self._kinds.get(kind, 0))
        self.score = sum(self._kinds.values())
        end = side.offset + size
        found.append(
            DuinoMessage(kind, direction, side.offset, end, weight, self.score, user, proven)
        )
