"""What names an event, so that a receiver knows one that it has had."""

import hashlib

from davylamp import events
from davylamp.events import AnyEvent

_HEX = 32


def event_id(event: AnyEvent) -> str:
    """Return the event's id: 128 bits of the SHA-256 of its EVE line, the same on every attempt."""
    return line_id(events.encode(event))


def line_id(line: bytes) -> str:
    """Return the id of the event that was written as this EVE line."""
    return hashlib.sha256(line).hexdigest()[:_HEX]
