"""Log-ins of the dashboard: a token, exchanged once for a cookie that no script can read.

The cookie is 256 random bits and names a session in memory; the token is nowhere in the browser.
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from davylamp.api.scopes import Scopes

LIFETIME = 12 * 3600.0
"""Seconds after which a log-in is over, used or not."""
CAPACITY = 64


@dataclass(frozen=True, slots=True)
class Session:
    """What a log-in may do, and until when by the clock that `Sessions` was given."""

    scopes: Scopes
    ends: float


class Sessions:
    """At most ``CAPACITY`` log-ins, the oldest forgotten first; ``clock`` counts seconds.

    Looked up by a digest, so that how long a lookup takes says nothing about the cookies there are.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def begin(self, scopes: Scopes) -> str:
        """Return the cookie of a new session."""
        cookie = secrets.token_urlsafe(32)
        self._sessions[_digest(cookie)] = Session(scopes, self._clock() + LIFETIME)
        while len(self._sessions) > CAPACITY:
            self._sessions.popitem(last=False)
        return cookie

    def find(self, cookie: str) -> Session | None:
        """Return the session that a cookie names, while it lasts."""
        key = _digest(cookie)
        session = self._sessions.get(key)
        if session is not None and session.ends <= self._clock():
            del self._sessions[key]
            return None
        return session

    def end(self, cookie: str) -> None:
        """Forget a session."""
        self._sessions.pop(_digest(cookie), None)


def _digest(cookie: str) -> bytes:
    return sha256(cookie.encode("utf-8", "surrogateescape")).digest()
