"""Messages, and slices of something larger: what a packet amid a flow looks like from outside."""

import re

from davylamp.inspection.framing import Framer
from davylamp.inspection.identify import Opening, identify
from davylamp.inspection.wire.http_head import FOLLOWED
from davylamp.packet import Packet

_BULK = 1200  # bytes of payload
_AMID = re.compile(rb"\n[ \t\r\x0b\x0c]*([\[{](?:[ \t\r\n/\"\[{]|\Z))")
"""A line that begins like a JSON message, amid a slice or with its last byte; what may come second
as in the kernel's rules. One of random bytes would bring every packet of its flow to the queue for
a minute."""
_NO_TEXT = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\xc0\xc1\xf5-\xff]")
_TEXT_PROBE = 256  # bytes of a message that are looked at; of random ones hardly any is text


def is_document(packet: Packet) -> bool:
    """Tell whether a large packet has lines that are no JSON, which no pool would put up with.

    A large packet amid a flow may begin with any line of a document, and documents quote Stratum;
    what miners and pools say to each other is far smaller. One value over many lines is none: some
    pools read values and not lines.
    """
    payload = packet.payload
    if not _is_bulk(packet) or payload.startswith(FOLLOWED) or _is_json(payload):
        return False
    return not _is_value(payload)


def is_slice(packet: Packet) -> bool:
    """Tell whether a packet of the sample is a slice of something, not a message or its beginning.

    A slice begins anywhere: what is JSON from its first byte on, a request, or a WebSocket's frame
    is none.
    """
    payload = packet.payload
    if payload.startswith(FOLLOWED) or (payload and identify(payload) is Opening.WEBSOCKET):
        return False
    return _is_bulk(packet) or not _is_json(payload)


def has_messages(packet: Packet) -> bool:
    """Tell whether lines amid a small slice begin like JSON messages, and are text."""
    payload = packet.payload
    if _is_bulk(packet):
        return False
    return any(is_text(payload, line.start(1)) for line in _AMID.finditer(payload))


def is_text(payload: bytes, start: int = 0) -> bool:
    """Tell bytes that JSON may hold, strings included, from others (RFC 8259 section 8.1)."""
    return _NO_TEXT.search(payload, start, start + _TEXT_PROBE) is None


def _is_bulk(packet: Packet) -> bool:
    return len(packet.payload) + packet.missing >= _BULK


def _is_value(text: bytes) -> bool:
    """Tell whether a text is JSON values, whole ones or the beginning of one, and nothing else."""
    framer = Framer(strict=True)
    found = framer.receive(text, 0)
    return bool(found or framer.partial) and not framer.lost


def _is_json(text: bytes) -> bool:
    """Tell whether every line of a text begins like a JSON message."""
    return all(_begins_json(line) or not line.strip() for line in text.split(b"\n"))


def _begins_json(line: bytes) -> bool:
    return line.lstrip()[:1] in (b"{", b"[")
