"""HTTP/1.x, one direction at a time: heads, body bytes, ends, and what is no longer HTTP.

Strategy: `RequestReader` and `ResponseReader` are the same state machine with another kind of
head. Body bytes are passed through as slices; only an unfinished head, chunk line or trailer
section is kept between calls. A request that is whole in one segment takes `simple_request`.

    state         next                                          goes to
    start         request or status line                        head
    start         HTTP/0.9 request line                         start
    start         anything that no message starts with          done (Malformed)
    head          fields, no body                               start
    head          fields, Content-Length n                      length
    head          fields, chunked                               size
    head          fields, response with neither                 close
    head          CONNECT, HTTP/2 preface, 101, 2xx to CONNECT  done (Upgraded)
    length        n bytes                                       start
    size          hex, extension, CRLF; 0 is the last one       chunk, trailers
    chunk         that many bytes                               gap
    gap           CRLF                                          size
    trailers      lines, up to an empty one                     start
    close         bytes until the peer closes                   close

The start of a message is judged byte by byte: a JSON line that follows a finished request on the
same connection is malformed at its brace, with the bytes in ``rest`` for another reader. After a
request that offered an upgrade such bytes are `Upgraded`, since they may be it.

Why not h11: it is right to reject what we must read. It refuses bare LF in chunk lines, blanks
before a header's colon or inside a target, HTTP/0.9, and two framings at once, and then reads no
further; it plays one end of a connection, so it waits for an answer of ours before the next
request and cannot follow one side alone or from the middle; and it parses every field of every
head before it says anything, which a plain GET's budget of some microseconds does not allow.

Sources: RFC 9112 (framing: sections 6 and 7; pipelining: 9.3.2; CONNECT: RFC 9110 section 9.3.6;
101: RFC 9110 section 7.8; HTTP/2 preface: RFC 9113 section 3.4).
"""

import re
from abc import ABC, abstractmethod
from collections import deque
from enum import Enum, auto
from typing import ClassVar

import msgspec

from davylamp.inspection.wire.http_head import (
    MAX_HEAD,
    Framing,
    Headers,
    RequestHead,
    ResponseHead,
    old_request,
    parse_fields,
    parse_request,
    parse_response,
    simple_request,
)
from davylamp.inspection.wire.reader import Malformed

MAX_START_LINE = 1 << 14
"""Bytes in a request or status line; nginx and Apache stop at 8 KiB."""

MAX_LINE = 4096
"""Bytes in a chunk's size line, extensions included."""

MAX_PENDING = 4096
"""Requests that may wait for their response; the response to a later one is read as a GET's."""

_EMPTY_LINE = re.compile(rb"\n\r?\n")
_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\Z")
_REQUEST_START = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}(?:[ \t][^\n]*)?\Z")
_STATUS_START = b"http/"


class BodyData(msgspec.Struct, frozen=True):
    """Body bytes without chunk framing; ``offset`` is that of the first one in the stream."""

    data: bytes
    offset: int


class MessageEnd(msgspec.Struct, frozen=True):
    """The message is complete; ``offset`` is that of the stream's next byte."""

    offset: int
    trailers: Headers = ()


class Upgraded(msgspec.Struct, frozen=True):
    """From ``offset`` on the stream is not HTTP any more; ``remaining`` is what came of it yet.

    ``protocol`` is ``connect``, ``h2`` or the Upgrade header's value. The reader is done.
    """

    remaining: bytes
    offset: int
    protocol: str


type HttpEvent = RequestHead | ResponseHead | BodyData | MessageEnd | Upgraded | Malformed


class _State(Enum):
    START = auto()
    HEAD = auto()
    LENGTH = auto()
    SIZE = auto()
    CHUNK = auto()
    GAP = auto()
    TRAILERS = auto()
    CLOSE = auto()
    DONE = auto()


