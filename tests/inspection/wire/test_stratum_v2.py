"""Stratum V2 frames, built from the specification's tables, and what only resembles them."""

import math
import struct
from collections.abc import Callable, Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.inspection.wire.reader import Malformed
from davylamp.inspection.wire.stratum_v2 import MAX_FRAME, Sv2Message, Sv2Reader

type Splits = Callable[[bytes], Iterator[list[bytes]]]

TARGET = bytes(range(32))
TIME = 1_700_000_000
VERSION = 0x2000_E000
NBITS = 0x1702_6FF5


def _text(text: str) -> bytes:
    raw = text.encode()
    return bytes((len(raw),)) + raw


def _frame(kind: int, *parts: bytes, channel: bool = False, extension: int = 0) -> bytes:
    body = b"".join(parts)
    head = struct.pack("<HB", extension | channel << 15, kind)
    return head + len(body).to_bytes(3, "little") + body


def _setup(
    protocol: int = 0,
    versions: tuple[int, int] = (2, 2),
    host: str = "Pool.Example.",
    device: tuple[str, ...] = ("Bitmain", "S9i 13.5", "braiins-os", "abc"),
    flags: int = 1,
) -> bytes:
    head = struct.pack("<BHHI", protocol, *versions, flags)
    port = struct.pack("<H", 34254)
    return _frame(0, head, _text(host), port, *map(_text, device))


def _words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def _rate(value: float) -> bytes:
    return struct.pack("<f", value)


OPEN = _frame(0x10, _words(1), _text("acct.w1"), _rate(1e12), TARGET)
OPEN_EXTENDED = _frame(0x13, _words(1), _text("acct.w1"), _rate(0), TARGET, b"\x08\x00")
SUBMIT = _frame(0x1A, _words(1, 0, 7, 0xDEADBEEF, TIME, VERSION), channel=True)
SUBMIT_EXTENDED = _frame(0x1B, _words(1, 0, 7, 9, TIME, VERSION), _text("12345678"), channel=True)
SUCCESS = _frame(0x01, b"\x02\x00", _words(0))
JOB = _frame(0x15, _words(1, 7), b"\x00", _words(VERSION), TARGET, channel=True)
JOB_NOW = _frame(0x15, _words(1, 7), b"\x01", _words(TIME, VERSION), TARGET, channel=True)
EXTENDED_JOB = _frame(
    0x1F,
    _words(1, 7),
    b"\x00",
    _words(VERSION),
    b"\x01",
    b"\x02" + TARGET * 2,
    b"\x3a\x00" + bytes(58),
    b"\x40\x00" + bytes(64),
    channel=True,
)
PREV_HASH = _frame(0x20, _words(1, 7), TARGET, _words(TIME, NBITS), channel=True)

