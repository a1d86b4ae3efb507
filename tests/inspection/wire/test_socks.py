"""SOCKS 4, 4a and 5, both directions, pipelined or not, and what is none of them."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.inspection.wire.reader import Malformed
from davylamp.inspection.wire.socks import (
    BIND,
    CONNECT,
    SocksClientReader,
    SocksReply,
    SocksRequest,
    SocksServerReader,
)

type Splits = Callable[[bytes], Iterator[list[bytes]]]
type Streams = Callable[[str], dict[tuple[int, int], bytes]]

LINE = b'{"id":1,"method":"mining.subscribe","params":[]}\n'
NAME = b"\x05\x01\x00\x03\x0cPool.Example\x0d\x05"
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::7")


def _read[T: msgspec.Struct](
    reader: SocksClientReader | SocksServerReader, chunks: list[bytes]
) -> SocksRequest | SocksReply | Malformed | None:
    """Feed chunks, and hand those behind the result to its rest, as a caller does."""
    behind = b""
    for chunk in chunks:
        if reader.result is not None:
            behind += chunk
        else:
            reader.feed(chunk)
    result = reader.result
    return None if result is None else msgspec.structs.replace(result, rest=result.rest + behind)


def _request(
    stream: bytes,
    host: str = "pool.example",
    *,
    version: int = 5,
    is_name: bool = True,
    user: str = "",
) -> SocksRequest:
    end = len(stream) - len(LINE)
    return SocksRequest(version, CONNECT, host, 3333, is_name, user, end, LINE)


REQUESTS = [
    ("no authentication", b"\x05\x01\x00" + NAME, {}),
    ("three methods", b"\x05\x03\x00\x01\x02" + NAME, {}),
    ("user and password", b"\x05\x02\x00\x02\x01\x03bob\x06secret" + NAME, {"user": "bob"}),
    ("empty password", b"\x05\x01\x02\x01\x03bob\x00" + NAME, {"user": "bob"}),
    (
        "IPv4",
        b"\x05\x01\x00\x05\x01\x00\x01\xc6\x33\x64\x07\x0d\x05",
        {"host": "198.51.100.7", "is_name": False},
    ),
    (
        "IPv6",
        b"\x05\x01\x00\x05\x01\x00\x04" + V6 + b"\x0d\x05",
        {"host": "2001:db8::7", "is_name": False},
    ),
    (
        "reserved byte set",
        b"\x05\x01\x00\x05\x01\x07\x03\x0dpool.example.\x0d\x05",
        {},
    ),
    (
        "version 4",
        b"\x04\x01\x0d\x05\xc6\x33\x64\x07me\x00",
        {"host": "198.51.100.7", "is_name": False, "version": 4, "user": "me"},
    ),
    (
        "version 4a",
        b"\x04\x01\x0d\x05\x00\x00\x00\x01\x00POOL.example\x00",
        {"version": 4},
    ),
    (
        "version 4 to 0.0.0.0",
        b"\x04\x01\x0d\x05\x00\x00\x00\x00\x00",
        {"host": "0.0.0.0", "is_name": False, "version": 4},
    ),
]


@pytest.mark.parametrize(("name", "opening", "fields"), REQUESTS, ids=[r[0] for r in REQUESTS])
def test_requests(name: str, opening: bytes, fields: dict[str, object], splits: Splits) -> None:
    """A request and the line pipelined behind it read the same in any segments."""
    stream = opening + LINE
    expected = _request(stream, **fields)  # type: ignore[arg-type]
    for chunks in splits(stream):
        assert _read(SocksClientReader(), chunks) == expected


NOT_CLIENTS = [
    ("HTTP", b"GET / HTTP/1.1\r\n", "not a SOCKS version"),
    ("TLS", b"\x16\x03\x01\x02\x00", "not a SOCKS version"),
    ("no method", b"\x05\x00\x05\x01", "no SOCKS method offered"),
    ("no request behind the greeting", b"\x05\x01\x00GET / HT", "not a SOCKS5 request"),
    ("command 9", b"\x05\x01\x00\x05\x09\x00\x03", "not a SOCKS command"),
    ("address type 2", b"\x05\x01\x00\x05\x01\x00\x02" + bytes(9), "not a SOCKS address type"),
    ("GSS-API", b"\x05\x01\x01\x01\x01\x00\x05token", "GSS-API hides the request"),
    ("version 4 command 3", b"\x04\x03\x0d\x05", "not a SOCKS command"),
    ("version 4a without host", b"\x04\x01\0\1\0\0\0\1\0\0", "no host in a SOCKS4a request"),
    ("endless user", b"\x04\x01\0\1\1\1\1\1" + b"a" * 600, "SOCKS4 text too long"),
]


@pytest.mark.parametrize(
    ("name", "stream", "reason"), NOT_CLIENTS, ids=[row[0] for row in NOT_CLIENTS]
)
def test_what_is_no_client(name: str, stream: bytes, reason: str, splits: Splits) -> None:
    """What is no SOCKS request is refused in any segments, and its bytes are handed back."""
    for chunks in splits(stream):
        assert _read(SocksClientReader(), chunks) == Malformed(reason, 0, stream)


REPLIES = [
    ("granted", b"\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00", 0, True, "0.0.0.0", 0, LINE),
    (
        "authenticated, bound to a name",
        b"\x05\x02\x01\x00\x05\x00\x00\x03\x03a.b\x04\x38",
        0,
        True,
        "a.b",
        1080,
        LINE,
    ),
    ("bound to IPv6", b"\x05\x00\x05\x00\x00\x04" + V6 + b"\0\1", 0, True, "2001:db8::7", 1, LINE),
    ("status byte 5", b"\x05\x02\x05\x00\x05\x00\x00\x01\1\2\3\4\0\1", 0, True, "1.2.3.4", 1, LINE),
    ("host unreachable", b"\x05\x00\x05\x04\x00\x01\1\2\3\4\0\1", 4, False, "1.2.3.4", 1, b""),
    ("no method", b"\x05\xff", 255, False, "", 0, b""),
    ("wrong password", b"\x05\x02\x01\x01", 1, False, "", 0, b""),
]


@pytest.mark.parametrize(
    ("name", "stream", "code", "granted", "host", "port", "rest"),
    REPLIES,
    ids=[row[0] for row in REPLIES],
)
def test_replies(
    name: str,
    stream: bytes,
    code: int,
    granted: bool,
    host: str,
    port: int,
    rest: bytes,
    splits: Splits,
) -> None:
    """The tunnel begins behind the reply, whatever address it carries; a refusal has none."""
    expected = SocksReply(5, code, granted, host, port, len(stream), rest)
    for chunks in splits(stream + rest):
        assert _read(SocksServerReader(), chunks) == expected


@pytest.mark.parametrize(("code", "granted"), [(0x5A, True), (0x5B, False), (0x5D, False)])
def test_version_4_replies(code: int, granted: bool, splits: Splits) -> None:
    """A version 4 reply has eight bytes and says yes with 0x5a only."""
    stream = bytes((0, code)) + b"\x04\x38\xc0\x00\x02\x01" + LINE
    for chunks in splits(stream):
        expected = SocksReply(4, code, granted, "192.0.2.1", 1080, 8, LINE)
        assert _read(SocksServerReader(), chunks) == expected


@pytest.mark.parametrize(
    "stream",
    [
        LINE,
        b"\x05\x01\x00",
        b"\x05\x00\x04\x00\x00\x01\x00",
        b"\x00\x59\x00",
        b"\x05\x02\x02\x00",
        b"\x05\x00\x05\x00\x00\x09\x00",
    ],
)
def test_what_is_no_server(stream: bytes, splits: Splits) -> None:
    """What is no SOCKS reply is refused, whole."""
    for chunks in splits(stream):
        result = _read(SocksServerReader(), chunks)
        assert isinstance(result, Malformed)
        assert result.rest == stream


def test_bind_keeps_its_command() -> None:
    """Whoever reads the reply must know of a BIND, whose second reply is in the tunnel."""
    result = SocksClientReader().feed(b"\x05\x01\x00\x05\x02\x00\x01\1\2\3\4\0\1")
    assert isinstance(result, SocksRequest)
    assert result.command == BIND


@given(
    st.sampled_from([SocksClientReader, SocksServerReader]),
    st.sampled_from([b"", b"\x04\x01", b"\x05\x01\x00", b"\x05\x00\x05", b"\x05\x02\x01\x00\x05"]),
    st.lists(st.binary(max_size=60), max_size=8),
)
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_answered(
    kind: type[SocksClientReader | SocksServerReader], start: bytes, chunks: list[bytes]
) -> None:
    """Arbitrary bytes never raise, hold a bounded number, and read the same in one piece."""
    reader = kind()
    apart = _read(reader, [start, *chunks])
    whole = _read(kind(), [b"".join((start, *chunks))])
    assert apart == whole
    assert reader.held <= reader.LIMIT


def test_held_bytes_are_bounded() -> None:
    """The longest openings are answered within the limit, byte by byte."""
    client, server = SocksClientReader(), SocksServerReader()
    for byte in b"\x04\x01\0\1\0\0\0\1" + b"u" * 512 + b"\0" + b"h" * 600:
        client.feed(bytes((byte,)))
        assert client.held <= client.LIMIT
    for byte in b"\x05\x00\x05\x00\x00\x03\xff" + b"h" * 300:
        server.feed(bytes((byte,)))
        assert server.held <= server.LIMIT
    assert isinstance(client.result, Malformed)
    assert isinstance(server.result, SocksReply)


CAPTURED = [
    ("arkime/socks-http-pass.pcap", "93.184.216.119", "testuser", b"GET "),
    ("arkime/socks5-smtp-503.pcap", "010.000.00.003", "", b"EHLO "),
    ("zeek/socks.pcap", "www.osnews.com", "", b"GET "),
    ("zeek/socks-auth.pcap", "192.168.0.2", "bob", b""),
]


@pytest.mark.corpora
@pytest.mark.parametrize(("name", "host", "user", "tunnelled"), CAPTURED)
def test_captured_proxies(
    name: str, host: str, user: str, tunnelled: bytes, tcp_streams: Streams
) -> None:
    """A captured client of a SOCKS proxy is read up to its tunnel, and so is the answer."""
    streams = tcp_streams(name)
    found = []
    for (source, destination), stream in streams.items():
        request = SocksClientReader().feed(stream)
        if isinstance(request, SocksRequest):
            found.append((request.host, request.user))
            assert request.rest.startswith(tunnelled)
            reply = SocksServerReader().feed(streams[destination, source])
            assert isinstance(reply, SocksReply)
            assert reply.granted
    assert found == [(host, user)]


def _proxied(listener: socket.socket, answers: list[bytes]) -> bytes:
    """Play a proxy that answers each of the client's flights in turn; return what it was sent."""
    connection, _ = listener.accept()
    got = b""
    with connection:
        connection.settimeout(10)
        for answer in answers:
            got += connection.recv(4096)
            connection.sendall(answer)
        got += connection.recv(4096)
    return got


