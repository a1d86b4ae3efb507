"""The dashboard's files, served as they are in the package.

No file holds anything of a gateway's; everything the page shows comes from the API, and a session
is needed for that. The policy lets the page load what is in this folder and talk to this server,
and no text ever become markup (Trusted Types).
"""

from hashlib import sha256
from importlib.resources import files
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_KINDS = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


def page_routes() -> list[web.RouteDef]:
    """Return a route for each file; ``index.html`` is the root."""
    folder = files("davylamp.api") / "page"
    routes: list[web.RouteDef] = []
    for file in folder.iterdir():
        suffix = file.name[file.name.rfind(".") :]
        if suffix not in _KINDS:
            continue
        path = "/" if file.name == "index.html" else f"/page/{file.name}"
        routes.append(web.get(path, _serving(file.read_bytes(), _KINDS[suffix])))
    return routes


def _serving(body: bytes, kind: str) -> Handler:
    tag = sha256(body).hexdigest()[:20]

    async def serve(request: web.Request) -> web.Response:
        known = request.if_none_match or ()
        if any(one.value == tag for one in known):
            answer = web.Response(status=304)
        else:
            answer = web.Response(body=body, content_type=kind, charset="utf-8")
        answer.etag = tag
        answer.headers["Cache-Control"] = "no-cache"
        answer.headers["Content-Security-Policy"] = POLICY
        return answer

    return serve
