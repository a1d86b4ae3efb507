"""Capture files of real mining conversations, written packet by packet."""

import struct
from collections.abc import Iterable

import pytest

MINER, POOL = bytes((10, 0, 0, 5)), bytes((203, 0, 113, 9))
MINER_PORT, POOL_PORT = 40_000, 3333

LOGIN = (
    b'{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"4' + b"8" * 94 + b'",'
    b'"pass":"x","agent":"XMRig/6.21.0 (Linux x86_64)","algo":["rx/0","cn/r"]}}\n'
)
JOB = (
    b'{"jsonrpc":"2.0","id":1,"error":null,"result":{"id":"f1","job":{"blob":"'
    + b"10" * 76
    + b'","job_id":"17","target":"b88d0600","algo":"rx/0","height":3000000,"seed_hash":"'
    + b"ab" * 32
    + b'"},"status":"OK"}}\n'
)
HTTP = b"GET /simple/torch/ HTTP/1.1\r\nHost: pypi.org\r\nAccept: */*\r\n\r\n"

Say = tuple[bool, bytes]
"""Whether the originator speaks, and what it says in one segment."""


def _tcp(said: bytes, seq: int, ack: int, flags: int, *, out: bool, port: int) -> bytes:
    ports = (port, POOL_PORT) if out else (POOL_PORT, port)
    head = struct.pack(">HHIIBBHHH", *ports, seq, ack, 0x50, flags, 64_000, 0, 0)
    ends = (MINER, POOL) if out else (POOL, MINER)
    total = 40 + len(said)
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, total, 1, 0, 64, 6, 0, *ends) + head + said


def conversation(says: Iterable[Say], port: int = MINER_PORT) -> list[bytes]:
    """Return the IP packets of one TCP connection from its SYN on."""
    packets = [
        _tcp(b"", 99, 0, 0x02, out=True, port=port),
        _tcp(b"", 499, 100, 0x12, out=False, port=port),
    ]
    seqs = {True: 100, False: 500}
    for out, said in says:
        packets.append(_tcp(said, seqs[out], seqs[not out], 0x18, out=out, port=port))
        seqs[out] += len(said)
    return packets


def pcap(packets: Iterable[bytes], start: int = 1_600_000_000) -> bytes:
    """Return a raw-IP pcap file, a packet a second."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 101)]
    for index, packet in enumerate(packets):
        parts.append(struct.pack("<IIII", start + index, 0, len(packet), len(packet)) + packet)
    return b"".join(parts)


def fragmented(packet: bytes, size: int = 64) -> list[bytes]:
    """Cut an IPv4 packet into fragments, the last one first."""
    payload = packet[20:]
    fragments = []
    for at in range(0, len(payload), size):
        piece = payload[at : at + size]
        word = at // 8 | (0x2000 if at + size < len(payload) else 0)
        head = packet[:2] + struct.pack(">HHH", 20 + len(piece), 7, word) + packet[8:20]
        fragments.append(head + piece)
    return fragments[::-1]


@pytest.fixture
def mining() -> bytes:
    """Return a capture of one XMRig-like login and the pool's answer."""
    return pcap(conversation([(True, LOGIN), (False, JOB)]))


@pytest.fixture
def benign() -> bytes:
    """Return a capture of one HTTP request."""
    return pcap(conversation([(True, HTTP), (False, b"HTTP/1.1 200 OK\r\n\r\n")]))


@pytest.fixture
def mining_in_fragments() -> bytes:
    """Return the login, its packet cut into IP fragments that arrive last one first."""
    opening, answer, login = conversation([(True, LOGIN)])
    return pcap([opening, answer, *fragmented(login)])


@pytest.fixture
def two_hundred_miners() -> bytes:
    """Return two hundred connections, each with a login and an answer."""
    return pcap(
        packet
        for port in range(20_000, 20_200)
        for packet in conversation([(True, LOGIN), (False, JOB)], port)
    )


@pytest.fixture
def a_hole_before_the_login() -> bytes:
    """Return a login behind a hole in the capture: only the end of the input settles it."""
    packets = conversation([(True, b"x" * 100), (True, LOGIN)])
    del packets[2]
    return pcap(packets)


@pytest.fixture
def escapes() -> bytes:
    """Return a login with a terminal escape sequence in its agent."""
    return pcap(conversation([(True, LOGIN.replace(b"XMRig/", b"\x1b[31mXMRig/"))]))
