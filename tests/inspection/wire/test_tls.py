"""ClientHellos: built by hand, by OpenSSL, by programs, and as captured from browsers."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from itertools import batched, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.inspection.wire.reader import Malformed
from davylamp.inspection.wire.tls import (
    MAX_EMPTY_RECORDS,
    MAX_HELLO,
    ClientHello,
    ClientHelloReader,
    HelloResult,
)

type Splits = Callable[[bytes], Iterator[list[bytes]]]
type Streams = Callable[[str], dict[tuple[int, int], bytes]]


def _sized(size: int, raw: bytes) -> bytes:
    return len(raw).to_bytes(size) + raw


def _extension(kind: int, body: bytes) -> bytes:
    return kind.to_bytes(2) + _sized(2, body)


def _server_name(*names: bytes, kind: int = 0) -> bytes:
    return _extension(0, _sized(2, b"".join(bytes((kind,)) + _sized(2, name) for name in names)))


def _handshake(*extensions: bytes, ciphers: bytes = b"\x13\x01", version: int = 0x0303) -> bytes:
    body = version.to_bytes(2) + bytes(32) + _sized(1, b"") + _sized(2, ciphers) + _sized(1, b"\0")
    if extensions:
        body += _sized(2, b"".join(extensions))
    return b"\x01" + _sized(3, body)


def _record(fragment: bytes, kind: int = 22, version: int = 0x0301) -> bytes:
    return bytes((kind,)) + version.to_bytes(2) + _sized(2, fragment)


def _read(*chunks: bytes) -> HelloResult:
    reader = ClientHelloReader()
    result: HelloResult = None
    for chunk in chunks:
        result = reader.feed(chunk)
    return result


def _names(stream: bytes) -> tuple[str, ...]:
    result = _read(stream)
    assert isinstance(result, ClientHello)
    return result.server_names


ALPN = _extension(16, _sized(2, _sized(1, b"h2") + _sized(1, b"http/1.1")))
VERSIONS = _extension(43, _sized(1, bytes.fromhex("7a7a03040303")))
FULL = _handshake(_server_name(b"Pool.Example.ORG"), ALPN, VERSIONS, _extension(0xFE0D, b"\0"))
WARNING = _record(b"\x01\x70", kind=21)
# The third of its cipher specs, 010080, is one of SSLv2's own.
SSLV2 = bytes.fromhex("8028 01 0301 000f 0000 0010 000004 000005 010080 000035 0000ff") + bytes(16)

STREAMS = [
    ("one record", _record(FULL)),
    ("two records", _record(FULL[:9]) + _record(FULL[9:])),
    ("a record a byte", b"".join(_record(bytes((byte,))) for byte in FULL)),
    ("empty records between", _record(FULL[:1]) + _record(b"") * 3 + _record(FULL[1:])),
    ("any minor record version", _record(FULL, version=0x03FF)),
    ("warning alert first", WARNING + _record(FULL)),
    ("data after it", _record(FULL) + b"\x14\x03\x03\x00\x01\x01"),
]


@pytest.mark.parametrize(("name", "stream"), STREAMS, ids=[name for name, _ in STREAMS])
def test_framings(name: str, stream: bytes, splits: Splits) -> None:
    """A hello reads the same in any records and any segments."""
    for chunks in splits(stream):
        hello = _read(*chunks)
        assert isinstance(hello, ClientHello), hello
        assert hello.sni == "pool.example.org"
        assert hello.alpn == ("h2", "http/1.1")
        assert (hello.version, hello.version_name) == (0x0304, "TLS 1.3")
        assert hello.ech
        assert hello.extensions == (0, 16, 43, 0xFE0D)


REFUSED = [
    ("HTTP", b"GET / HTTP/1.1\r\n\r\n", "not a TLS handshake record", 0),
    ("JSON", b'{"id":1}\n', "not a TLS handshake record", 0),
    ("SSH", b"SSH-2.0-x\r\n", "not a TLS handshake record", 0),
    ("wrong major version", b"\x16\x04\x01\x00\x05\x01", "not a TLS record version", 0),
    ("long record", b"\x16\x03\x01\xff\xff", "record longer than TLS allows", 0),
    ("ServerHello", _record(b"\x02\0\0\0"), "handshake does not start with a ClientHello", 0),
    ("long hello", _record(b"\x01\x01\x00\x01"), "ClientHello longer than we read", 0),
    ("short hello", _record(b"\x01\x00\x00\x00"), "ClientHello does not parse", 0),
    (
        "odd ciphers",
        WARNING + _record(_handshake(ciphers=b"\x13\x01\x00")),
        "ClientHello does not parse",
        7,
    ),
    ("no ciphers", _record(_handshake(ciphers=b"")), "ClientHello does not parse", 0),
    ("fatal alert", _record(b"\x02\x28", kind=21), "alert instead of a ClientHello", 0),
    ("alert flood", WARNING * 6, "alert instead of a ClientHello", 35),
    ("long alert", _record(b"\x01\x70\x00", kind=21), "alert of a wrong length", 0),
    ("application data", _record(b"hello", kind=23), "not a TLS handshake record", 0),
    ("empty records", _record(b"") * 40, "too many empty records", 5 * MAX_EMPTY_RECORDS),
    ("extensions overrun", _record(_handshake(b"\0\0\0\x09")), "ClientHello does not parse", 0),
    (
        "broken SSLv2",
        b"\x80\x09\x01\x03\x01\x00\xff\x00\x00\x00\x10",
        "ClientHello does not parse",
        0,
    ),
    ("binary", b"\x80\x10\x05", "not a TLS handshake record", 0),
]


@pytest.mark.parametrize(
    ("name", "stream", "reason", "offset"), REFUSED, ids=[row[0] for row in REFUSED]
)
def test_refused(name: str, stream: bytes, reason: str, offset: int, splits: Splits) -> None:
    """What is no ClientHello is refused for the same reason at the same offset in any split."""
    for chunks in splits(stream):
        assert _read(*chunks) == Malformed(reason, offset)


def test_incomplete_hello_waits() -> None:
    """No proper prefix of a hello gives a result, and each may still become one."""
    stream = _record(FULL)
    for cut in range(len(stream)):
        assert _read(stream[:cut]) is None


def test_answers_before_the_record_ends() -> None:
    """The hello's last byte gives the result though its record promises more."""
    stream = _record(FULL + bytes(20))
    for cut in (len(stream) - 20, len(stream) - 1):
        assert isinstance(_read(stream[:cut]), ClientHello)
        assert isinstance(_read(stream[:5], stream[5:cut]), ClientHello)


