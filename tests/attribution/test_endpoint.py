"""A store's URL: every form, and what is refused."""

import pytest

from davylamp.attribution.endpoint import (
    Endpoint,
    Kind,
    Login,
    Node,
    Tls,
    parse_url,
    shown_url,
)
from davylamp.attribution.store import Store
from davylamp.errors import ConfigError

FORMS = [
    ("redis://h", Endpoint(Kind.SERVER, (Node("h", 6379),))),
    ("redis://h:1/3", Endpoint(Kind.SERVER, (Node("h", 1),), db=3)),
    ("redis://[fd00::7]:1", Endpoint(Kind.SERVER, (Node("fd00::7", 1),))),
    (
        "rediss://u:p%40ss@h?ca=/ca.pem&cert=/c.pem&key=/k.pem",
        Endpoint(
            Kind.SERVER,
            (Node("h", 6379),),
            Login("u", "p@ss"),
            tls=Tls("/ca.pem", "/c.pem", "/k.pem"),
        ),
    ),
    ("unix:///run/a%20b.sock?db=2", Endpoint(Kind.SERVER, (Node("/run/a b.sock", 0),), db=2)),
    (
        "redis+sentinel://u:p@a,b:7/lineage/2?sentinel_user=s&sentinel_password=t&replicas=2",
        Endpoint(
            Kind.SENTINEL,
            (Node("a", 26379), Node("b", 7)),
            Login("u", "p"),
            Login("s", "t"),
            service="lineage",
            db=2,
            replicas=2,
        ),
    ),
    (
        "rediss+cluster://:p@a:1,b:2",
        Endpoint(
            Kind.CLUSTER,
            (Node("a", 1), Node("b", 2)),
            Login("", "p"),
            tls=Tls(),
            replicas=1,
        ),
    ),
]
UNFIT = [
    *("http://x", "/run/x.sock", "redis://h:port", "redis://", "unix://", "redis://h/x"),
    *("redis://a,b", "redis+sentinel://x", "redis+cluster://x/1", "redis+other://x"),
    *("redis://h?replicas=-1", "redis://h?ssl_cert_reqs=none", "redis://h/1/2", "redis://[x/"),
]


@pytest.mark.parametrize(("url", "endpoint"), FORMS)
def test_every_form_of_url_is_understood(url: str, endpoint: Endpoint) -> None:
    """One URL says the kind, the nodes, the users, TLS and what is promised."""
    assert parse_url(url) == endpoint


@pytest.mark.parametrize("url", UNFIT)
def test_other_urls_are_refused(url: str) -> None:
    """A URL that cannot work is the user's error, with the ones that do."""
    with pytest.raises(ConfigError, match=r"URL.*write redis://"):
        Store(url).close()


def test_passwords_stay_out_of_messages() -> None:
    """A URL is shown without what is secret in it, also where it is refused."""
    assert shown_url("rediss://u:secret@h:6379/0?password=x") == "rediss://h:6379/0"
    with pytest.raises(ConfigError) as refused:
        parse_url("redis://u:secret@a,b?sentinel_password=hidden")
    assert "secret" not in str(refused.value)
    assert "hidden" not in str(refused.value)