class _MessageReader(ABC):
    """The state machine above. Never raises; holds at most `MAX_HEAD` bytes."""

    __slots__ = ("_at", "_data", "_events", "_left", "_offer", "_offset", "_scanned", "_state")

    def __init__(self) -> None:
        self._state = _State.START
        self._data = b""  # bytes not yet consumed, of which _data[_at] is the next
        self._at = 0
        self._offset = 0  # of the stream, of _data[0]
        self._scanned = 0  # bytes after _at searched for the end of line or section
        self._left = 0  # bytes missing from the body or chunk
        self._offer = ""  # the upgrade that the last message offered
        self._events: list[HttpEvent] = []

    @property
    def done(self) -> bool:
        """Whether `Upgraded` or `Malformed` was given: further bytes are ignored."""
        return self._state is _State.DONE

    @property
    def partial(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._data) or self._state not in (_State.START, _State.DONE)

    @property
    def held(self) -> int:
        """Bytes kept for the next call."""
        return len(self._data)

    @property
    def body_left(self) -> int:
        """Bytes that the body, or its chunk, has still to come; 0 outside one, or with no size."""
        return self._left if self._state in (_State.LENGTH, _State.CHUNK) else 0

    def feed(self, data: bytes) -> list[HttpEvent]:
        """Take the next bytes of the stream; return what they complete, in order."""
        self._data = self._data + data if self._data else data
        self._at = 0
        step = self._STEPS[self._state]
        while self._at < len(self._data) and step(self):
            step = self._STEPS[self._state]
        self._offset += self._at
        self._data = b"" if self._state is _State.DONE else self._data[self._at :]
        events, self._events = self._events, []
        return events

    def end(self) -> list[HttpEvent]:
        """Say that the peer closed its side; a body that had no other end is complete."""
        state, self._state = self._state, _State.DONE
        rest, self._data = self._data, b""
        if state is _State.CLOSE:
            return [MessageEnd(self._offset)]
        if state is not _State.DONE and (rest or state is not _State.START):
            return [Malformed("closed in the middle of a message", self._offset, rest)]
        return []

    @abstractmethod
    def _head(self, raw: bytes, offset: int) -> RequestHead | ResponseHead | Malformed: ...

    @abstractmethod
    def _may_start(self, line: bytes, *, whole: bool) -> bool:
        """Say whether a message may begin with this line, or this beginning of one."""

    def _short_head(self, line: bytes, offset: int) -> RequestHead | None:  # noqa: ARG002 - a hook
        """Return the head of a message that has only a start line."""
        return None

    def _start(self) -> bool:
        """Judge a start line as far as it is there."""
        data = self._data
        while self._at < len(data) and data[self._at] in b"\r\n":
            self._at += 1
        at, offset = self._at, self._offset + self._at
        newline = data.find(b"\n", at + self._scanned, at + MAX_START_LINE)
        if newline < 0:
            self._scanned = len(data) - at
            if self._scanned and not self._may_start(data[at : at + 64], whole=False):
                return self._not_http("no HTTP message starts so")
            return self._wait(MAX_START_LINE, "start line too long")
        self._scanned = 0
        line = data[at : newline + 1]
        if short := self._short_head(line, offset):
            self._at += len(line)
            self._events += [short, MessageEnd(offset + len(line))]
        elif self._may_start(line, whole=True):
            self._state = _State.HEAD
        else:
            return self._not_http("no HTTP message starts so")
        return True

    def _whole_head(self) -> bool:
        end = self._blank_line("head too long")
        if end < 0:
            return False
        head = self._head(self._data[self._at : end], self._offset + self._at)
        if isinstance(head, Malformed):
            return self._malformed(head.reason)
        self._at = end
        self._events.append(head)
        return self._body_of(head)

    def _blank_line(self, complaint: str) -> int:
        """Return where the section's empty line ends; -1 when it has not come yet."""
        found = _EMPTY_LINE.search(
            self._data, self._at + max(0, self._scanned - 3), self._at + MAX_HEAD
        )
        if found is None:
            self._scanned = len(self._data) - self._at
            self._wait(MAX_HEAD, complaint)
            return -1
        self._scanned = 0
        return found.end()

    def _body_of(self, head: RequestHead | ResponseHead) -> bool:
        self._state = _State.START
        self._offer = head.upgrade if isinstance(head, RequestHead) else ""
        self._left = head.length
        match head.framing:
            case Framing.TUNNEL:
                return self._upgraded(self._protocol(head))
            case Framing.NONE:
                self._events.append(MessageEnd(self._offset + self._at))
            case Framing.LENGTH:
                self._state = _State.LENGTH
            case Framing.CHUNKED:
                self._state = _State.SIZE
            case Framing.UNTIL_CLOSE:
                self._state = _State.CLOSE
        return True

    def _protocol(self, head: RequestHead | ResponseHead) -> str:
        if head.method == "PRI":
            return "h2"
        return "connect" if head.method == "CONNECT" else head.upgrade

    def _length(self) -> bool:
        self._pass_through()
        if not self._left:
            self._state = _State.START
            self._events.append(MessageEnd(self._offset + self._at))
        return True

    def _size(self) -> bool:
        end = self._data.find(b"\n", self._at, self._at + MAX_LINE)
        if end < 0:
            return self._wait(MAX_LINE - 1, "chunk size line too long")
        size = _SIZE.match(self._data[self._at : end])
        if size is None:
            return self._malformed("no chunk size")
        self._left = int(size[1], 16)
        self._at = end + 1 if self._left else end  # trailers begin with this line's end
        self._state = _State.CHUNK if self._left else _State.TRAILERS
        return True

    def _chunk(self) -> bool:
        self._pass_through()
        if not self._left:
            self._state = _State.GAP
        return True

    def _gap(self) -> bool:
        gap = self._data[self._at : self._at + 2]
        if gap == b"\r":
            return False
        if not gap.startswith((b"\r\n", b"\n")):
            return self._malformed("chunk longer than its size")
        self._at += 1 if gap[:1] == b"\n" else 2
        self._state = _State.SIZE
        return True

    def _trailers(self) -> bool:
        """Read the section that starts with the last chunk's own line end."""
        start = self._at
        end = self._blank_line("trailers too long")
        if end < 0:
            return False
        self._at = end
        self._state = _State.START
        self._events.append(MessageEnd(self._offset + end, parse_fields(self._data[start:end])))
        return True

    def _close(self) -> bool:
        self._left = len(self._data)
        self._pass_through()
        return True

    def _pass_through(self) -> None:
        part = self._data[self._at : self._at + self._left]
        self._events.append(BodyData(part, self._offset + self._at))
        self._at += len(part)
        self._left -= len(part)

    def _wait(self, limit: int, reason: str) -> bool:
        return len(self._data) - self._at >= limit and self._malformed(reason)

    def _not_http(self, reason: str) -> bool:
        return self._upgraded(self._offer) if self._offer else self._malformed(reason)

    def _malformed(self, reason: str) -> bool:
        self._state = _State.DONE
        self._events.append(Malformed(reason, self._offset + self._at, self._data[self._at :]))
        return False

    def _upgraded(self, protocol: str) -> bool:
        self._state = _State.DONE
        rest = self._data[self._at :]
        self._events.append(Upgraded(rest, self._offset + self._at, protocol))
        return False

    def _ignore(self) -> bool:
        return False

    _STEPS: ClassVar = {
        _State.START: _start,
        _State.HEAD: _whole_head,
        _State.LENGTH: _length,
        _State.SIZE: _size,
        _State.CHUNK: _chunk,
        _State.GAP: _gap,
        _State.TRAILERS: _trailers,
        _State.CLOSE: _close,
        _State.DONE: _ignore,
    }