def test_result_is_final() -> None:
    """Bytes after the result change nothing."""
    reader = ClientHelloReader()
    first = reader.feed(_record(FULL))
    assert reader.feed(_record(_handshake(_server_name(b"other.example")))) is first


def test_large_key_shares() -> None:
    """A hello of the largest size over several full records is read."""
    share = _extension(51, bytes(MAX_HELLO - 200))
    hello = _handshake(_server_name(b"pq.example"), share)
    stream = b"".join(_record(bytes(part)) for part in batched(hello, 1 << 14))
    result = _read(*(stream[n : n + 1400] for n in range(0, len(stream), 1400)))
    assert isinstance(result, ClientHello)
    assert result.sni == "pq.example"


@pytest.mark.parametrize(
    ("name", "extensions", "expected"),
    [
        ("none", (), ()),
        ("empty list", (_extension(0, b""),), ()),
        ("trailing dot", (_server_name(b"pool.example."),), ("pool.example",)),
        ("A-label", (_server_name(b"XN--mnchen-3ya.de"),), ("xn--mnchen-3ya.de",)),
        ("UTF-8", (_server_name("münchen.de".encode()),), (r"m\xc3\xbcnchen.de",)),
        (
            "NUL",
            (_server_name(b"pool.example\0.good.example"),),
            (r"pool.example\x00.good.example",),
        ),
        ("address", (_server_name(b"192.0.2.7"),), ("192.0.2.7",)),
        ("two names", (_server_name(b"a.example", b"b.example"),), ("a.example", "b.example")),
        (
            "twice",
            (_server_name(b"a.example"), _server_name(b"B.example")),
            ("a.example", "b.example"),
        ),
        ("other name type", (_server_name(b"a.example", kind=7),), ()),
        ("empty name", (_server_name(b"", b"a.example"),), ("a.example",)),
        ("long name", (_server_name(b"a" * 300),), ("a" * 255,)),
        ("list cut", (_extension(0, b"\0\x10\0\0\x09a.ex"),), ("a.ex",)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_names(name: str, extensions: tuple[bytes, ...], expected: tuple[str, ...]) -> None:
    """Server names come out lower-case, printable and bounded."""
    assert _names(_record(_handshake(*extensions))) == expected


def test_many_names_are_bounded() -> None:
    """A hello with hundreds of names and protocols keeps the first few."""
    protocols = _extension(16, _sized(2, _sized(1, b"x") * 500))
    stream = _record(_handshake(_server_name(*(b"n%d.example" % n for n in range(200))), protocols))
    result = _read(stream)
    assert isinstance(result, ClientHello)
    assert len(result.server_names) == 8
    assert len(result.alpn) == 32


def test_legacy_version_counts_without_the_extension() -> None:
    """The hello's own version is used when supported_versions is absent or all GREASE."""
    grease = _extension(43, _sized(1, b"\x0a\x0a"))
    for extensions in ((), (grease,)):
        result = _read(_record(_handshake(*extensions, version=0x0302)))
        assert isinstance(result, ClientHello)
        assert result.version_name == "TLS 1.1"


def test_sslv2_compatible_hello(splits: Splits) -> None:
    """The old hello that OpenSSL servers still accept is recognised, without a name."""
    for chunks in splits(SSLV2):
        result = _read(*chunks)
        assert isinstance(result, ClientHello), result
        assert result.version == 0x0301
        assert result.ciphers == (0x0004, 0x0005, 0x0035, 0x00FF)
        assert result.sni == ""


@given(st.binary(max_size=300), st.integers(0, 300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_answered(data: bytes, cut: int) -> None:
    """Arbitrary bytes never raise, and the split does not change the answer."""
    for prefix in (b"", _record(FULL)[:20], _record(FULL)[:60]):
        stream = prefix + data
        assert type(_read(stream)) is type(_read(stream[:cut], stream[cut:]))


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6))
@settings(max_examples=200, deadline=None)
def test_flipped_bytes_are_answered(flips: list[tuple[int, int]]) -> None:
    """A damaged hello never raises, and its JA4 can always be computed."""
    stream = bytearray(_record(FULL))
    for at, value in flips:
        stream[at % len(stream)] = value
    result = _read(bytes(stream))
    if isinstance(result, ClientHello):
        assert len(result.ja4.split("_")) == 3


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_any_segmentation(data: st.DataObject) -> None:
    """Any segmentation of any record split gives the one-piece result."""
    cuts = sorted(data.draw(st.sets(st.integers(1, len(FULL) - 1), max_size=8)))
    stream = b"".join(_record(FULL[a:b]) for a, b in pairwise([0, *cuts, len(FULL)]))
    ends = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=8)))
    assert _read(*(stream[a:b] for a, b in pairwise([0, *ends, len(stream)]))) == _read(
        _record(FULL)
    )


