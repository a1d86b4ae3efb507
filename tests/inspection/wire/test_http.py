"""HTTP/1.x streams, their events, and what turns out not to be HTTP."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.inspection.wire.http import (
    BodyData,
    HttpEvent,
    MessageEnd,
    RequestReader,
    ResponseReader,
    Upgraded,
)
from davylamp.inspection.wire.http_head import MAX_HEAD, Framing, RequestHead, ResponseHead
from davylamp.inspection.wire.reader import Malformed

type Splits = Callable[[bytes], Iterator[list[bytes]]]
type Streams = Callable[[str], dict[tuple[int, int], bytes]]

JSON = b'{"id":1,"method":"login"}\n'


def _said(events: list[HttpEvent]) -> list[str]:
    """Write events as short lines: body data joined, a tunnel's or a misfit's bytes included."""
    lines: list[str] = []
    body = b""
    for event in events:
        if isinstance(event, BodyData):
            body += event.data
            continue
        if body:
            lines.append(f"body {body!r}")
            body = b""
        match event:
            case RequestHead():
                doubt = " ambiguous" if event.ambiguous else ""
                lines.append(f"{event.method} {event.target} {event.host}:{event.port}{doubt}")
            case ResponseHead():
                doubt = " ambiguous" if event.ambiguous else ""
                lines.append(f"{event.status} {event.framing}{doubt}")
            case MessageEnd(offset, trailers):
                lines.append(f"end {offset}" + "".join(f" {name}={v}" for name, v in trailers))
            case Upgraded(remaining, offset, protocol):
                lines.append(f"{protocol} at {offset} {remaining!r}")
            case Malformed(reason, offset, rest):
                lines.append(f"malformed at {offset} {rest!r}: {reason}")
    return lines + ([f"body {body!r}"] if body else [])


def _requests(*chunks: bytes) -> list[HttpEvent]:
    reader = RequestReader()
    events: list[HttpEvent] = []
    for chunk in chunks:
        if reader.done:  # as a caller does: what follows goes to another reader
            last = events[-1]
            if isinstance(last, Upgraded):
                events[-1] = Upgraded(last.remaining + chunk, last.offset, last.protocol)
            elif isinstance(last, Malformed):
                events[-1] = Malformed(last.reason, last.offset, last.rest + chunk)
        events += reader.feed(chunk)
    return events


GET = b"GET /a?b=1 HTTP/1.1\r\nHost: Pool.Example:3333\r\nUser-Agent: x\r\n\r\n"
SAID_GET = "GET /a?b=1 pool.example:3333"
POST = b"POST /json_rpc HTTP/1.1\r\nHost: n\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: Chunked\r\n\r\n"
TWO_LENGTHS = b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
SIGNED_LENGTH = b"P / HTTP/1.1\nContent-Length: +1\n\n"
INTERIM = (
    b"HTTP/1.1 100 Continue\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
)

REQUESTS: list[tuple[str, bytes, list[str]]] = [
    ("GET", GET, [SAID_GET, f"end {len(GET)}"]),
    ("HEAD", b"HEAD / HTTP/1.0\r\nHost: a\r\n\r\n", ["HEAD / a:0", "end 28"]),
    ("no host", b"GET / HTTP/1.0\r\n\r\n", ["GET / :0", "end 18"]),
    ("bare LF", b"GET / HTTP/1.1\nhost:h\n\n", ["GET / h:0", "end 23"]),
    ("HTTP/0.9", b"GET /x\r\n" + GET, ["GET /x :0", "end 8", SAID_GET, f"end {len(GET) + 8}"]),
    ("empty lines first", b"\r\n\n\r\n" + GET, [SAID_GET, f"end {len(GET) + 5}"]),
    ("length", POST, ["POST /json_rpc n:0", "body b'hello'", f"end {len(POST)}"]),
    (
        "pipelined",
        POST + GET + POST,
        [
            "POST /json_rpc n:0",
            "body b'hello'",
            f"end {len(POST)}",
            SAID_GET,
            f"end {len(POST + GET)}",
            "POST /json_rpc n:0",
            "body b'hello'",
            f"end {len(POST + GET + POST)}",
        ],
    ),
    (
        "chunked",
        CHUNKED + b'3\r\nabc\r\n 00A ;x="y"\r\n0123456789\r\n0\r\n\r\n',
        ["POST / h:0", "body b'abc0123456789'", f"end {len(CHUNKED) + 38}"],
    ),
    (
        "trailers and bare LF",
        CHUNKED + b"1\na\n0\nX-Sum: 7\nY : z\n\n" + GET,
        [
            "POST / h:0",
            "body b'a'",
            f"end {len(CHUNKED) + 22} x-sum=7 y=z",
            SAID_GET,
            f"end {len(CHUNKED) + 22 + len(GET)}",
        ],
    ),
    (
        "folded length",
        b"POST / HTTP/1.1\r\nContent-Length:\r\n 2\r\n\r\nhi",
        ["POST / :0", "body b'hi'", "end 42"],
    ),
    (
        "blank before the colon",
        b"POST / HTTP/1.1\r\nContent-Length : 2\r\n\r\nhi",
        ["POST / :0", "body b'hi'", "end 41"],
    ),
    (
        "length twice the same",
        b"POST / HTTP/1.1\r\nContent-Length: 2, 2\r\ncontent-length: 2\r\n\r\nhi",
        ["POST / :0", "body b'hi'", "end 62"],
    ),
    (
        "both framings",
        b"POST / HTTP/1.1\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ["POST / :0 ambiguous", "end 71"],
    ),
    (
        "chunked is not last",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        ["POST / :0 ambiguous", "end 58"],
    ),
    (
        "chunked in HTTP/1.0",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ["POST / :0 ambiguous", "end 52"],
    ),
    (
        "hidden coding",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        ["POST / :0 ambiguous", "end 53"],
    ),
    (
        "unknown coding",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi",
        ["POST / :0 ambiguous", "body b'hi'", "end 65"],
    ),
    (
        "two hosts",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        ["GET / a:0 ambiguous", "end 36"],
    ),
    (
        "absolute form wins",
        b"GET http://u:p@Pool.Example.:80/x HTTP/1.1\r\nHost: good\r\n\r\n",
        ["GET http://u:p@Pool.Example.:80/x pool.example:80", "end 58"],
    ),
    (
        "IPv6 host",
        b"GET / HTTP/1.1\r\nHost: [2001:DB8::1]:81\r\n\r\n",
        ["GET / 2001:db8::1:81", "end 42"],
    ),
    ("blanks in the target", b"GET  /a b\tHTTP/1.1 \r\n\r\n", ["GET /a b :0", "end 23"]),
    ("lower-case version", b"get / http/1.1\r\n\r\n", ["get / :0", "end 18"]),
    ("a line without a colon", b"GET / HTTP/1.1\r\nhm\r\nHost: h\r\n\r\n", ["GET / h:0", "end 31"]),
    (
        "CONNECT",
        b"CONNECT pool.example:443 HTTP/1.1\r\nHost: x\r\n\r\n\x16\x03\x01",
        ["CONNECT pool.example:443 pool.example:443", r"connect at 46 b'\x16\x03\x01'"],
    ),
    (
        "HTTP/2 preface",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0",
        ["PRI * :0", r"h2 at 18 b'SM\r\n\r\n\x00\x00'"],
    ),
    (
        "upgrade, then frames",
        b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\n\r\n\x81\x05hello",
        ["GET /ws h:0", "end 49", r"websocket at 49 b'\x81\x05hello'"],
    ),
    (
        "upgrade declined",
        b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\n\r\n" + GET,
        ["GET /ws h:0", "end 43", SAID_GET, f"end {43 + len(GET)}"],
    ),
    (
        "mining on a kept connection",
        GET + JSON,
        [
            SAID_GET,
            f"end {len(GET)}",
            f"malformed at {len(GET)} {JSON!r}: no HTTP message starts so",
        ],
    ),
    ("JSON", JSON, [f"malformed at 0 {JSON!r}: no HTTP message starts so"]),
    ("a word", b"JOB\n", ["malformed at 0 b'JOB\\n': no HTTP message starts so"]),
    ("words", b"EHLO me\r\nx", ["malformed at 0 b'EHLO me\\r\\nx': no HTTP message starts so"]),
    (
        "lengths differ",
        TWO_LENGTHS,
        [f"malformed at 0 {TWO_LENGTHS!r}: Content-Length differs or is no number"],
    ),
    (
        "length with a sign",
        SIGNED_LENGTH,
        [f"malformed at 0 {SIGNED_LENGTH!r}: Content-Length differs or is no number"],
    ),
    (
        "chunk without a size",
        CHUNKED + b"\r\n",
        ["POST / h:0", f"malformed at {len(CHUNKED)} b'\\r\\n': no chunk size"],
    ),
    (
        "chunk longer than its size",
        CHUNKED + b"1\r\nabc",
        [
            "POST / h:0",
            "body b'a'",
            f"malformed at {len(CHUNKED) + 4} b'bc': chunk longer than its size",
        ],
    ),
]


@pytest.mark.parametrize(("name", "stream", "said"), REQUESTS, ids=[r[0] for r in REQUESTS])
def test_requests(name: str, stream: bytes, said: list[str], splits: Splits) -> None:
    """A request stream gives the same events in any segments."""
    for chunks in splits(stream):
        assert _said(_requests(*chunks)) == said


RESPONSES: list[tuple[str, list[str], bytes, list[str]]] = [
    (
        "length",
        ["GET"],
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        ["200 length", "body b'hi'", "end 40"],
    ),
    ("no reason", ["GET"], b"HTTP/1.1 404\nContent-Length: 0\n\n", ["404 none", "end 32"]),
    (
        "until close",
        ["GET"],
        b"HTTP/1.0 200 OK\r\n\r\nall of it",
        ["200 until-close", "body b'all of it'", "end 28"],
    ),
    ("HEAD", ["HEAD"], b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", ["200 none", "end 38"]),
    ("204", ["POST"], b"HTTP/1.1 204 No\r\n\r\n", ["204 none", "end 19"]),
    ("304", ["GET"], b"HTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n", ["304 none", "end 39"]),
    (
        "100 does not answer the HEAD",
        ["HEAD", "GET"],
        INTERIM,
        ["100 none", "end 25", "200 none", "end 63", "200 length", "body b'x'", "end 102"],
    ),
    (
        "chunked with trailers",
        ["GET"],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n",
        ["200 chunked", "body b'hi'", "end 65 a=b"],
    ),
    (
        "101",
        ["GET"],
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x00",
        ["101 tunnel", r"websocket at 56 b'\x81\x00'"],
    ),
    (
        "CONNECT accepted",
        ["CONNECT"],
        b"HTTP/1.1 200 Connection established\r\nContent-Length: 3\r\n\r\n" + JSON,
        ["200 tunnel", f"connect at 58 {JSON!r}"],
    ),
    (
        "CONNECT refused",
        ["CONNECT"],
        b"HTTP/1.1 407 Auth\r\nContent-Length: 2\r\n\r\nno",
        ["407 length", "body b'no'", "end 42"],
    ),
    (
        "lengths differ",
        ["GET"],
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nabc",
        ["200 until-close ambiguous", "body b'abc'", "end 60"],
    ),
    (
        "unknown coding",
        ["GET"],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        ["200 until-close ambiguous", "body b'abc'", "end 47"],
    ),
    (
        "an upgrade on offer only",
        ["GET"],
        b"HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n{",
        ["200 none", "end 52", "malformed at 52 b'{': no HTTP message starts so"],
    ),
    ("Stratum", ["GET"], JSON, [f"malformed at 0 {JSON!r}: no HTTP message starts so"]),
    (
        "cut",
        ["GET"],
        b"HTTP/1.1 2",
        ["malformed at 0 b'HTTP/1.1 2': closed in the middle of a message"],
    ),
    (
        "cut body",
        ["GET"],
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi",
        ["200 length", "body b'hi'", "malformed at 40 b'': closed in the middle of a message"],
    ),
]


@pytest.mark.parametrize(
    ("name", "methods", "stream", "said"), RESPONSES, ids=[r[0] for r in RESPONSES]
)
def test_responses(
    name: str, methods: list[str], stream: bytes, said: list[str], splits: Splits
) -> None:
    """A response stream gives the same events in any segments, its requests being known."""
    for chunks in splits(stream):
        reader = ResponseReader()
        for method in methods:
            reader.expect(method)
        events: list[HttpEvent] = []
        for chunk in chunks:
            if reader.done and isinstance(last := events[-1], Upgraded):
                events[-1] = Upgraded(last.remaining + chunk, last.offset, last.protocol)
            elif reader.done and isinstance(last, Malformed):
                events[-1] = Malformed(last.reason, last.offset, last.rest + chunk)
            events += reader.feed(chunk)
        events += reader.end()
        assert _said(events) == said


def test_fast_and_slow_heads_agree() -> None:
    """A GET in one segment gives the head that the same GET in two segments gives."""
    (fast, *_), (slow, *_) = _requests(GET), _requests(GET[:9], GET[9:])
    assert fast == slow
    assert isinstance(fast, RequestHead)
    assert fast.headers == (("host", "Pool.Example:3333"), ("user-agent", "x"))
    assert (fast.version, fast.framing, fast.raw, fast.offset) == ("1.1", Framing.NONE, GET, 0)


@given(
    st.sampled_from([b"GET", b"HEAD", b"GETS"]),
    st.sampled_from([b"/", b"/a b", b"/a\tb", b"/a\nb", b"/a\rb", b"*", b"http://x/"]),
    st.lists(
        st.sampled_from(
            [
                b"Host: a",
                b"host: b:1",
                b"Host:c",
                b" x",
                b"\ty",
                b"Upgrade: q",
                b"Content-Length: 0",
                b"content-length : 3",
                b"Transfer-Encoding: chunked",
                b"X: y",
                b"Host : z",
                b"nothing",
                b"X: a\rHost: d",
                b"Host: e\rX: f",
            ]
        ),
        max_size=5,
    ),
    st.sampled_from([b"\r\n", b"\n"]),
)
@settings(max_examples=200, deadline=None)
def test_fast_path_never_differs(
    method: bytes, target: bytes, lines: list[bytes], newline: bytes
) -> None:
    """Whatever the head, whole or in two segments, it is read the same."""
    stream = newline.join([method + b" " + target + b" HTTP/1.1", *lines, b"", b""])
    assert _said(_requests(stream)) == _said(_requests(stream[:-1], stream[-1:]))


def test_offsets_of_body_data() -> None:
    """Body data says where in the stream it was, chunk framing not counted as body."""
    stream = CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    found = [event for event in _requests(GET, stream) if isinstance(event, BodyData)]
    for event in found:
        assert (GET + stream)[event.offset : event.offset + len(event.data)] == event.data
    assert b"".join(event.data for event in found) == b"abcde"


def test_upgrade_hands_over_what_is_held() -> None:
    """After the server's 101 the client's stream is not HTTP, bytes already waiting included."""
    reader = RequestReader()
    ask = b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n"
    reader.feed(ask)
    assert reader.feed(b"abc") == []
    assert (reader.partial, reader.held) == (True, 3)
    assert reader.upgrade() == [Upgraded(b"abc", len(ask), "websocket")]
    assert reader.done
    assert reader.feed(b"more") == reader.upgrade() == []


def test_partial() -> None:
    """A reader says whether it is between messages."""
    reader = RequestReader()
    assert not reader.partial
    for cut in (POST[:3], POST[3:30], POST[30:-1]):
        reader.feed(cut)
        assert reader.partial
    reader.feed(POST[-1:])
    assert not reader.partial
    assert reader.end() == []


@pytest.mark.parametrize(
    ("reason", "start", "filler"),
    [
        ("start line too long", b"GET /", b"a"),
        ("head too long", b"GET / HTTP/1.1\r\n", b"a: b\r\n"),
        ("head too long", b"GET / HTTP/1.1\r\n", b" "),
        ("chunk size line too long", CHUNKED + b"1;", b"a"),
        ("trailers too long", CHUNKED + b"0\r\n", b"a: b\r\n"),
    ],
)
@pytest.mark.parametrize("size", [1, 1400])
def test_endless_sections(reason: str, start: bytes, filler: bytes, size: int) -> None:
    """What never ends is given up at its limit, and no more than that is held."""
    reader = RequestReader()
    reader.feed(start)
    piece = filler * size
    events: list[HttpEvent] = []
    while not events:
        assert reader.held <= MAX_HEAD + len(piece)
        events = reader.feed(piece)
    assert isinstance(events[0], Malformed)
    assert events[0].reason == reason


def test_many_headers() -> None:
    """The first 256 fields are kept."""
    head = _requests(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 1000 + b"\r\n")[0]
    assert isinstance(head, RequestHead)
    assert len(head.headers) == 256


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (b"Content-Length: 26", ["POST / :0", f"body {JSON!r}", "end "]),
        (b"transfer-encoding : chunked", ["POST / :0", "malformed at "]),
        (b"Content-Length: 1\r\nContent-Length: 2", ["malformed at 0 "]),
        (b"Host: pool.example\r\nContent-Length: 26", ["POST / pool.example:0", "body", "end "]),
    ],
)
def test_what_decides_counts_behind_many_fields(fields: bytes, said: list[str]) -> None:
    """What says whom a message is for, and how it is read, is obeyed behind other fields."""
    found = _said(
        _requests(b"POST / HTTP/1.1\r\n" + b"a: b\r\n" * 1000 + fields + b"\r\n\r\n" + JSON)
    )
    assert len(found) == len(said)
    assert all(line.startswith(start) for line, start in zip(found, said, strict=True))


def test_unasked_responses_read_as_get() -> None:
    """Joined midstream, a response is read as a GET's."""
    events = ResponseReader().feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
    assert _said(events) == ["200 length", "body b'x'", "end 39"]


