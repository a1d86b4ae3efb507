r"""WebSocket, one direction after the handshake: frames to messages, deflated ones inflated.

Strategy: one state machine over the bytes, with nothing kept but an unfinished header and the
message so far. A payload is unmasked by one exclusive or of long numbers, and a deflated one is
inflated as it arrives. A message is given when its last frame ends; control frames are given in
between, where they stand. Masked and unmasked frames are read in both directions.

    state      next                                           goes to
    header     2 to 14 bytes                                  payload
    header     reserved bits or opcode, broken fragmentation  done (Malformed)
    payload    bytes of a data frame, more frames to come     header
    payload    bytes of a data frame, the last one            header (a message)
    payload    bytes of a control frame                       header (a message)
    payload    bytes of a message that is too large           header (skipped and counted)

Limits: a message has at most `MAX_MESSAGE` bytes; a larger one is skipped and counted. Inflating
costs at most `MAX_BUDGET` bytes of output, refilled by `MAX_RATIO` for each byte of input. A
direction that asks for more, or whose data is not DEFLATE, has ``lost`` its compression context:
its deflated messages are skipped from there on, its plain ones are still read. Frames are read
on whatever their size. Every byte costs the same, so time is linear.

Lenient where servers are: lengths need not be as short as possible. The window is always the
largest (15 bits), which inflates what a smaller one was used for.

Sources: RFC 6455 sections 5.2 (frames), 5.3 (masking), 5.4 (fragmentation), 5.5 (control frames);
RFC 7692 sections 7.1 (parameters), 7.2.2 and 7.2.3 (compression, final blocks).
"""

import re
import zlib
from enum import IntEnum

import msgspec

from davylamp.inspection.wire.http_head import Headers, values
from davylamp.inspection.wire.reader import Malformed

MAX_MESSAGE = 1 << 18
MAX_BUDGET = 1 << 20
MAX_RATIO = 100

_WINDOW = 1 << 15
_TAIL = b"\x00\x00\xff\xff"
_MAX_FINALS = 16
_EXTENSION = "permessage-deflate"
_PARAMETER = re.compile(
    r"[ \t]*([!#$%&'*+.^_`|~0-9a-z-]+)[ \t]*(?:=[ \t]*\"?([0-9a-z]*)\"?[ \t]*)?\Z"
)


class Opcode(IntEnum):
    """What a message is (RFC 6455 section 11.8)."""

    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


_OPCODES = frozenset(Opcode)
_CONTINUATION = 0
_CONTROL = 8


class WebSocketMessage(msgspec.Struct, frozen=True):
    """One message, unmasked and inflated.

    ``offset`` counts bytes from the first one fed to the reader to the message's first frame and
    ``end`` to one past its last; a control frame may stand in between.
    """

    opcode: Opcode
    data: bytes
    offset: int
    end: int


class Deflate(msgspec.Struct, frozen=True):
    """What the two ends agreed on; takeover means that a context lasts beyond its message."""

    client_takeover: bool = True
    server_takeover: bool = True
    client_bits: int = 15
    server_bits: int = 15


def permessage_deflate(headers: Headers) -> Deflate | None:
    """Return the parameters that a handshake's response agrees to, None without the extension.

    It takes the response's header fields; a request's would be an offer. Parameters that RFC 7692
    does not know are passed over.
    """
    for value in values(headers, "sec-websocket-extensions"):
        for extension in value.lower().split(","):
            name, *parameters = extension.split(";")
            if name.strip() == _EXTENSION:
                return _agreed(parameters[:16])
    return None


def _agreed(parameters: list[str]) -> Deflate:
    found = {match[1]: match[2] or "" for p in parameters if (match := _PARAMETER.match(p))}
    return Deflate(
        "client_no_context_takeover" not in found,
        "server_no_context_takeover" not in found,
        _bits(found.get("client_max_window_bits", "")),
        _bits(found.get("server_max_window_bits", "")),
    )


def _bits(text: str) -> int:
    return int(text) if text in {"8", "9", "10", "11", "12", "13", "14"} else 15