def _openssl_hello(context: ssl.SSLContext, name: str | None) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def test_real_openssl_hello(splits: Splits) -> None:
    """A hello that OpenSSL made carries the name, protocols and versions it was told to send."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    offered = {cipher["id"] & 0xFFFF for cipher in context.get_ciphers()}
    for chunks in splits(_openssl_hello(context, "Gulf.MoneroOcean.stream")):
        hello = _read(*chunks)
        assert isinstance(hello, ClientHello)
        assert hello.sni == "gulf.moneroocean.stream"
        assert hello.alpn == ("h2", "http/1.1")
        assert hello.version_name == "TLS 1.3"
        assert not hello.ech
        assert offered <= set(hello.ciphers)
        assert hello.ja4.startswith(f"t13d{len(hello.ciphers):02}{len(hello.extensions):02}h2_")


def test_real_openssl_tls12_without_name() -> None:
    """A TLS 1.2 client without a name reads as such."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    hello = _read(_openssl_hello(context, None))
    assert isinstance(hello, ClientHello)
    assert (hello.sni, hello.alpn, hello.version_name) == ("", (), "TLS 1.2")
    assert hello.ja4.startswith("t12i")


CLIENTS = [
    ("openssl", ["s_client", "-servername", "pool.example", "-alpn", "h2", "-connect"], ("h2",)),
    ("curl", ["-sk", "--max-time", "5", "--connect-to"], ("h2", "http/1.1")),
]


