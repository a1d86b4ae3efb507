"""The webhook's signature: made here, and checked here by a receiver that is written in Python.

``Davylamp-Signature: v1=HEX`` is HMAC-SHA256 with the shared secret over the ``Davylamp-Timestamp``
header, a dot, and the body as it was sent. The time is in seconds since the epoch and part of what
is signed, so that a request that was overheard is worth nothing once the window has passed.
"""

import hashlib
import hmac

TIMESTAMP = "Davylamp-Timestamp"
SIGNATURE = "Davylamp-Signature"
WINDOW_SECONDS = 300

_SCHEME = "v1="


def sign(secret: bytes, timestamp: int, body: bytes) -> str:
    """Return the signature header's value."""
    digest = hmac.new(secret, b"%d.%b" % (timestamp, body), hashlib.sha256)
    return _SCHEME + digest.hexdigest()


def verify(  # noqa: PLR0913 - what is compared, and with what
    secret: bytes,
    *,
    timestamp: str,
    signature: str,
    body: bytes,
    now: float,
    window: float = WINDOW_SECONDS,
) -> bool:
    """Say whether the headers are of someone with the secret, and no older than ``window`` seconds.

    ``now`` is seconds since the epoch; a time in the future is refused by the same measure.
    """
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) < 20):
        return False
    sent = int(timestamp)
    fresh = abs(now - sent) <= window
    return fresh and hmac.compare_digest(sign(secret, sent, body).encode(), signature.encode())