class WebSocketReader:
    """Reads one direction's frames; never raises, holds at most a message and a header.

    ``deflate`` is what the handshake agreed on; without it a compressed frame is malformed.
    """

    __slots__ = (
        "_control",
        "_frame",
        "_head",
        "_inflater",
        "_key",
        "_left",
        "_message",
        "_offset",
        "done",
        "skipped",
    )

    def __init__(self, deflate: Deflate | None = None, *, from_client: bool) -> None:
        self.done = False
        self.skipped = 0  # messages too large, or whose compression context is lost
        self._inflater: _Inflater | None = None
        if deflate is not None:
            takeover = deflate.client_takeover if from_client else deflate.server_takeover
            self._inflater = _Inflater(takeover=takeover)
        self._offset = 0  # of the stream, of the next byte that is fed
        self._head = b""  # an unfinished frame header
        self._frame: _Frame | None = None
        self._left = 0  # bytes missing from the frame's payload
        self._key = b""  # its mask, turned to the next byte
        self._control = bytearray()  # the payload of a control frame
        self._message: _Message | None = None  # the data message that has begun

    @property
    def lost(self) -> bool:
        """Whether deflated messages can no longer be read."""
        return self._inflater is not None and self._inflater.lost

    @property
    def partial(self) -> bool:
        """Whether a frame or a message has begun and not ended."""
        return bool(self._head) or self._frame is not None or self._message is not None

    @property
    def skipping(self) -> bool:
        """Whether the message that has begun is too large to be given."""
        return self._message is not None and self._message.skip

    @property
    def held(self) -> int:
        """Bytes kept for the next call, without the 64 KiB of a compression context."""
        message = 0 if self._message is None else len(self._message.data)
        return len(self._head) + len(self._control) + message

    def feed(self, data: bytes) -> list[WebSocketMessage | Malformed]:
        """Take the next bytes of the stream; return what they complete, in order."""
        found: list[WebSocketMessage | Malformed] = []
        at = 0
        while at < len(data) and not self.done:
            if self._frame is None:
                at = self._read_head(data, at, found)
            else:
                part = data[at : at + self._left]
                at += len(part)
                self._read_payload(self._frame, part)
            if self._frame is not None and not self._left:
                self._end_frame(self._frame, self._offset + at, found)
        self._offset += len(data)
        return found

    def _read_head(self, data: bytes, at: int, found: list[WebSocketMessage | Malformed]) -> int:
        """Read a frame's header; return where its payload begins, or the end of the data."""
        head = self._head + data[at : at + 14 - len(self._head)]
        start = self._offset + at - len(self._head)
        size = _head_size(head)
        reason = _refusal(head, self._message is not None, self._inflater is not None)
        if reason or (len(head) >= size and size > 9 and head[2] & 0x80):
            self._stop(Malformed(reason or "frame length", start, self._head + data[at:]), found)
            return len(data)
        if len(head) < size:
            self._head = head
            return len(data)
        at += size - len(self._head)
        self._head = b""
        self._begin_frame(_frame(head[:size], start))
        return at

    def _begin_frame(self, frame: "_Frame") -> None:
        self._frame, self._left, self._key = frame, frame.length, frame.key
        if frame.opcode >= _CONTROL:
            return
        if self._message is None:
            self._message = _Message(frame, self._inflater if frame.deflated else None)
        self._message.expect(frame.length)

    def _read_payload(self, frame: "_Frame", part: bytes) -> None:
        self._left -= len(part)
        message = None if frame.opcode >= _CONTROL else self._message
        if message is not None and message.ignored:
            return
        if self._key:
            turn = len(part) % 4
            part, self._key = _unmask(part, self._key), self._key[turn:] + self._key[:turn]
        if message is None:
            self._control += part
        else:
            message.take(part)

    def _end_frame(
        self, frame: "_Frame", end: int, found: list[WebSocketMessage | Malformed]
    ) -> None:
        self._frame = None
        if frame.opcode >= _CONTROL:
            data = bytes(self._control)
            self._control.clear()
            found.append(WebSocketMessage(Opcode(frame.opcode), data, frame.offset, end))
        elif frame.final and self._message is not None:
            message, self._message = self._message, None
            message.finish()
            if message.skip:
                self.skipped += 1
            else:
                data = bytes(message.data)
                found.append(WebSocketMessage(message.opcode, data, message.offset, end))

    def _stop(self, reason: Malformed, found: list[WebSocketMessage | Malformed]) -> None:
        self.done = True
        self._head = b""
        self._message = None
        found.append(reason)


class _Frame(msgspec.Struct, frozen=True):
    """A frame's header; ``key`` is empty for an unmasked one."""

    opcode: int
    final: bool
    deflated: bool
    length: int
    key: bytes
    offset: int