@pytest.mark.programs
@pytest.mark.parametrize(("program", "arguments", "alpn"), CLIENTS, ids=[c[0] for c in CLIENTS])
def test_real_programs(
    program: str, arguments: list[str], alpn: tuple[str, ...], listener: socket.socket
) -> None:
    """The hello of a real client program over a real socket shows its name and protocols."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    port = listener.getsockname()[1]
    target = f"127.0.0.1:{port}"
    tail = [target] if program == "openssl" else [f"::{target}", "https://pool.example/"]
    client = subprocess.Popen(
        [path, *arguments, *tail],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        reader = ClientHelloReader()
        with listener.accept()[0] as connection:
            connection.settimeout(10)
            while reader.result is None:
                assert reader.feed(connection.recv(4096)) is reader.result
    finally:
        client.kill()
        client.wait()
    hello = reader.result
    assert isinstance(hello, ClientHello)
    assert (hello.sni, hello.alpn) == ("pool.example", alpn)
    assert hello.ja4.startswith("t13d")


@pytest.mark.programs
def test_openssl_without_sni_is_what_xmrig_looks_like() -> None:
    """OpenSSL 3.0 without SNI or ALPN has the fingerprint of an XMRig with default settings."""
    if ssl.OPENSSL_VERSION_INFO[:2] != (3, 0):
        pytest.skip(f"the fingerprint is of OpenSSL 3.0, this is {ssl.OPENSSL_VERSION}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # Undo what Python adds to OpenSSL's defaults: fewer ciphers, and the padding extension.
    context.set_ciphers("DEFAULT:@SECLEVEL=1")
    context.options &= ~0x10  # SSL_OP_TLSEXT_PADDING
    hello = _read(_openssl_hello(context, None))
    assert isinstance(hello, ClientHello)
    assert hello.ja4[:23] == "t13i310900_e8f1e7e78f70"


CAPTURED = [
    # name, ports, SNI, JA4 as published by the capture's own project
    (
        # FoxIO's rust/ja4 snapshot has h2 here; this copy of the capture has the bytes "H2", and
        # the specification keeps a letter's case.
        "arkime/badcurveball.pcap",
        "bad.curveballtest.com",
        "t13d1615H2_46e7e9700bed_45f260be83e2",
        False,
    ),
    ("suricata-verify/ja4-tls__input.pcap", "", "t12i1810s1_27d4652c4487_06a4338d0495", False),
    (
        "arkime/tls-split-client-hello.pcap",  # arkime tests/pcap, with ECH and ML-KEM
        "clients2.google.com",
        "t13d1516h2_8daaf6152771_02713d6af862",
        True,
    ),
    (
        "ndpi/tls_esni_sni_both.pcap",  # nDPI tests/cfgs/default/result
        "these-are-not-the-droids-youre-looking-for.com",
        "t13d031100_55b375c5d22e_77359c92d649",
        True,
    ),
]


@pytest.mark.corpora
@pytest.mark.parametrize(("name", "sni", "ja4", "ech"), CAPTURED, ids=[c[0] for c in CAPTURED])
def test_captured(name: str, sni: str, ja4: str, ech: bool, tcp_streams: Streams) -> None:
    """Captured hellos have the SNI and the JA4 that other implementations published for them."""
    hellos = [_read(stream) for stream in tcp_streams(name).values()]
    found = [hello for hello in hellos if isinstance(hello, ClientHello)]
    assert (sni, ja4, ech) in {(hello.sni, hello.ja4, hello.ech) for hello in found}


@pytest.mark.corpora
def test_captured_chrome_grease(tcp_streams: Streams) -> None:
    """Chrome's GREASE, new in each hello, leaves the two fingerprints that nDPI published."""
    hellos = [_read(stream) for stream in tcp_streams("ndpi/chrome.pcap").values()]
    assert sorted(hello.ja4 for hello in hellos if isinstance(hello, ClientHello)) == (
        ["t13d1516h2_8daaf6152771_9b887d9acb53"] * 3 + ["t13d1516h2_8daaf6152771_e5627efa2ab1"] * 3
    )


@pytest.mark.corpora
def test_captured_behind_connect(tcp_streams: Streams) -> None:
    """A hello inside an HTTP CONNECT tunnel has the fingerprint that FoxIO published."""
    stream = tcp_streams("arkime/https-connect.pcap")[54723, 8080]
    hello = _read(stream.partition(b"\r\n\r\n")[2])
    assert isinstance(hello, ClientHello)
    assert hello.ja4 == "t12i860500_e18388e7f3a3_a1e935682795"


@pytest.mark.corpora
def test_captured_lists(tcp_streams: Streams) -> None:
    """Cipher, extension and signature lists are in wire order, as suricata-verify lists them."""
    hellos = [
        _read(stream)
        for stream in tcp_streams("suricata-verify/ja4-cl-handshake__input.pcap").values()
    ]
    hello = next(hello for hello in hellos if isinstance(hello, ClientHello))
    assert hello.version_name == "TLS 1.2"
    assert hello.ciphers[:4] == (49196, 49200, 159, 52393)
    assert len(hello.ciphers) == 28
    assert hello.extensions == (0, 11, 10, 35, 22, 23, 13)
    assert hello.signature_algorithms[:5] == (1027, 1283, 1539, 2055, 2056)
    assert len(hello.signature_algorithms) == 23