CLIENT: list[tuple[str, bytes, dict[str, object]]] = [
    (
        "SetupConnection",
        _setup(),
        {
            "protocol": "mining",
            "host": "pool.example",
            "port": 34254,
            "device": ("Bitmain", "S9i 13.5", "braiins-os", "abc"),
        },
    ),
    ("SetupConnection", _setup(host="", device=("x", "", "", "")), {"device": ("x", "", "", "")}),
    ("SetupConnection", _setup(1, flags=0xFFFFFFFF), {"protocol": "job-declaration"}),
    ("SetupConnection", _setup(2, (1, 3)), {"protocol": "template-distribution"}),
    ("OpenStandardMiningChannel", OPEN, {"user": "acct.w1"}),
    ("OpenExtendedMiningChannel", OPEN_EXTENDED, {"user": "acct.w1"}),
    ("UpdateChannel", _frame(0x16, _words(1), _rate(1e13), TARGET, channel=True), {}),
    ("CloseChannel", _frame(0x18, _words(1), _text("bye"), channel=True), {}),
    ("SubmitSharesStandard", SUBMIT, {}),
    ("SubmitSharesExtended", SUBMIT_EXTENDED, {}),
    (
        "SetCustomMiningJob",
        _frame(
            0x22,
            _words(1, 2),
            _text("token"),
            _words(VERSION),
            TARGET,
            _words(TIME, NBITS, 2),
            b"\x03abc",
            _words(0xFFFFFFFF),
            b"\x02\x00ab",
            _words(0),
            b"\x01" + TARGET,
        ),
        {},
    ),
]
SERVER: list[tuple[str, bytes, dict[str, object]]] = [
    ("SetupConnection.Success", SUCCESS, {}),
    (
        "SetupConnection.Error",
        _frame(0x02, _words(0), _text("unsupported-protocol")),
        {"error": "unsupported-protocol"},
    ),
    ("ChannelEndpointChanged", _frame(0x03, _words(1), channel=True), {}),
    (
        "Reconnect",
        _frame(0x04, _text("other.example"), b"\x0d\x05"),
        {"host": "other.example", "port": 0x050D},
    ),
    (
        "OpenStandardMiningChannel.Success",
        _frame(0x11, _words(1, 2), TARGET, _text("abcd"), _words(1)),
        {},
    ),
    (
        "OpenMiningChannel.Error",
        _frame(0x12, _words(1), _text("unknown-user")),
        {"error": "unknown-user"},
    ),
    (
        "OpenExtendedMiningChannel.Success",
        _frame(0x14, _words(1, 2), TARGET, b"\x08\x00", _text("abcd"), _words(1)),
        {},
    ),
    (
        "OpenExtendedMiningChannel.Success",
        _frame(0x14, _words(1, 2), TARGET, b"\x08\x00", _text("abcd")),
        {},
    ),
    ("NewMiningJob", JOB, {}),
    ("NewMiningJob", JOB_NOW, {}),
    ("NewMiningJob", JOB.replace(b"\x80\x15", b"\x80\x1e"), {}),
    (
        "UpdateChannel.Error",
        _frame(0x17, _words(1), _text("invalid-channel-id"), channel=True),
        {"error": "invalid-channel-id"},
    ),
    ("CloseChannel", _frame(0x18, _words(1), _text(""), channel=True), {}),
    ("SetExtranoncePrefix", _frame(0x19, _words(1), _text("abcd"), channel=True), {}),
    ("SubmitShares.Success", _frame(0x1C, _words(1, 2, 3), bytes(8), channel=True), {}),
    (
        "SubmitShares.Error",
        _frame(0x1D, _words(1, 2), _text("stale-share"), channel=True),
        {"error": "stale-share"},
    ),
    ("NewExtendedMiningJob", EXTENDED_JOB, {}),
    ("SetNewPrevHash", PREV_HASH, {}),
    ("SetTarget", _frame(0x21, _words(1), TARGET, channel=True), {}),
    ("SetCustomMiningJob.Success", _frame(0x23, _words(1, 2, 3)), {}),
    (
        "SetCustomMiningJob.Error",
        _frame(0x24, _words(1, 2), _text("pool-payout-script-missing")),
        {"error": "pool-payout-script-missing"},
    ),
    ("SetGroupChannel", _frame(0x25, _words(9), b"\x02\x00", _words(1, 2)), {}),
]
CONCLUSIVE = {
    "SetupConnection",
    "OpenStandardMiningChannel",
    "OpenExtendedMiningChannel",
    "SubmitSharesStandard",
    "SubmitSharesExtended",
    "NewMiningJob",
    "NewExtendedMiningJob",
    "SetNewPrevHash",
}
MESSAGES = [(*row, True) for row in CLIENT] + [(*row, False) for row in SERVER]


def _read(chunks: list[bytes], *, from_client: bool) -> list[Sv2Message | Malformed]:
    reader = Sv2Reader(from_client=from_client)
    return [message for chunk in chunks for message in reader.feed(chunk)]


@pytest.mark.parametrize(
    ("name", "stream", "fields", "from_client"), MESSAGES, ids=[row[0] for row in MESSAGES]
)
def test_messages(
    name: str, stream: bytes, fields: dict[str, object], from_client: bool, splits: Splits
) -> None:
    """Each message of the mining protocol is read from its first to its last byte, in any split."""
    kind = stream[2]
    expected = Sv2Message(name, kind, 0, len(stream), name in CONCLUSIVE)
    for chunks in splits(stream):
        (message,) = _read(chunks, from_client=from_client)
        assert isinstance(message, Sv2Message)
        for field, value in fields.items():
            assert getattr(message, field) == value
        plain = msgspec.structs.replace(
            message, protocol="", host="", port=0, device=(), user="", error=""
        )
        assert plain == expected


