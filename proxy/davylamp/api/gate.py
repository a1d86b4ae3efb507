"""Who is asking, and from where: the host name, the origin, and the credential.

Three things are told apart. *Host*: a page that had its own name rebound to our address sends that
name; addresses, ``localhost`` and configured names are answered and nothing else. *Origin*: a
browser says whose page made it ask, and only our own may. *Credential*: a bearer token, the
dashboard's cookie, or a certificate's name.
"""

import logging
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from davylamp.api.failures import Failures
from davylamp.api.problems import problem
from davylamp.api.scopes import NOTHING, Scope, Scopes, Tokens
from davylamp.api.sessions import Sessions

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_QUIET_SECONDS = 60.0
_OURS = frozenset({"same-origin", "none"})

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a name for the record, and what they may do."""

    name: str
    scopes: Scopes


NOBODY = Caller("", NOTHING)


class Gate:
    """Lets requests in. ``secure`` says that all of it is inside TLS."""

    def __init__(
        self,
        tokens: Tokens,
        sessions: Sessions,
        failures: Failures,
        clients: Mapping[str, Scopes],
        *,
        secure: bool,
    ) -> None:
        self.tokens = tokens
        self.sessions = sessions
        self._failures = failures
        self._warned = -_QUIET_SECONDS
        self._clients = clients
        # The prefix has browsers refuse the cookie from any other host, or without TLS.
        self.cookie = "__Host-davylamp" if secure else "davylamp"
        self.secure = secure

    def admit(self, request: web.Request, scope: Scope) -> Caller:
        """Return who asks; raise a 401, 403 or 429 where they may not.

        A credential that is right is always let in, also from an address that failed too often:
        tokens are too long to be guessed, and nobody can lock an operator out by failing.
        """
        caller = self.identify(request)
        if scope in caller.scopes:
            return caller
        if caller.scopes:
            raise web.HTTPForbidden(text=f"this credential does not have the right to {scope}")
        raise self.refusal(request, "a token of the gateway's is needed, as a bearer token")

    def identify(self, request: web.Request) -> Caller:
        """Return who asks, `NOBODY` where nothing that was shown is a credential."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return Caller("token", self.tokens.scopes(token.strip()))
        cookie = request.cookies.get(self.cookie)
        if cookie is not None and _from_our_page(request):
            session = self.sessions.find(cookie)
            if session is not None:
                return Caller("dashboard", session.scopes)
        return self._by_certificate(request)

    def refusal(self, request: web.Request, said: str) -> web.HTTPException:
        """Count a failure of the address's, and return what it is answered."""
        wait = self._failures.add(request.remote or "")
        if not wait:
            challenge = {"WWW-Authenticate": 'Bearer realm="davylamp"'}
            return web.HTTPUnauthorized(text=said, headers=challenge)
        now = time.monotonic()
        if now - self._warned >= _QUIET_SECONDS:  # a log, too, is something a peer can fill
            self._warned = now
            logger.warning("%s fails to log in to the API again and again", request.remote)
        answer = web.HTTPTooManyRequests(text=said, headers={"Retry-After": str(int(wait) + 1)})
        answer.force_close()
        return answer

    def _by_certificate(self, request: web.Request) -> Caller:
        if not self._clients or request.transport is None:
            return NOBODY
        shown: dict[str, Any] = request.transport.get_extra_info("peercert") or {}
        for name in _names(shown):
            scopes = self._clients.get(name)
            if scopes:
                return Caller(name, scopes)
        return NOBODY


def host_check(hosts: Collection[str]) -> Any:
    """Return the middleware that answers only under names that nobody can rebind."""
    names = {name.lower().rstrip(".") for name in hosts} | {"localhost"}

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _known(request.headers.get("Host", ""), names):
            said = "this is not a name of the gateway's; list it under api.hosts"
            return problem(HTTPStatus.MISDIRECTED_REQUEST, said)
        origin = request.headers.get("Origin")
        if origin is not None and _netloc(origin) != request.headers["Host"].lower():
            return problem(HTTPStatus.FORBIDDEN, "other pages may not ask")
        return await handler(request)

    return check


def _known(host: str, names: Collection[str]) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name.rstrip(".") in names:
            return True
        ip_address(name)
    except ValueError:
        return False
    return True


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _from_our_page(request: web.Request) -> bool:
    """Tell whether a request with our cookie was made by our own page.

    SameSite does not tell ports apart: another server on this host is of the same site.
    """
    if request.method in _SAFE:
        return request.headers.get("Sec-Fetch-Site", "none") in _OURS
    return "Origin" in request.headers  # that it is ours, `host_check` has seen to


def _names(certificate: Mapping[str, Any]) -> list[str]:
    """Return the names in a verified certificate: alternative ones, else the common name."""
    found = [value for _, value in certificate.get("subjectAltName", ())]
    if found:
        return found
    subject = (pair for group in certificate.get("subject", ()) for pair in group)
    return [value for name, value in subject if name == "commonName"]