class _Message:
    """A data message that has begun: its bytes, or that they are skipped."""

    __slots__ = ("_inflater", "data", "offset", "opcode", "skip")

    def __init__(self, frame: _Frame, inflater: "_Inflater | None") -> None:
        self.opcode = Opcode(frame.opcode)
        self.offset = frame.offset
        self.data = bytearray()
        self.skip = False
        self._inflater = inflater
        if inflater is not None:
            inflater.begin()

    @property
    def ignored(self) -> bool:
        """Whether nothing of the payload matters any more: skipped, and no context to keep."""
        return self.skip and (self._inflater is None or self._inflater.lost)

    def expect(self, length: int) -> None:
        """Skip a plain message as soon as a frame says that it will be too large."""
        if self._inflater is None and len(self.data) + length > MAX_MESSAGE:
            self._give_up()

    def take(self, part: bytes) -> None:
        """Add unmasked bytes; a message too large is still inflated, for the ones behind it."""
        if self._inflater is not None:
            part = self._inflater.inflate(part)
            if self._inflater.lost:
                self._give_up()
        if not self.skip:
            self.data += part
            if len(self.data) > MAX_MESSAGE:
                self._give_up()

    def finish(self) -> None:
        """Add what the end of the message sets free; a message without a byte has none."""
        if self._inflater is not None and self._inflater.begun:
            self.take(_TAIL)

    def _give_up(self) -> None:
        self.skip = True
        self.data.clear()


class _Inflater:
    """One direction's compression context, with a budget."""

    __slots__ = ("_budget", "_finals", "_object", "_takeover", "_window", "begun", "lost")

    def __init__(self, *, takeover: bool) -> None:
        self.lost = False
        self.begun = False  # whether the message had a byte
        self._takeover = takeover
        self._object = zlib.decompressobj(-15)
        self._window = bytearray()  # what a final block's successor refers to
        self._finals = 0
        self._budget = MAX_BUDGET

    def begin(self) -> None:
        """Start a message."""
        self._finals = 0
        self.begun = False

    def _first(self) -> None:
        self.begun = True
        if not self._takeover:
            self._object = zlib.decompressobj(-15)
            self._window.clear()

    def inflate(self, data: bytes) -> bytes:
        """Return what some bytes inflate to; nothing, and ``lost`` is set, when they do not."""
        if self.lost:
            return b""
        if not self.begun:
            self._first()
        self._budget = min(self._budget, MAX_BUDGET) + MAX_RATIO * len(data)
        found = bytearray()
        try:
            while data and self._budget:
                part = self._object.decompress(data, self._budget)
                self._budget -= len(part)
                found += part
                self._remember(part)
                data = self._object.unconsumed_tail
                if self._object.eof:  # a final block: RFC 7692 section 7.2.3.4 allows it
                    data = self._object.unused_data
                    self._object = zlib.decompressobj(-15, zdict=bytes(self._window[-_WINDOW:]))
                    self._finals += 1
                    self.lost = self._finals > _MAX_FINALS
        except zlib.error:
            self.lost = True
        self.lost = self.lost or not self._budget
        return b"" if self.lost else bytes(found)

    def _remember(self, part: bytes) -> None:
        self._window += part[-_WINDOW:]
        if len(self._window) > 2 * _WINDOW:
            del self._window[:-_WINDOW]


def _head_size(head: bytes) -> int:
    """Return how many bytes a header has, as far as its first two tell."""
    if len(head) < 2:
        return 2
    length = head[1] & 0x7F
    return 2 + (2 if length == 126 else 8 if length == 127 else 0) + (4 if head[1] & 0x80 else 0)


def _refusal(head: bytes, inside: bool, deflates: bool) -> str:
    """Say what is wrong with a frame's first two bytes; empty if nothing is."""
    opcode = head[0] & 0x0F
    if opcode and opcode not in _OPCODES:
        return "reserved opcode"
    if head[0] & 0x30:
        return "reserved bit"
    if head[0] & 0x40 and (not deflates or opcode not in (Opcode.TEXT, Opcode.BINARY)):
        return "compressed without an agreement"
    if opcode >= _CONTROL:
        long = len(head) > 1 and head[1] & 0x7F > 125
        return "control frame too long or in parts" if long or not head[0] & 0x80 else ""
    if inside != (opcode == _CONTINUATION):
        return "message inside a message" if inside else "continuation of nothing"
    return ""


def _frame(head: bytes, offset: int) -> _Frame:
    length = head[1] & 0x7F
    if length >= 126:
        length = int.from_bytes(head[2 : 4 if length == 126 else 10], "big")
    key = head[-4:] if head[1] & 0x80 else b""
    return _Frame(head[0] & 0x0F, head[0] >= 0x80, bool(head[0] & 0x40), length, key, offset)


def _unmask(part: bytes, key: bytes) -> bytes:
    size = len(part)
    mask = int.from_bytes((key * (size // 4 + 1))[:size], "little")
    return (int.from_bytes(part, "little") ^ mask).to_bytes(size, "little")
