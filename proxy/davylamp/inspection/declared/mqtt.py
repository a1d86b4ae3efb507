"""MQTT: every packet is a byte of type and flags, its length, and as many bytes.

Only the first packets are looked into: a client's CONNECT, which names the protocol, and a server's
CONNACK prove their sides. All others must be of a type that the side may send, with the flags that
the type has.

    type and flags   remaining length             a CONNECT goes on         a CONNACK goes on
    1 byte           7 bits each of 1 to 4 bytes  00 04 M Q T T, 04 or 05   00 or 01, a reason

Source: MQTT 3.1.1 and 5.0 (OASIS), sections 2.1 (fixed header, flags; table 2-2), 2.2.3 or 2.1.4
(remaining length), 3.1.2 and 3.2.2; MQTT 3.1 names itself ``MQIsdp``, as section 3.1 of its own
document has it.
"""

from davylamp.inspection.declared.elements import Head, Protocol, Unread
from davylamp.inspection.finding import AppProto

CONNECTS = (b"\0\4MQTT\4", b"\0\4MQTT\5", b"\0\6MQIsdp\3")
"""What follows the length in a CONNECT: the protocol's name and its level."""

_CONNECT, _CONNACK, _PUBLISH = 1, 2, 3
_FLAGS = {6: 2, 8: 2, 10: 2}  # PUBREL, SUBSCRIBE, UNSUBSCRIBE; the others' are 0
_FROM_CLIENT = frozenset({1, 3, 4, 5, 6, 7, 8, 10, 12, 14, 15})
_FROM_SERVER = frozenset({2, 3, 4, 5, 6, 7, 9, 11, 13, 14, 15})
_CONNACK_LEAST = 2
_CONNACK_MOST = 64 * 1024


def client_head(data: bytes, at: int, _known: int) -> Head | Unread:
    """Read the head of a client's packet; a CONNECT's takes in its name and level."""
    kind = _kind(data[at], _FROM_CLIENT)
    length = _length(data, at + 1)
    if kind is Unread.BROKEN or isinstance(length, Unread):
        return Unread.BROKEN if kind is Unread.BROKEN else length
    if kind != _CONNECT:
        return Head(length.end, length.body)
    name = data[length.end : length.end + max(map(len, CONNECTS))]
    for known in CONNECTS:
        if name.startswith(known) and length.body > len(known):
            return Head(length.end + len(known), length.body - len(known), proof=True)
    begun = any(len(name) < len(known) and known.startswith(name) for known in CONNECTS)
    return Unread.MORE if begun else Unread.BROKEN


def server_head(data: bytes, at: int, _known: int) -> Head | Unread:
    """Read the head of a server's packet; a CONNACK's takes in its flags."""
    kind = _kind(data[at], _FROM_SERVER)
    length = _length(data, at + 1)
    if kind is Unread.BROKEN or isinstance(length, Unread):
        return Unread.BROKEN if kind is Unread.BROKEN else length
    if kind != _CONNACK:
        return Head(length.end, length.body)
    if not _CONNACK_LEAST <= length.body <= _CONNACK_MOST:
        return Unread.BROKEN
    if length.end == len(data):
        return Unread.MORE
    return (
        Head(length.end + 1, length.body - 1, proof=True)
        if data[length.end] <= 1
        else Unread.BROKEN
    )


def _kind(first: int, allowed: frozenset[int]) -> int | Unread:
    kind, flags = first >> 4, first & 15
    if kind not in allowed:
        return Unread.BROKEN
    right = flags & 6 != 6 if kind == _PUBLISH else flags == _FLAGS.get(kind, 0)
    return kind if right else Unread.BROKEN


def _length(data: bytes, at: int) -> Head | Unread:
    size = 0
    for place, byte in enumerate(data[at : at + 4]):
        size |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return Head(at + place + 1, size)
    return Unread.MORE if len(data) - at < 4 else Unread.BROKEN


MQTT = Protocol(AppProto.MQTT, client_head, server_head)
