"""Ways to feed a stream, and streams out of capture files."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import dpkt
import pytest

CORPORA = Path(__file__).parents[4] / "shared" / "corpora" / "benign"

type Splits = Callable[[bytes], Iterator[list[bytes]]]
type Streams = Callable[[str], dict[tuple[int, int], bytes]]


@pytest.fixture
def splits() -> Splits:
    """Yield a stream whole, byte by byte, and split in two at every boundary."""

    def ways(stream: bytes) -> Iterator[list[bytes]]:
        yield [stream]
        yield [stream[n : n + 1] for n in range(len(stream))]
        for cut in range(1, len(stream)):
            yield [stream[:cut], stream[cut:]]

    return ways


@pytest.fixture
def tcp_streams() -> Streams:
    """Read a corpus capture as the bytes of each direction, keyed by source and destination port.

    This is a reassembly for tests: sorted by sequence number, holes closed, the first copy of a
    byte kept.
    """

    def read(name: str) -> dict[tuple[int, int], bytes]:
        if not CORPORA.is_dir():
            pytest.skip(f"no corpora at {CORPORA}")
        pieces: dict[tuple[int, int], dict[int, bytes]] = {}
        for segment in _segments(CORPORA / name):
            ports = pieces.setdefault((segment.sport, segment.dport), {})
            ports.setdefault(segment.seq, bytes(segment.data))
        return {ports: _joined(found) for ports, found in pieces.items()}

    return read


@pytest.fixture
def udp_payloads() -> Callable[[str], list[bytes]]:
    """Read the UDP payloads of a corpus capture, in order."""

    def read(name: str) -> list[bytes]:
        if not CORPORA.is_dir():
            pytest.skip(f"no corpora at {CORPORA}")
        return [
            bytes(packet.data) for packet in _transport(CORPORA / name) if _is(packet, dpkt.udp.UDP)
        ]

    return read


def _is(packet: object, kind: type) -> bool:
    return isinstance(packet, kind)


def _transport(path: Path) -> Iterator[dpkt.Packet]:
    with path.open("rb") as file:
        capture = dpkt.pcap.UniversalReader(file)
        start = {0: 4, 1: 14, 101: 0, 228: 0}[capture.datalink()]  # loopback, Ethernet, raw IP
        for _, frame in capture:
            packet = frame[start:]
            if packet[:1] and packet[0] >> 4 in (4, 6):
                kind = dpkt.ip.IP if packet[0] >> 4 == 4 else dpkt.ip6.IP6
                yield kind(packet).data


def _segments(path: Path) -> Iterator[dpkt.tcp.TCP]:
    for packet in _transport(path):
        if isinstance(packet, dpkt.tcp.TCP) and packet.data:
            yield packet


def _joined(found: dict[int, bytes]) -> bytes:
    out, reached = b"", min(found)
    for seq, data in sorted(found.items()):
        if seq + len(data) > reached:
            out += data[max(0, reached - seq) :]
            reached = seq + len(data)
    return out


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listen on a loopback port for one real client program."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server