@given(st.lists(st.binary(max_size=60), max_size=6), st.booleans())
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_answered(chunks: list[bytes], request: bool) -> None:
    """Arbitrary bytes never raise."""
    reader = RequestReader() if request else ResponseReader()
    for chunk in chunks:
        reader.feed(chunk)
    reader.end()


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_any_segmentation_of_any_mixture(data: st.DataObject) -> None:
    """Messages in any order, damaged or not, read the same in any segments."""
    streams = [stream for _, stream, _ in REQUESTS]
    stream = b"".join(data.draw(st.lists(st.sampled_from(streams), min_size=1, max_size=3)))
    damaged = bytearray(stream)
    for _ in range(data.draw(st.integers(0, 2))):
        damaged[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    stream = bytes(damaged)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert _said(_requests(*pieces)) == _said(_requests(stream))


@pytest.mark.programs
def test_real_curl(listener: socket.socket) -> None:
    """A real client's upload over a real socket is read, body included."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/json_rpc"
    client = subprocess.Popen(
        [program, "-s", "-H", "Transfer-Encoding: chunked", "-d", "@-", url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    events: list[HttpEvent] = []
    reader = RequestReader()
    try:
        assert client.stdin is not None
        client.stdin.write(JSON)
        client.stdin.close()
        with listener.accept()[0] as connection:
            connection.settimeout(10)
            while not any(isinstance(event, MessageEnd) for event in events):
                events += reader.feed(connection.recv(64))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        assert client.stdout is not None
        assert client.stdout.read() == b"ok"
    finally:
        client.kill()
        client.wait()
        assert client.stdout is not None
        client.stdout.close()
    head = events[0]
    assert isinstance(head, RequestHead)
    assert (head.method, head.host, head.framing) == ("POST", "127.0.0.1", Framing.CHUNKED)
    body = b"".join(event.data for event in events if isinstance(event, BodyData))
    assert body == JSON.strip()


@pytest.mark.corpora
@pytest.mark.parametrize(
    ("name", "clients", "servers"),
    [
        (
            "zeek/http__get.pcap",
            ["GET /download/CHANGES.bro-aux.txt bro.org:0"],
            ["200 length"],
        ),
        ("zeek/http__100-continue.pcap", ["POST"], ["100 none", "200"]),
        ("arkime/http-500-head.pcap", ["HEAD"], ["500 none"]),
        ("arkime/http-no-length.pcap", ["GET"], ["200 until-close"]),
        ("zeek/http__261__variant-09-te_obs_fold.pcap", ["POST"], []),
    ],
)
def test_captured(name: str, clients: list[str], servers: list[str], tcp_streams: Streams) -> None:
    """Captured conversations give the messages that are in them."""
    for (source, destination), stream in tcp_streams(name).items():
        if source > destination:
            said = _said(_requests(stream))
            assert [line for line in said if line.startswith(tuple(clients))], said
            assert not any(line.startswith("malformed") for line in said), said
        elif servers:
            reader = ResponseReader()
            reader.expect(clients[0].split()[0])
            said = _said([*reader.feed(stream), *reader.end()])
            assert said[0].startswith(servers[0]), said
            assert any(line.startswith(servers[-1]) for line in said), said
