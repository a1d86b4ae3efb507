"""Errors as problem documents (RFC 9457), and the headers that every answer has."""

import logging
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from davylamp.errors import ConfigError, DavylampError, LineageUnavailable
from davylamp.events import Struct

CONTENT_TYPE = "application/problem+json"
SILENT_POLICY = "default-src 'none'; frame-ancestors 'none'"
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": SILENT_POLICY,
}

logger = logging.getLogger(__name__)


class Problem(Struct, frozen=True, kw_only=True):
    """What went wrong: a status, its name, and what to do about it."""

    status: int
    title: str
    detail: str = ""


def problem(
    status: HTTPStatus, detail: str = "", headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a problem document."""
    told = Problem(status=status.value, title=status.phrase, detail=detail)
    answer = web.Response(
        status=status.value, body=msgspec.json.encode(told), content_type=CONTENT_TYPE
    )
    answer.headers.update(headers or {})
    return answer


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer whatever goes wrong with a problem document, and give every answer its headers."""
    try:
        answer = await handler(request)
    except web.HTTPException as error:
        answer = _of_http(error)
    except ConfigError as error:
        answer = problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
    except LineageUnavailable as error:
        answer = problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"Retry-After": "1"})
    except TimeoutError:
        answer = problem(HTTPStatus.SERVICE_UNAVAILABLE, "it took too long; try again")
    except DavylampError as error:
        answer = problem(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
    except ConnectionError:
        raise  # the client is gone, and there is nobody to tell
    except Exception:
        logger.exception("%s %s failed", request.method, request.path)
        answer = problem(HTTPStatus.INTERNAL_SERVER_ERROR, "this is a fault of davylamp's")
    if not answer.prepared:
        with_headers(answer)
    return answer


def with_headers(answer: web.StreamResponse) -> None:
    """Give an answer the headers that keep a browser from doing anything with it unasked."""
    for name, value in _HEADERS.items():
        answer.headers.setdefault(name, value)


def _of_http(error: web.HTTPException) -> web.Response:
    status = HTTPStatus(error.status)
    kept = {
        name: error.headers[name]
        for name in ("Allow", "WWW-Authenticate", "Retry-After")
        if name in error.headers
    }
    default = f"{error.status}: {error.reason}"
    text = error.text or ""
    answer = problem(status, "" if text == default else text, kept)
    if error.keep_alive is False:
        answer.force_close()
    return answer