CURL = [
    ("socks5h", "", [b"\x05\x00", b"\x05\x00\x00\x01" + bytes(6)], 5, True, ""),
    ("socks5h", "bob:pw@", [b"\x05\x02", b"\x01\x00", b"\x05\0\0\1" + bytes(6)], 5, True, "bob"),
    ("socks5", "", [b"\x05\x00", b"\x05\x00\x00\x01" + bytes(6)], 5, False, ""),
    ("socks4", "bob@", [b"\x00\x5a" + bytes(6)], 4, False, "bob"),
    ("socks4a", "", [b"\x00\x5a" + bytes(6)], 4, True, ""),
]


@pytest.mark.programs
@pytest.mark.parametrize(("scheme", "login", "answers", "version", "is_name", "user"), CURL)
def test_real_client(
    listener: socket.socket,
    scheme: str,
    login: str,
    answers: list[bytes],
    version: int,
    is_name: bool,
    user: str,
) -> None:
    """What curl says to a real listening proxy is read up to the HTTP request in the tunnel."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")
    proxy = f"{scheme}://{login}127.0.0.1:{listener.getsockname()[1]}"
    host = "pool.invalid" if is_name else "127.0.0.9"
    client = subprocess.Popen([program, "-s", "-m", "9", "-x", proxy, f"http://{host}:3333/x"])
    try:
        got = _proxied(listener, answers)
    finally:
        client.terminate()
        client.wait()
    request = SocksClientReader().feed(got)
    assert isinstance(request, SocksRequest)
    assert (request.version, request.host, request.port) == (version, host, 3333)
    assert (request.is_name, request.user) == (is_name, user)
    assert request.rest.startswith(b"GET /x HTTP/1.1\r\n")
    assert got[request.tunnel :] == request.rest
    reply = SocksServerReader().feed(b"".join(answers))
    assert isinstance(reply, SocksReply)
    assert reply.granted
    assert reply.tunnel == len(b"".join(answers))
