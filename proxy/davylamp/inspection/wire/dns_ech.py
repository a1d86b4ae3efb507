"""Taking Encrypted ClientHello's keys out of a DNS answer, without changing its length.

Strategy. The ``ech`` parameter of an SVCB or HTTPS record (key 5, RFC 9848 section 3) goes behind
the record's other parameters, and gets a key from the range for private use (65280 to 65534, RFC
9460 section 14.3.2), which no client knows and every client passes over. All stands where it stood
before but that parameter, so no compression pointer changes its meaning; keys still ascend (RFC
9460 section 2.2). A record that says ``ech`` is mandatory lists a key that it does not have any
more: clients drop it, as is right, for it would have them use what was taken away.

Where a record's parameters are not all at hand, because TCP cut them, nothing can be moved. Then
its keys get a version that no client knows and every client passes over (RFC 9849 section 4): the
second byte of the version is changed, which works wherever segments are cut.

A stream is walked once, by a generator that stops where the bytes at hand end, and goes on there
with the next. Nothing of what has passed is kept but where the walk is, so that a message costs
what its bytes cost, in however many segments it comes.

A signed answer fails its signature afterwards (docs/interception.md).
"""

import contextlib
from collections.abc import Generator

from davylamp.inspection.wire.dns import MAX_QUESTIONS, MAX_RECORDS
from davylamp.inspection.wire.reader import Cursor

type _Walk[T] = Generator[None, None, T]
"""A part of the way, which yields where it needs bytes that have yet to come."""

_HEADER = 12
_SERVICES = frozenset({64, 65})
_ECH = 5
_NO_KEY = 65280
_NO_VERSION = 0xFF
"""With the 0xFE before it 0xFEFF, which is nobody's."""


def without_ech(message: bytes) -> bytes | None:
    """Return a DNS message without ECH keys, as long as before; None where it has none.

    A message that cannot be read to its end is changed as far as it can be read.
    """
    stretch = _Stretch()
    stretch.data += message
    with contextlib.suppress(EOFError):
        next(_message(stretch, len(message)), None)
    return bytes(stretch.data) if stretch.data != message else None


class WithoutEch:
    """A stream of DNS messages behind their lengths (RFC 1035 section 4.2.2), without ECH keys."""

    __slots__ = ("_stretch", "_walk")

    def __init__(self) -> None:
        self._stretch = _Stretch()
        self._walk = _messages(self._stretch)

    def change(self, data: bytes) -> bytes:
        """Return what follows in the stream without ECH keys, as long as it is."""
        stretch = self._stretch
        stretch.data += data
        next(self._walk)
        changed = bytes(stretch.data)
        stretch.begin += len(changed)
        stretch.data.clear()
        return changed


class _Stretch:
    """The part of a stream that is at hand: ``data``, from the offset ``begin`` on.

    ``at`` is the offset of what is read next. It may lie behind the part: what nobody looks at is
    passed over before it is there.
    """

    __slots__ = ("at", "begin", "data")

    def __init__(self) -> None:
        self.data = bytearray()
        self.begin = self.at = 0

    def number(self, size: int, end: int) -> _Walk[int]:
        """Read a number of so many bytes; raise EOFError where it goes beyond an offset."""
        if self.at + size > end:
            raise EOFError
        value = 0
        for _ in range(size):
            yield from self.byte(end)
            value = value << 8 | self.data[self.at - self.begin]
            self.at += 1
        return value

    def byte(self, end: int) -> _Walk[None]:
        """Wait until the next byte is there; raise EOFError where it is beyond an offset."""
        if self.at >= end:
            raise EOFError
        while self.at >= self.begin + len(self.data):
            yield


def _messages(stretch: _Stretch) -> _Walk[None]:
    while True:
        size = yield from stretch.number(2, stretch.at + 2)
        end = stretch.at + size
        if size > _HEADER:
            with contextlib.suppress(EOFError):
                yield from _message(stretch, end)
        stretch.at = end


def _message(stretch: _Stretch, end: int) -> _Walk[None]:
    stretch.at += 4
    questions = yield from stretch.number(2, end)
    records = 0
    for _ in range(3):
        records += yield from stretch.number(2, end)
    for _ in range(min(questions, MAX_QUESTIONS)):
        yield from _pass_name(stretch, end)
        stretch.at += 4
    if questions > MAX_QUESTIONS:
        return
    for _ in range(min(records, MAX_RECORDS)):
        yield from _pass_name(stretch, end)
        kind = yield from stretch.number(2, end)
        stretch.at += 6
        size = yield from stretch.number(2, end)
        behind = stretch.at + size
        if kind in _SERVICES:
            with contextlib.suppress(EOFError):
                yield from _service(stretch, behind, end)
        stretch.at = behind


def _service(stretch: _Stretch, behind: int, end: int) -> _Walk[None]:
    """Take the keys out of a record's data, which ends at an offset, or where the message does."""
    limit = min(behind, end)
    stretch.at += 2
    yield from _pass_name(stretch, limit)
    yield from stretch.byte(limit)  # the segment may end here, and the next have all parameters
    begin = stretch.at - stretch.begin
    size = behind - stretch.at
    if behind <= end and begin + size <= len(stretch.data):
        moved = _moved(bytes(stretch.data[begin : begin + size]))
        if moved:
            stretch.data[begin : begin + size] = moved
            return
    yield from _spoil_keys(stretch, limit)


def _moved(parameters: bytes) -> bytes:
    """Return parameters with the keys moved behind the others; nothing where they make no sense."""
    body = Cursor(parameters)
    kept, keys = bytearray(), bytearray()
    try:
        while body.left:
            at = body.at
            key, size = body.u16(), body.u16()
            body.take(size)
            if key == _ECH:
                keys += _NO_KEY.to_bytes(2, "big") + parameters[at + 2 : body.at]
            else:
                kept += parameters[at : body.at]
    except EOFError:
        return b""
    return bytes(kept + keys)


def _spoil_keys(stretch: _Stretch, end: int) -> _Walk[None]:
    """Change the version of every ECHConfig (RFC 9849 section 4) among parameters, in its place."""
    while stretch.at < end:
        key = yield from stretch.number(2, end)
        size = yield from stretch.number(2, end)
        behind = stretch.at + size
        if key == _ECH:
            with contextlib.suppress(EOFError):
                yield from _spoil_versions(stretch, min(behind, end))
        stretch.at = behind


def _spoil_versions(stretch: _Stretch, end: int) -> _Walk[None]:
    stretch.at += 2
    while stretch.at < end:
        stretch.at += 1
        yield from stretch.byte(end)
        stretch.data[stretch.at - stretch.begin] = _NO_VERSION
        stretch.at += 1
        size = yield from stretch.number(2, end)
        stretch.at += size


def _pass_name(stretch: _Stretch, end: int) -> _Walk[None]:
    """Pass over a name, whose end is a pointer or the root (RFC 1035 section 4.1.4)."""
    while length := (yield from stretch.number(1, end)):
        if length >= 0xC0:
            stretch.at += 1
            return
        stretch.at += length
