"""Taking Encrypted ClientHello's keys out of a DNS answer, without changing its length.

Strategy. The ``ech`` parameter of an SVCB or HTTPS record (key 5, RFC 9848 section 3) goes behind
the record's other parameters, and gets a key from the range for private use (65280 to 65534, RFC
9460 section 14.3.2), which no client knows and every client passes over. All stands where it stood
before but that parameter, so no compression pointer changes its meaning; keys still ascend (RFC
9460 section 2.2). A record that says ``ech`` is mandatory lists a key that it does not have any
more: clients drop it, as is right, for it would have them use what was taken away.

Where a record's beginning has passed already, in an earlier segment of TCP, nothing can be moved.
Then its keys get a version that no client knows and every client passes over (RFC 9849 section 4):
the second byte of the version is changed, which works wherever segments are cut.

A signed answer fails its signature afterwards (docs/interception.md).
"""

import contextlib

from davylamp.inspection.wire.dns import MAX_QUESTIONS, MAX_RECORDS
from davylamp.inspection.wire.reader import Cursor

_SERVICES = frozenset({64, 65})
_ECH = 5
_NO_KEY = 65280
_NO_VERSION = 0xFF
"""With the 0xFE before it 0xFEFF, which is nobody's."""
_MAX_MESSAGES = 64


def without_ech(message: bytes, passed: int = 0) -> bytes | None:
    """Return a DNS message without ECH keys, as long as before; None where it has none.

    The first ``passed`` bytes stay as they are. A message that cannot be read to its end is changed
    as far as it can be read.
    """
    changed = bytearray(message)
    with contextlib.suppress(EOFError):
        _change(Cursor(message), changed, passed)
    return bytes(changed) if changed != message else None


def without_ech_over_tcp(begun: bytes, segment: bytes) -> tuple[bytes, bytes]:
    """Return a segment of DNS messages (RFC 1035 section 4.2.2) without ECH keys, as long as ever.

    ``begun`` is the unfinished message before it, with its length; the second value is the one
    behind it. Of more than `_MAX_MESSAGES` the rest stays as it is, and nothing is said of it.
    """
    stream = begun + segment
    changed = bytearray(stream)
    at, passed = 0, len(begun)
    for _ in range(_MAX_MESSAGES):
        end = at + 2 + int.from_bytes(stream[at : at + 2], "big")
        message = stream[at + 2 : end]
        bare = without_ech(message, max(0, passed - at - 2))
        if bare is not None:
            changed[at + 2 : at + 2 + len(message)] = bare
        if end > len(stream) or len(stream) < at + 2:
            return bytes(changed[passed:]), stream[at:]
        at = end
    return bytes(changed[passed:]), b""


def _change(cursor: Cursor, changed: bytearray, passed: int) -> None:
    cursor.take(4)
    questions, *others = (cursor.u16() for _ in range(4))
    for _ in range(min(questions, MAX_QUESTIONS)):
        _skip_name(cursor)
        cursor.take(4)
    if questions > MAX_QUESTIONS:
        return
    for _ in range(min(sum(others), MAX_RECORDS)):
        _skip_name(cursor)
        kind = cursor.u16()
        cursor.take(6)
        size = cursor.u16()
        if kind not in _SERVICES:
            cursor.take(size)
        elif size <= cursor.left:
            _change_record(cursor.sub(size), changed, passed)
        else:
            _spoil_keys(_parameters(cursor), changed, passed)


def _parameters(body: Cursor) -> Cursor:
    """Step to a record's parameters, behind its priority and target."""
    body.take(2)
    _skip_name(body)
    return body


def _change_record(body: Cursor, changed: bytearray, passed: int) -> None:
    begin = _parameters(body).at
    if begin < passed:
        _spoil_keys(body, changed, passed)
        return
    kept, keys = b"", b""
    while body.left:
        at = body.at
        key, size = body.u16(), body.u16()
        body.take(size)
        parameter = body.data[at : body.at]
        if key == _ECH:
            keys += _NO_KEY.to_bytes(2, "big") + parameter[2:]
        else:
            kept += parameter
    if keys:
        changed[begin : body.end] = kept + keys


def _spoil_keys(body: Cursor, changed: bytearray, passed: int) -> None:
    """Change the version of every ECHConfig (RFC 9849 section 4) among parameters, in its place."""
    while body.left:
        key, size = body.u16(), body.u16()
        value = body.sub(min(size, body.left))
        if key != _ECH:
            continue
        value.take(2)
        while value.left:
            version = value.at + 1
            value.take(2)
            if version >= passed:
                changed[version] = _NO_VERSION
            value.take(value.u16())


def _skip_name(cursor: Cursor) -> None:
    """Pass over a name, whose end is a pointer or the root (RFC 1035 section 4.1.4)."""
    while length := cursor.u8():
        if length >= 0xC0:
            cursor.u8()
            return
        cursor.take(length)