@pytest.mark.parametrize(
    ("name", "stream", "fields", "from_client"), MESSAGES, ids=[row[0] for row in MESSAGES]
)
def test_a_byte_more_or_less_is_no_message(
    name: str, stream: bytes, fields: dict[str, object], from_client: bool
) -> None:
    """A body with a byte too many or too few for its layout is refused, whatever the header."""
    for body in (stream[6:] + b"\x00", stream[6:-1]):
        changed = stream[:3] + len(body).to_bytes(3, "little") + body
        (message,) = _read([changed + bytes(40)], from_client=from_client)[:1]
        assert isinstance(message, Malformed)


def test_session_in_one_segment(splits: Splits) -> None:
    """Several frames in a segment are read one after the other, each at its place."""
    frames = [_setup(), OPEN, SUBMIT, SUBMIT_EXTENDED]
    stream = b"".join(frames)
    for chunks in splits(stream):
        found = _read(chunks, from_client=True)
        assert [(m.offset, m.end) for m in found if isinstance(m, Sv2Message)] == [
            (sum(map(len, frames[:n])), sum(map(len, frames[: n + 1]))) for n in range(4)
        ]


def test_joined_in_the_middle(splits: Splits) -> None:
    """A pool's jobs and a miner's shares are conclusive without the connection's beginning."""
    for stream, from_client in ((JOB + PREV_HASH, False), (SUBMIT + SUBMIT, True)):
        for chunks in splits(stream):
            found = _read(chunks, from_client=from_client)
            assert len(found) == 2
            assert all(isinstance(m, Sv2Message) and m.conclusive for m in found)


UNKNOWN = [
    ("extension", _frame(0x00, b"\x01\x02\x03", extension=0x0001)),
    ("extension without a body", _frame(0x00, extension=0x4001)),
    ("newer type", _frame(0x2F, bytes(100))),
    ("newer layout", _frame(0x16, _words(1), bytes(60), channel=True)),
    ("larger than we read", _frame(0x22, bytes(MAX_FRAME + 1))),
]


@pytest.mark.parametrize(("name", "frame"), UNKNOWN, ids=[row[0] for row in UNKNOWN])
def test_unknown_frames(name: str, frame: bytes, splits: Splits) -> None:
    """Once the protocol is certain other frames are stepped over; before, they end the reading."""
    assert isinstance(_read([frame], from_client=True)[0], Malformed)
    stream = _setup() + frame + SUBMIT
    ways = splits(stream) if len(stream) < 1000 else [[stream], [stream[:90], stream[90:]]]
    for chunks in ways:
        found = _read(chunks, from_client=True)
        assert [m.name for m in found if isinstance(m, Sv2Message)] == [
            "SetupConnection",
            "SubmitSharesStandard",
        ]
        assert found[-1].offset == len(stream) - len(SUBMIT)


