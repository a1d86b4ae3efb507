"""The chain over an incident's events: each digest includes the one before.

The first link is made of the incident's id. So nothing can be changed, left out, put in or moved
without changing every digest from there on, and the last one is in the store. SHA-256 throughout.
"""

from collections.abc import Iterable
from hashlib import sha256

_SEED = b"davylamp incident chain 1\n"


def genesis(incident_id: str) -> str:
    """Return what stands before the first event."""
    return sha256(_SEED + incident_id.encode()).hexdigest()


def link(before: str, event: bytes) -> str:
    """Return the digest of an event that follows the one with digest ``before``."""
    return sha256(before.encode() + b"\n" + event).hexdigest()


def digests(incident_id: str, lines: Iterable[bytes]) -> list[str]:
    """Return the digest of each event of a chain."""
    found: list[str] = []
    last = genesis(incident_id)
    for line in lines:
        last = link(last, line)
        found.append(last)
    return found
