"""Which whole HTTP messages need no Inspector: none that it would find something in."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from mitmproxy.http import Headers, HTTPFlow, Request, Response
from mitmproxy.test.tflow import tclient_conn, tserver_conn
from tests.addons.mitm import LOGIN

from davylamp.flow import Direction
from davylamp.inspection.inspector import Inspector
from davylamp.paths import SIGNATURES
from davylamp.signatures.disk import load_directory
from davylamp.signatures.pack import Pack, load
from davylamp_mitm.bodylength import body_length
from davylamp_mitm.httptext import request_head, response_head
from davylamp_mitm.plain import is_plain

_VECTORS = Path(__file__).parents[1] / "signatures" / "core"
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def pack() -> Pack:
    """Load the core pack once."""
    return load_directory(SIGNATURES / "core")


def messages(body: bytes, *fields: tuple[bytes, bytes]) -> tuple[Request, Response]:
    """Return a request and a response with this body."""
    headers = Headers([(b"Content-Type", b"application/json"), *fields])
    request = Request.make("POST", "http://node.example/json_rpc", body, headers)
    return request, Response.make(200, body, headers)


def found(pack: Pack, message: Request | Response, body: bytes) -> bool:
    """Tell whether an Inspector finds something in a message that is written out."""
    if isinstance(message, Request):
        text = request_head(message, len(body)) + body
        return bool(Inspector(pack).receive(Direction.ORIGINATOR, text, 1.0))
    text = response_head(message, len(body)) + body
    return bool(Inspector(pack).receive(Direction.RESPONDER, text, 1.0))


def test_no_vector_is_plain_that_matches(pack: Pack) -> None:
    """Each line of each signature's vectors, as a body, is plain only if nothing is found in it."""
    told = plain = 0
    for file in _VECTORS.rglob("*.yaml"):
        for vector in yaml.safe_load(file.read_text()):
            for turn in vector["stream"]:
                for line in next(iter(turn.values())).splitlines() if valid(turn) else ():
                    body = line.encode()
                    for message in messages(body):
                        if is_plain(pack, message, message.raw_content or b""):
                            plain += 1
                            assert not found(pack, message, body), line
                        else:
                            told += 1
    assert told > 300, "the vectors were not read"
    assert plain > 100, "nothing is plain"


def valid(turn: object) -> bool:
    """Tell whether a turn of a vector is text."""
    return isinstance(turn, dict) and isinstance(next(iter(turn.values())), str)


@given(value=_JSON, before=st.sampled_from([b"", b" \n", b"\xef\xbb\xbf", b"\t\t"]))
@settings(max_examples=150, deadline=None)
def test_nothing_is_found_in_what_is_plain(pack: Pack, value: object, before: bytes) -> None:
    """Whatever JSON it is, also with blanks or a byte order mark before it."""
    for body in (before + json.dumps(value).encode(), before + LOGIN, LOGIN + before + b"x"):
        for message in messages(body):
            if is_plain(pack, message, body):
                assert not found(pack, message, body)


@pytest.mark.parametrize("blank", [b"\x0b", b"\x0c \r"])
def test_what_receivers_strip_is_not_plain(pack: Pack, blank: bytes) -> None:
    """Around a login there may be what JSON does not know, and its receiver throws away."""
    for message in messages(blank + LOGIN + blank):
        assert not is_plain(pack, message, message.raw_content or b"")


def test_what_must_be_undone_first_is_not_plain(pack: Pack) -> None:
    """A compressed body is the Inspector's business, as is a host with a pool's name."""
    for message in messages(b"\x1f\x8b\x08", (b"Content-Encoding", b"gzip")):
        assert not is_plain(pack, message, b"\x1f\x8b\x08")


def test_a_host_that_a_list_names_is_not_plain() -> None:
    """However it is written, where the pack has a signature for names in requests."""
    core = SIGNATURES / "core"
    files = {str(one.relative_to(core)): one.read_bytes() for one in core.rglob("*.*")}
    [(name, text)] = [one for one in files.items() if b"\nid: pool-name-tls-sni" in b"\n" + one[1]]
    files[name.replace("tls-sni", "http-host")] = text.replace(b"tls-sni", b"http-host").replace(
        b"tls.sni", b"http.host"
    )
    pack = load(files)
    for host in ("pool.supportxmr.com", "POOL.supportxmr.com:80", "pool.supportxmr.com."):
        request = Request.make("GET", "http://192.0.2.1/")
        request.headers = Headers([(b"Host", host.encode())])
        assert not is_plain(pack, request, b""), host
        assert found(pack, request, b""), host
    assert is_plain(pack, Request.make("GET", "http://files.example/"), b"")


@pytest.mark.parametrize(
    ("version", "fields", "expected"),
    [
        ("HTTP/1.1", [], 0),
        ("HTTP/2.0", [], None),
        ("HTTP/1.1", [(b"Content-Length", b"17")], 17),
        ("HTTP/2.0", [(b"content-length", b"17")], 17),
        ("HTTP/1.1", [(b"Content-Length", b"9" * 5000)], None),
        ("HTTP/1.1", [(b"Content-Length", b"x")], None),
        ("HTTP/1.1", [(b"Transfer-Encoding", b"chunked")], None),
        ("HTTP/1.1", [(b"Content-Length", b"17"), (b"Transfer-Encoding", b"chunked")], None),
        ("HTTP/1.1", [(b"Content-Length", b"17"), (b"Content-Length", b"18")], None),
    ],
)
def test_how_long_a_requests_body_is(
    version: str, fields: list[tuple[bytes, bytes]], expected: int | None
) -> None:
    """A length is what a single field says; whatever else there is, only the end tells."""
    flow = HTTPFlow(tclient_conn(), tserver_conn())
    flow.request = Request.make("POST", "http://x/", headers=Headers(fields))
    flow.request.headers = Headers(fields)
    flow.request.http_version = version
    assert body_length(flow, Direction.ORIGINATOR) == expected


@pytest.mark.parametrize(
    ("method", "status", "fields", "expected"),
    [
        ("GET", 200, [(b"Content-Length", b"17")], 17),
        ("HEAD", 200, [(b"Content-Length", b"17")], 0),
        ("GET", 204, [], 0),
        ("GET", 200, [], None),
        ("GET", 200, [(b"Transfer-Encoding", b"chunked")], None),
    ],
)
def test_how_long_a_responses_body_is(
    method: str, status: int, fields: list[tuple[bytes, bytes]], expected: int | None
) -> None:
    """What a response answers has a say in it."""
    flow = HTTPFlow(tclient_conn(), tserver_conn())
    flow.request = Request.make(method, "http://x/")
    flow.response = Response.make(status)
    flow.response.headers = Headers(fields)
    assert body_length(flow, Direction.RESPONDER) == expected