IMPLAUSIBLE = [
    ("protocol 4", True, _setup(4)),
    ("version 3", True, _setup(0, (3, 3))),
    ("version 1", True, _setup(0, (1, 1))),
    ("version 0", True, _setup(0, (0, 2))),
    ("nameless", True, _setup(host="", device=("", "", "", ""))),
    ("control characters", True, _setup(host="a\x01")),
    ("not UTF-8", True, _setup().replace(b"Pool", b"Po\xffl")),
    ("no user", True, _frame(0x10, _words(1), _text(""), _rate(1), TARGET)),
    ("rate not a number", True, _frame(0x10, _words(1), _text("u"), _rate(math.nan), TARGET)),
    ("negative rate", True, _frame(0x10, _words(1), _text("u"), _rate(-1), TARGET)),
    ("time in 2009", True, _frame(0x1A, _words(1, 0, 7, 9, 1_231_006_505, VERSION))),
    ("version bits 010", True, _frame(0x1A, _words(1, 0, 7, 9, TIME, 0x4000_0000))),
    ("option of two", False, _frame(0x15, _words(1, 7), b"\x02", _words(0, 0, VERSION), TARGET)),
    ("negative target", False, _frame(0x20, _words(1, 7), TARGET, _words(TIME, 0x17800001))),
    ("no target", False, _frame(0x20, _words(1, 7), TARGET, _words(TIME, 0x17000000))),
    ("used version 1", False, _frame(0x01, b"\x01\x00", _words(0))),
    ("wrong side", False, _setup()),
    ("wrong side too", True, JOB),
]
NEIGHBOURS = [
    ("JSON", b'{"id":1,"method":"mining.subscribe","params":[]}\n'),
    ("HTTP", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("TLS", bytes.fromhex("16030100f8010000f40303")),
    ("Modbus/TCP", bytes.fromhex("000000000006010300000001")),
    ("PostgreSQL startup", bytes.fromhex("0000002300030000") + b"user\0me\0"),
    ("PostgreSQL SSLRequest", bytes.fromhex("0000000804d2162f")),
    ("Kafka Produce v2", bytes.fromhex("0000001600000002000000010003") + b"app" + bytes(20)),
    ("Kafka ApiVersions", bytes.fromhex("0000001600120000000000010003") + b"app"),
    ("DNS over TCP", bytes.fromhex("001d00010100000100000000000003")),
    ("MongoDB", bytes.fromhex("3a0000000100000000000000d4070000")),
    ("SMB over TCP", bytes.fromhex("000000d4ff534d4272000000")),
    ("HTTP/2 SETTINGS", bytes.fromhex("000000040000000000")),
    ("length of zero", bytes(64)),
    ("thrift", bytes.fromhex("0000001f8001000100000004")),
]


@pytest.mark.parametrize(
    ("name", "from_client", "stream"), IMPLAUSIBLE, ids=[row[0] for row in IMPLAUSIBLE]
)
def test_implausible(name: str, from_client: bool, stream: bytes, splits: Splits) -> None:
    """A frame that parses, but says what no miner or pool says, is no evidence."""
    for chunks in splits(stream):
        found = _read(chunks, from_client=from_client)
        assert len(found) == 1
        assert isinstance(found[0], Malformed)
        assert found[0].offset == 0


@pytest.mark.parametrize(("name", "stream"), NEIGHBOURS, ids=[row[0] for row in NEIGHBOURS])
@pytest.mark.parametrize("from_client", [True, False])
def test_neighbours(name: str, stream: bytes, from_client: bool, splits: Splits) -> None:
    """Other protocols that begin with small numbers are no message, from either side."""
    for chunks in splits(stream):
        found = _read(chunks, from_client=from_client)
        assert not any(isinstance(message, Sv2Message) for message in found)


def test_memory_is_bounded() -> None:
    """A frame's claim holds nothing before its bytes come, and never more than the limit."""
    reader = Sv2Reader(from_client=True)
    reader.feed(_setup())
    for _ in range(300):
        reader.feed(_frame(0x22, bytes(MAX_FRAME))[:1000])
        assert reader.held <= MAX_FRAME + 6
    reader = Sv2Reader(from_client=True)
    reader.feed(_setup() + b"\x00\x00\x2f\xff\xff\xff")
    for _ in range(16):
        assert not reader.feed(bytes(1 << 20))
        assert reader.held <= 6


@given(
    st.booleans(),
    st.sampled_from([b"", _setup(), JOB, SUCCESS, b"\x00\x80\x1a\x18\x00\x00"]),
    st.lists(st.binary(max_size=40), max_size=8),
)
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_answered(from_client: bool, start: bytes, chunks: list[bytes]) -> None:
    """Arbitrary bytes never raise and read the same in one piece."""
    apart = _read([start, *chunks], from_client=from_client)
    whole = _read([b"".join((start, *chunks))], from_client=from_client)
    assert [(type(m), m.offset) for m in apart] == [(type(m), m.offset) for m in whole]
    assert [m for m in apart if isinstance(m, Sv2Message)] == [
        m for m in whole if isinstance(m, Sv2Message)
    ]
