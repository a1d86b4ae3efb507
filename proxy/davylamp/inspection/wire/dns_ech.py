"""Taking Encrypted ClientHello's keys out of a DNS answer, without changing its length.

Strategy. The ``ech`` parameter of an SVCB or HTTPS record (key 5, RFC 9848 section 3) goes behind
the record's other parameters, and gets a key from the range for private use (65280 to 65534, RFC
9460 section 14.3.2), which no client knows and every client passes over. All stands where it stood
before but that parameter, so no compression pointer changes its meaning; keys still ascend (RFC
9460 section 2.2). A record that says ``ech`` is mandatory lists a key that it does not have any
more: clients drop it, as is right, for it would have them use what was taken away.

A signed answer fails its signature afterwards (docs/interception.md).
"""

import contextlib

from davylamp.inspection.wire.dns import MAX_QUESTIONS, MAX_RECORDS
from davylamp.inspection.wire.reader import Cursor

_SERVICES = frozenset({64, 65})
_ECH = 5
_NO_KEY = 65280
_MAX_MESSAGES = 64


def without_ech(message: bytes) -> bytes | None:
    """Return a DNS message without ECH keys, as long as before; None where it has none.

    A message that cannot be read to its end is changed as far as it can be read.
    """
    changed = bytearray(message)
    with contextlib.suppress(EOFError):
        _change(Cursor(message), changed)
    return bytes(changed) if changed != message else None


def without_ech_over_tcp(payload: bytes) -> bytes | None:
    """Return a segment of DNS messages (RFC 1035 section 4.2.2) without ECH keys, as long as ever.

    None where there are none to be found. It must begin with a message's length, and a message may
    end in another segment; of more than `_MAX_MESSAGES` the rest stays as it is.
    """
    changed = bytearray(payload)
    at = 0
    for _ in range(_MAX_MESSAGES):
        if at >= len(payload):
            break
        end = at + 2 + int.from_bytes(payload[at : at + 2], "big")
        message = payload[at + 2 : end]
        changed[at + 2 : at + 2 + len(message)] = without_ech(message) or message
        at = end
    return bytes(changed) if changed != payload else None


def _change(cursor: Cursor, changed: bytearray) -> None:
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
        body = cursor.sub(cursor.u16())
        if kind in _SERVICES:
            _change_record(body, changed)


def _change_record(body: Cursor, changed: bytearray) -> None:
    body.take(2)
    _skip_name(body)
    begin = body.at
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


def _skip_name(cursor: Cursor) -> None:
    """Pass over a name, whose end is a pointer or the root (RFC 1035 section 4.1.4)."""
    while length := cursor.u8():
        if length >= 0xC0:
            cursor.u8()
            return
        cursor.take(length)
