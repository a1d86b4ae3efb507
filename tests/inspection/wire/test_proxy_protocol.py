"""PROXY protocol headers of both versions, and streams that have none."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.inspection.wire.proxy_protocol import (
    MAX_HEADER,
    SIGNATURE,
    ProxyHeader,
    ProxyHeaderReader,
)
from davylamp.inspection.wire.reader import Malformed

type Splits = Callable[[bytes], Iterator[list[bytes]]]
type Streams = Callable[[str], dict[tuple[int, int], bytes]]

LINE = b'{"id":1,"method":"login"}\n'
V4 = bytes((192, 0, 2, 1, 198, 51, 100, 7)) + b"\xdc\x04\x0d\x05"
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::1") + socket.inet_pton(
    socket.AF_INET6, "2001:db8::7"
)


def _read(*chunks: bytes) -> ProxyHeader | Malformed | None:
    reader = ProxyHeaderReader()
    behind = b""
    for chunk in chunks:
        if reader.result is not None:
            behind += chunk
        else:
            reader.feed(chunk)
            assert reader.held <= MAX_HEADER
    result = reader.result
    return None if result is None else msgspec.structs.replace(result, rest=result.rest + behind)


def _v2(family: int, body: bytes, command: int = 0x21) -> bytes:
    return SIGNATURE + bytes((command, family)) + len(body).to_bytes(2) + body


def _tlv(kind: int, value: bytes) -> bytes:
    return bytes((kind,)) + len(value).to_bytes(2) + value


FOUR = ("192.0.2.1", 56324, "198.51.100.7", 3333)
SIX = ("2001:db8::1", 56324, "2001:db8::7", 3333)
NONE = ("", 0, "", 0)

HEADERS = [
    (
        "TCP4",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 3333\r\n",
        (1, False, "tcp4", *FOUR, ""),
    ),
    ("TCP6", b"PROXY TCP6 2001:DB8::1 2001:db8:0::7 56324 3333\r\n", (1, False, "tcp6", *SIX, "")),
    ("UNKNOWN", b"PROXY UNKNOWN\r\n", (1, False, "", *NONE, "")),
    ("UNKNOWN with text", b"PROXY UNKNOWN ffff::1 x 0 0\r\n", (1, False, "", *NONE, "")),
    ("v2 IPv4", _v2(0x11, V4), (2, False, "tcp4", *FOUR, "")),
    ("v2 IPv6", _v2(0x21, V6 + b"\xdc\x04\x0d\x05"), (2, False, "tcp6", *SIX, "")),
    ("v2 datagrams", _v2(0x12, V4), (2, False, "udp4", *FOUR, "")),
    (
        "v2 authority",
        _v2(0x11, V4 + _tlv(1, b"h2") + _tlv(2, b"Pool.Example") + _tlv(3, bytes(4))),
        (2, False, "tcp4", *FOUR, "pool.example"),
    ),
    ("v2 broken vector", _v2(0x11, V4 + b"\x02\xff\xffx"), (2, False, "tcp4", *FOUR, "")),
    ("v2 local", _v2(0, b"", 0x20), (2, True, "", *NONE, "")),
    ("v2 local with bytes", _v2(0x11, V4, 0x20), (2, True, "", *NONE, "")),
    ("v2 unspecified", _v2(0, b"abc"), (2, False, "", *NONE, "")),
    ("v2 Unix", _v2(0x31, bytes(216)), (2, False, "unix", *NONE, "")),
]


@pytest.mark.parametrize(("name", "header", "fields"), HEADERS, ids=[h[0] for h in HEADERS])
def test_headers(name: str, header: bytes, fields: tuple[object, ...], splits: Splits) -> None:
    """A header says who talks to whom and where the payload begins, in any segments."""
    expected = ProxyHeader(*fields, len(header), LINE)  # type: ignore[arg-type, call-arg]
    for chunks in splits(header + LINE):
        assert _read(*chunks) == expected


REFUSED = [
    ("JSON", LINE),
    ("HTTP", b"GET / HTTP/1.1\r\n\r\n"),
    ("POST", b"POST / HTTP/1.1\r\n\r\n"),
    ("no protocol", b"PROXY \r\n"),
    ("UDP4", b"PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n"),
    ("names", b"PROXY TCP4 a.example b.example 1 2\r\n"),
    ("wrong family", b"PROXY TCP4 ::1 ::2 1 2\r\n"),
    ("zone", b"PROXY TCP6 fe80::1%a ::2 1 2\r\n"),
    ("port too large", b"PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n"),
    ("port with zeros", b"PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n"),
    ("two blanks", b"PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n"),
    ("too long", b"PROXY UNKNOWN " + b"x" * 93 + b"\r\n"),
    ("version 1 in binary", _v2(0x11, V4, 0x11)),
    ("command 2", _v2(0x11, V4, 0x22)),
    ("family 4", _v2(0x41, V4)),
    ("too short", _v2(0x11, V4[:11])),
]


@pytest.mark.parametrize(("name", "stream"), REFUSED, ids=[row[0] for row in REFUSED])
def test_refused(name: str, stream: bytes, splits: Splits) -> None:
    """What is no PROXY header is refused, and its bytes are handed back."""
    for chunks in splits(stream):
        result = _read(*chunks)
        assert isinstance(result, Malformed)
        assert result.rest == stream


def test_longest_headers() -> None:
    """107 bytes of line and 65,551 of binary header are read; claims alone hold nothing."""
    longest = b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n"
    assert len(longest) == 107
    assert isinstance(_read(longest), ProxyHeader)
    binary = _v2(0x11, V4 + bytes(0xFFFF - len(V4)))
    result = _read(*(binary[at : at + 1000] for at in range(0, len(binary), 1000)))
    assert isinstance(result, ProxyHeader)
    assert result.payload == MAX_HEADER


@given(
    st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11\0"]),
    st.lists(st.binary(max_size=60), max_size=8),
)
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_answered(start: bytes, chunks: list[bytes]) -> None:
    """Arbitrary bytes never raise and read the same in one piece."""
    assert _read(start, *chunks) == _read(b"".join((start, *chunks)))


@pytest.mark.corpora
def test_captured_header(tcp_streams: Streams) -> None:
    """A header that haproxy sent is read."""
    headers = [ProxyHeaderReader().feed(s) for s in tcp_streams("ndpi/haproxy.pcap").values()]
    assert any(isinstance(header, ProxyHeader) for header in headers)


@pytest.mark.programs
def test_real_client(listener: socket.socket) -> None:
    """The header that curl sends over a real socket names that socket's own addresses."""
    program = shutil.which("curl")
    if program is None:
        pytest.skip("curl is not installed")
    port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    client = subprocess.Popen([program, "-s", "-m", "9", "--haproxy-protocol", url])
    try:
        connection, peer = listener.accept()
        with connection:
            connection.settimeout(10)
            got = b""
            while b"\r\n\r\n" not in got:
                got += connection.recv(4096)
    finally:
        client.terminate()
        client.wait()
    header = ProxyHeaderReader().feed(got)
    assert isinstance(header, ProxyHeader)
    assert (header.source, header.source_port) == ("127.0.0.1", peer[1])
    assert (header.destination, header.destination_port) == ("127.0.0.1", port)
    assert header.rest.startswith(b"GET / HTTP/1.1\r\n")