class RequestReader(_MessageReader):
    """Reads the client's direction.

    CONNECT and the HTTP/2 preface end in `Upgraded` at once: what follows is looked at as what
    it may become, before the server has agreed; should the server refuse, the next request is
    simply the first thing in those bytes. Other upgrades wait for `upgrade`.
    """

    __slots__ = ()

    def feed(self, data: bytes) -> list[HttpEvent]:
        """Take the next bytes of the stream; return what they complete, in order."""
        if self._state is _State.START and not self._data:
            head = simple_request(data, self._offset)
            if head is not None:
                self._offer = ""
                self._offset += len(data)
                return [head, MessageEnd(self._offset)]
        return super().feed(data)

    def upgrade(self) -> list[HttpEvent]:
        """Say that the server switched protocols (101): what is held and follows is not HTTP."""
        if self._state is _State.DONE:
            return []
        self._state = _State.DONE
        rest, self._data = self._data, b""
        return [Upgraded(rest, self._offset, self._offer)]

    def _head(self, raw: bytes, offset: int) -> RequestHead | Malformed:
        return parse_request(raw, offset)

    def _short_head(self, line: bytes, offset: int) -> RequestHead | None:
        return old_request(line, offset)

    def _may_start(self, line: bytes, *, whole: bool) -> bool:
        if whole:
            return not isinstance(parse_request(line, 0), Malformed)
        return _REQUEST_START.match(line) is not None


class ResponseReader(_MessageReader):
    """Reads the server's direction; `expect` tells it the methods of the requests.

    Without that every response is read as a GET's, which is wrong for HEAD, and for a CONNECT
    unless it is answered in the words that all proxies use.
    """

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        super().__init__()
        self._pending: deque[str] = deque()

    def expect(self, method: str) -> None:
        """Say that the client sent a request; call it in order, before its response is fed."""
        if len(self._pending) < MAX_PENDING:
            self._pending.append(method)

    def _head(self, raw: bytes, offset: int) -> ResponseHead | Malformed:
        method = self._pending[0] if self._pending else _unasked(raw)
        head = parse_response(raw, offset, method)
        # An interim response (RFC 9110 section 15.2) leaves its request waiting for the final one.
        final = isinstance(head, ResponseHead) and (head.status >= 200 or head.status == 101)
        if final and self._pending:
            self._pending.popleft()
        return head

    def _may_start(self, line: bytes, *, whole: bool) -> bool:
        if whole:
            return not isinstance(parse_response(line, 0, "GET"), Malformed)
        return line[:5].lower() == _STATUS_START[: len(line)]


def _unasked(raw: bytes) -> str:
    """Return the method that a response answers whose request was not seen."""
    line = raw.split(b"\n", 1)[0].strip().lower()
    return "CONNECT" if line.endswith(b" 200 connection established") else "GET"
