"""Addresses are read as people write them."""

import pytest

from davylamp.errors import ConfigError
from davylamp.lab.programs.addresses import Endpoint, parse_endpoint


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:3333", Endpoint("127.0.0.1", 3333)),
        ("[::1]:443", Endpoint("::1", 443)),
        ("pool.example:80", Endpoint("pool.example", 80)),
        ("stratum+tcp://pool.example:3333", Endpoint("pool.example", 3333)),
        ("stratum+ssl://[fd00::2]:443", Endpoint("fd00::2", 443, tls=True)),
    ],
)
def test_read(text: str, endpoint: Endpoint) -> None:
    """Hosts, IPv4, bracketed IPv6 and pool URLs are understood."""
    assert parse_endpoint(text) == endpoint


@pytest.mark.parametrize("text", ["", "host", "host:", ":80", "host:99999", "ftp://a:1", "[::1:80"])
def test_refused(text: str) -> None:
    """Anything else is the user's mistake, said so."""
    with pytest.raises(ConfigError, match="write"):
        parse_endpoint(text)


def test_written_as_read() -> None:
    """An endpoint prints as it is written."""
    assert str(Endpoint("::1", 80)) == "[::1]:80"
    assert str(Endpoint("127.0.0.1", 80)) == "127.0.0.1:80"
