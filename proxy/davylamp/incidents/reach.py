"""The store, also while the gateway is down: its private Redis is woken for as long as it takes.

And who it is that asks.
"""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from davylamp.attribution.endpoint import parse_url
from davylamp.attribution.place import Place, default_place, default_url, place_under
from davylamp.attribution.server import EmbeddedRedis
from davylamp.attribution.store import Store


@contextmanager
def opened(url: str | None) -> Iterator[Store]:
    """Open the store; raise ConfigError or LineageUnavailable as `Store` and its server do.

    Where the URL is that of a private server whose records are on this disk and this user's, that
    server is joined, or started where its gateway is down and ended again afterwards.
    """
    chosen = url or default_url()
    parse_url(chosen)
    place = _private_place(chosen)
    if place is None:
        with Store(chosen) as store:
            yield store
        return
    with EmbeddedRedis(place), Store(chosen) as store:
        yield store


def user() -> str:
    """Return the name of who runs this."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"


def _private_place(url: str) -> Place | None:
    """Return the place that a private server's URL belongs to, None for any other store."""
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return None
    under = place_under(Path(unquote(parts.path)).parent.parent)
    for place in (default_place(), default_place({}, 0), under):
        if place.url == url and _is_ours(place.state):
            return place
    return None


def _is_ours(state: Path) -> bool:
    try:
        return state.stat().st_uid == os.geteuid()
    except OSError:
        return False
