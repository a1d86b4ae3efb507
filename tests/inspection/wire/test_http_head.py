"""Heads of HTTP messages, field by field."""

import pytest

from davylamp.inspection.wire.http_head import (
    Framing,
    ResponseHead,
    parse_fields,
    parse_request,
    parse_response,
    simple_request,
    split_authority,
)
from davylamp.inspection.wire.reader import Malformed


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("Pool.Example", "pool.example", 0),
        ("pool.example.:3333", "pool.example", 3333),
        ("user:pass@pool.example:443", "pool.example", 443),
        ("[2001:DB8::1]", "2001:db8::1", 0),
        ("[2001:db8::1]:80", "2001:db8::1", 80),
        ("a:99999", "a", 0),
        ("a:" + "9" * 5000, "a", 0),
        ("a:²", "a", 0),
        ("a:b", "a", 0),
        ("", "", 0),
        ("x" * 300, "x" * 255, 0),
    ],
)
def test_authority(text: str, host: str, port: int) -> None:
    """Host and port are split, normalised and bounded."""
    assert split_authority(text) == (host, port)


def test_fields() -> None:
    """Names are lower-case, values trimmed, folds joined, lines without a colon skipped."""
    raw = b"GET / HTTP/1.1\r\nA : 1 \r\nB:\r\n\tx\r\n  y\r\njunk\r\nc:d:e\n\r\n"
    assert parse_fields(raw) == (("a", "1"), ("b", "x y"), ("c", "d:e"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_quick_path_declines(data: bytes) -> None:
    """Whatever is not one plain whole request takes the long way."""
    assert simple_request(data) is None


def test_quick_path_takes_a_browser() -> None:
    """Upgrade-Insecure-Requests is no upgrade."""
    head = simple_request(
        b"GET /x HTTP/1.1\r\nHost: a.example:81\r\nUpgrade-Insecure-Requests: 1\r\n\r\n", 7
    )
    assert head is not None
    assert (head.host, head.port, head.offset, head.upgrade) == ("a.example", 81, 7, "")


@pytest.mark.parametrize(
    "line",
    [b"GET /", b" GET / HTTP/1.1", b"G{T / HTTP/1.1", b"GET / HTTP/11", b"GET /HTTP/1.1", b""],
)
def test_bad_request_lines(line: bytes) -> None:
    """A line that no server takes for a request is malformed, with its bytes."""
    raw = line + b"\r\n\r\n"
    assert parse_request(raw, 3) == Malformed("not an HTTP request line", 3, raw)


@pytest.mark.parametrize("line", [b"HTTP/1.1", b"HTTP/1.1 20", b"HTTP/1.1 2000 OK", b"ICY 200 OK"])
def test_bad_status_lines(line: bytes) -> None:
    """A status has three digits."""
    raw = line + b"\r\n\r\n"
    assert parse_response(raw, 0, "GET") == Malformed("not an HTTP status line", 0, raw)


def test_response_remembers_its_request() -> None:
    """A response's head says which method it answers, which decides about its body."""
    raw = b"HTTP/1.1 200 OK\r\nUpgrade: H2C\r\n\r\n"
    head = parse_response(raw, 5, "HEAD")
    assert isinstance(head, ResponseHead)
    assert (head.method, head.framing, head.upgrade, head.offset) == (
        "HEAD",
        Framing.NONE,
        "h2c",
        5,
    )
    assert head.headers == (("upgrade", "H2C"),)
