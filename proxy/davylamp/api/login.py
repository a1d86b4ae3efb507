"""The dashboard's log-in: a token for a cookie, once."""

from http import HTTPStatus
from typing import Annotated

import msgspec
from aiohttp import web

from davylamp.api.endpoint import Asked, Endpoint, NoQuery
from davylamp.api.gate import Gate
from davylamp.api.model import SessionView
from davylamp.api.scopes import MOST_CHARACTERS, Scope
from davylamp.api.sessions import LIFETIME
from davylamp.events import Struct


class LogIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token, as the token file has it."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_CHARACTERS)]


class LogInDesk:
    """Begins and ends sessions."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the routes; they are open, as who asks is what they find out."""
        path = "/api/v1/session"
        refused = (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)
        return (
            Endpoint(
                method="POST",
                path=path,
                summary="Exchange a token for the dashboard's cookie",
                handle=self.begin,
                body=LogIn,
                answer=SessionView,
                scope=None,
                problems=refused,
            ),
            Endpoint(
                method="GET",
                path=path,
                summary="What the caller may do",
                handle=self.show,
                answer=SessionView,
                scope=None,
            ),
            Endpoint(
                method="DELETE",
                path=path,
                summary="Log out",
                handle=self.end,
                answer=SessionView,
                scope=None,
            ),
        )

    async def begin(self, asked: Asked[NoQuery, LogIn]) -> web.Response:
        """Set the cookie; scripts never see it, and other sites' pages never send it."""
        scopes = self._gate.tokens.scopes(asked.body.token.strip())
        if not scopes:
            raise self._gate.refusal(asked.request, "this is not a token of the gateway's")
        if Scope.READ not in scopes:
            raise web.HTTPForbidden(text="this token may not look at anything")
        view = SessionView(scopes=tuple(sorted(scopes)), seconds=LIFETIME)
        answer = web.Response(body=msgspec.json.encode(view), content_type="application/json")
        answer.set_cookie(
            self._gate.cookie,
            self._gate.sessions.begin(scopes),
            max_age=int(LIFETIME),
            path="/",
            httponly=True,
            samesite="Strict",
            secure=self._gate.secure,
        )
        return answer

    async def show(self, asked: Asked[NoQuery, None]) -> SessionView:
        """Say what the caller may do: nothing, where there is no session."""
        return SessionView(scopes=tuple(sorted(self._gate.identify(asked.request).scopes)))

    async def end(self, asked: Asked[NoQuery, None]) -> web.Response:
        """Forget the session and take the cookie back."""
        cookie = asked.request.cookies.get(self._gate.cookie)
        if cookie is not None:
            self._gate.sessions.end(cookie)
        view = SessionView(scopes=())
        answer = web.Response(body=msgspec.json.encode(view), content_type="application/json")
        answer.del_cookie(
            self._gate.cookie, path="/", httponly=True, samesite="Strict", secure=self._gate.secure
        )
        return answer
