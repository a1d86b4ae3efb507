"""SSH identification strings, of RFC 4253, of real programs, and near misses."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.inspection.wire.reader import Malformed
from davylamp.inspection.wire.ssh import BannerResult, SshBanner, SshBannerReader

type Splits = Callable[[bytes], Iterator[list[bytes]]]
type Streams = Callable[[str], dict[tuple[int, int], bytes]]


def _read(*chunks: bytes, from_server: bool) -> BannerResult:
    reader = SshBannerReader(from_server=from_server)
    result: BannerResult = None
    for chunk in chunks:
        result = reader.feed(chunk)
    return result


BANNERS = [
    ("RFC example", b"SSH-2.0-billsSSH_3.6.3q3\r\n", SshBanner("2.0", "billsSSH_3.6.3q3", "")),
    (
        "comments",
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n\0\0\5",
        SshBanner("2.0", "OpenSSH_9.2p1", "Debian-2+deb12u3"),
    ),
    ("bare LF", b"SSH-1.99-Cisco-1.25\n", SshBanner("1.99", "Cisco-1.25", "")),
    ("CR CR LF", b"SSH-2.0-x\r\r\n", SshBanner("2.0", "x", "")),
    ("version 1", b"SSH-1.5-1.2.27\n", SshBanner("1.5", "1.2.27", "")),
    ("not ASCII", b"SSH-2.0-\xff\x1b[2J\r\n", SshBanner("2.0", r"\xff\x1b[2J", "")),
    ("long", b"SSH-2.0-" + b"a" * 400 + b"\r\n", SshBanner("2.0", "a" * 255, "")),
]
SERVER_ONLY = [
    (
        "lines first",
        b"Welcome\r\n\r\nSSH is here\nSSH-2.0-x y z\r\n",
        SshBanner("2.0", "x", "y z"),
    ),
    ("never", b"220 mail.example ESMTP\r\n", None),
    ("NUL", b"ab\0cd\n", Malformed("NUL in a line", 0, b"ab\0")),
    ("CR without LF", b"a\r\nb\rc\n", Malformed("CR without LF", 3, b"b\rc")),
    ("too many lines", b"x\n" * 1025, Malformed("too many lines before the banner", 2048, b"x")),
]
REFUSED = [
    ("HTTP", b"GET / HTTP/1.1\r\n", "not an SSH client"),
    ("lines first", b"hello\nSSH-2.0-x\n", "not an SSH client"),
    ("lower case", b"ssh-2.0-x\n", "not an SSH client"),
    ("no version", b"SSH--x\n", "no SSH version"),
    ("no software", b"SSH-2.0\n", "no SSH version"),
]


def _first_refusal(result: BannerResult) -> BannerResult:
    """Keep only the first byte of a malformed line: how many there were depends on the split."""
    match result:
        case Malformed(reason, offset, rest):
            return Malformed(reason, offset, rest[:1])
        case _:
            return result


@pytest.mark.parametrize("from_server", [True, False])
@pytest.mark.parametrize(("name", "stream", "banner"), BANNERS, ids=[b[0] for b in BANNERS])
def test_banners(
    name: str, stream: bytes, banner: SshBanner, from_server: bool, splits: Splits
) -> None:
    """A banner reads the same from either side in any segments."""
    for chunks in splits(stream):
        assert _read(*chunks, from_server=from_server) == banner


@pytest.mark.parametrize(
    ("name", "stream", "expected"), SERVER_ONLY, ids=[s[0] for s in SERVER_ONLY]
)
def test_server_lines(name: str, stream: bytes, expected: BannerResult, splits: Splits) -> None:
    """A server may send bounded lines first, and nothing that OpenSSH would refuse."""
    for chunks in splits(stream):
        result = _read(*chunks, from_server=True)
        assert _first_refusal(result) == _first_refusal(expected)


@pytest.mark.parametrize(("name", "stream", "reason"), REFUSED, ids=[r[0] for r in REFUSED])
def test_clients_refused(name: str, stream: bytes, reason: str, splits: Splits) -> None:
    """A client that does not begin with its banner is not SSH."""
    for chunks in splits(stream):
        result = _read(*chunks, from_server=False)
        assert isinstance(result, Malformed)
        assert result.reason == reason


def test_refused_bytes_are_handed_back() -> None:
    """The refused line and all behind it can be looked at as something else."""
    assert _read(b"\r\n", b"a\0b\nc", from_server=True) == Malformed("NUL in a line", 2, b"a\0b\nc")


def test_client_is_refused_at_its_first_wrong_byte() -> None:
    """No newline is needed to see that a client does not speak SSH."""
    reader = SshBannerReader(from_server=False)
    assert reader.feed(b"SS") is None
    assert reader.feed(b"L") == Malformed("not an SSH client", 0, b"SSL")


@pytest.mark.parametrize("size", [1, 100, 8192, 20_000])
def test_endless_line(size: int) -> None:
    """A line that never ends is given up at 8 KiB however it arrives."""
    reader = SshBannerReader(from_server=True)
    fed = 0
    while reader.feed(b"a" * size) is None:
        fed += size
        assert fed <= 8192
    assert isinstance(reader.result, Malformed)
    assert reader.result.reason == "line too long"


@given(st.lists(st.binary(max_size=40), max_size=8), st.booleans())
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_answered(chunks: list[bytes], from_server: bool) -> None:
    """Arbitrary bytes never raise and read the same in one piece."""
    apart = _read(*chunks, from_server=from_server)
    whole = _read(b"".join(chunks), from_server=from_server)
    assert type(apart) is type(whole)
    if not isinstance(whole, Malformed):
        assert apart == whole


@pytest.mark.programs
def test_real_client(listener: socket.socket) -> None:
    """The banner of a real ssh client over a real socket is read."""
    program = shutil.which("ssh")
    if program is None:
        pytest.skip("ssh is not installed")
    port = str(listener.getsockname()[1])
    client = subprocess.Popen(
        [program, "-F", "none", "-o", "BatchMode=yes", "-p", port, "127.0.0.1"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        reader = SshBannerReader(from_server=False)
        with listener.accept()[0] as connection:
            connection.settimeout(10)
            while reader.result is None:
                reader.feed(connection.recv(64))
    finally:
        client.kill()
        client.wait()
    assert isinstance(reader.result, SshBanner)
    assert reader.result.version == "2.0"
    assert reader.result.software.startswith("OpenSSH_")


@pytest.mark.corpora
@pytest.mark.parametrize(
    "name",
    [
        "zeek/ssh__ssh_version_199.pcap",
        "zeek/ssh__ssh_kex_curve25519.pcap",
        "zeek/ssh__server-pre-banner-data.pcap",
        "suricata-verify/ssh-hassh__input.pcap",
    ],
)
def test_captured(name: str, tcp_streams: Streams) -> None:
    """Both sides of captured SSH connections show their banners."""
    for (source, destination), stream in tcp_streams(name).items():
        result = _read(stream, from_server=source < destination)
        assert isinstance(result, SshBanner), (source, destination, stream[:80])
        assert result.version in ("2.0", "1.99")
