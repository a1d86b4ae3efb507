"""WebSocket frames and messages: the examples of the RFCs, deflated ones, hostile ones."""

import zlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.inspection.wire.http import (
    HttpEvent,
    RequestReader,
    ResponseReader,
    Upgraded,
)
from davylamp.inspection.wire.http_head import ResponseHead
from davylamp.inspection.wire.reader import Malformed
from davylamp.inspection.wire.websocket import (
    MAX_BUDGET,
    MAX_MESSAGE,
    MAX_RATIO,
    Deflate,
    Opcode,
    WebSocketMessage,
    WebSocketReader,
    permessage_deflate,
)

type Splits = Callable[[bytes], Iterator[list[bytes]]]
type Streams = Callable[[str], dict[tuple[int, int], bytes]]

KEY = bytes.fromhex("37fa213d")
LINE = b'{"type":"submit","params":{"job_id":"1","nonce":"00000000"}}'
LOSING = Deflate(client_takeover=False, server_takeover=False)


def _frame(
    payload: bytes, opcode: int = 1, *, final: bool = True, rsv: int = 0, key: bytes = b""
) -> bytes:
    size = len(payload)
    if size < 126:
        length = bytes((size,))
    else:
        length = b"\x7e" + size.to_bytes(2) if size < 1 << 16 else b"\x7f" + size.to_bytes(8)
    if key:
        length = bytes((length[0] | 0x80,)) + length[1:]
        payload = bytes(byte ^ key[n % 4] for n, byte in enumerate(payload))
    return bytes((final << 7 | rsv << 4 | opcode,)) + length + key + payload


def _read(
    chunks: list[bytes], deflate: Deflate | None = None
) -> list[WebSocketMessage | Malformed]:
    reader = WebSocketReader(deflate, from_client=True)
    return [message for chunk in chunks for message in reader.feed(chunk)]


def _deflated(*messages: bytes, takeover: bool = True, bits: int = 15) -> list[bytes]:
    """Compress messages as RFC 7692 section 7.2.1 says."""
    found = []
    compressor = zlib.compressobj(wbits=-bits)
    for message in messages:
        if not takeover:
            compressor = zlib.compressobj(wbits=-bits)
        data = compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)
        assert data.endswith(b"\x00\x00\xff\xff")
        found.append(data[:-4])
    return found


TEXT, BINARY, PING, PONG = Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG
HELLO = b"Hello"

PLAIN: list[tuple[str, bytes, list[tuple[Opcode, bytes]]]] = [
    ("unmasked", bytes.fromhex("810548656c6c6f"), [(TEXT, HELLO)]),
    ("masked", bytes.fromhex("818537fa213d7f9f4d5158"), [(TEXT, HELLO)]),
    ("fragmented", bytes.fromhex("010348656c 80026c6f"), [(TEXT, HELLO)]),
    (
        "ping, pong",
        bytes.fromhex("890548656c6c6f 8a8537fa213d7f9f4d5158"),
        [(PING, HELLO), (PONG, HELLO)],
    ),
    ("256 bytes", _frame(bytes(range(256)), 2), [(BINARY, bytes(range(256)))]),
    ("length not the shortest", b"\x81\x7e\x00\x05Hello", [(TEXT, HELLO)]),
    ("64-bit length not the shortest", b"\x81\x7f" + (5).to_bytes(8) + b"Hello", [(TEXT, HELLO)]),
    ("empty", b"\x81\x00\x82\x80abcd", [(TEXT, b""), (BINARY, b"")]),
    ("empty fragments", b"\x01\x00\x00\x00\x00\x05Hello\x80\x00", [(TEXT, HELLO)]),
    (
        "control in between",
        _frame(b"Hel", final=False, key=KEY)
        + _frame(b"?", 9, key=b"abcd")
        + _frame(b"lo", 0, key=b"wxyz")
        + _frame(b"\x03\xe8", 8),
        [(PING, b"?"), (TEXT, HELLO), (Opcode.CLOSE, b"\x03\xe8")],
    ),
]


@pytest.mark.parametrize(("name", "stream", "expected"), PLAIN, ids=[row[0] for row in PLAIN])
def test_messages(
    name: str, stream: bytes, expected: list[tuple[Opcode, bytes]], splits: Splits
) -> None:
    """Frames become messages in any segments, the examples of RFC 6455 section 5.7 first."""
    whole = _read([stream])
    for chunks in splits(stream):
        found = _read(chunks)
        assert found == whole
        assert [(m.opcode, m.data) for m in found if isinstance(m, WebSocketMessage)] == expected


def test_long_message(splits: Splits) -> None:
    """64-bit lengths are read, byte by byte too, and the mask stays in step."""
    payload = LINE * 1100
    assert len(payload) > 1 << 16
    stream = _frame(payload, key=KEY) + _frame(LINE, key=b"\0\1\2\3")
    for size in (1, 7, 1460, len(stream)):
        found = _read([stream[at : at + size] for at in range(0, len(stream), size)])
        end = len(stream) - len(LINE) - 6
        assert found == [
            WebSocketMessage(TEXT, payload, 0, end),
            WebSocketMessage(TEXT, LINE, end, len(stream)),
        ]


def test_offsets_span_fragments() -> None:
    """A message's place is from its first frame to its last, a control frame's its own."""
    stream = _frame(b"ab", final=False) + _frame(b"", 9) + _frame(b"cd", 0) + _frame(b"e")
    assert _read([stream]) == [
        WebSocketMessage(PING, b"", 4, 6),
        WebSocketMessage(TEXT, b"abcd", 0, 10),
        WebSocketMessage(TEXT, b"e", 10, 13),
    ]


MALFORMED = [
    ("opcode 3", b"\x83\x00", "reserved opcode"),
    ("opcode b", b"\x8b\x00", "reserved opcode"),
    ("RSV2", b"\xa1\x00", "reserved bit"),
    ("RSV1", b"\xc1\x00", "compressed without an agreement"),
    ("RSV1 on a ping", b"\xc9\x00", "compressed without an agreement"),
    ("long ping", b"\x89\x7e\x00\x7e", "control frame too long or in parts"),
    ("ping in parts", b"\x09\x00", "control frame too long or in parts"),
    ("continuation first", b"\x80\x00", "continuation of nothing"),
    ("text in a text", b"\x01\x00\x81\x00", "message inside a message"),
    ("negative length", b"\x82\x7f\x80" + bytes(7), "frame length"),
    ("JSON", LINE, "reserved opcode"),
    ("HTTP", b"GET / HTTP/1.1\r\n", "reserved opcode"),
]


@pytest.mark.parametrize(("name", "stream", "reason"), MALFORMED, ids=[m[0] for m in MALFORMED])
def test_malformed(name: str, stream: bytes, reason: str, splits: Splits) -> None:
    """What RFC 6455 forbids ends the reading, at the frame's own offset."""
    good = _frame(HELLO)
    for chunks in splits(good + stream):
        found = _read(chunks)
        assert found[0] == WebSocketMessage(TEXT, HELLO, 0, 7)
        last = found[-1]
        assert isinstance(last, Malformed)
        assert len(found) == 2
        assert last.reason == reason
        assert last.offset == (9 if name == "text in a text" else 7)
        assert (good + stream)[last.offset :].startswith(last.rest[:1])


DEFLATED = [
    ("one frame", "c107 f248cdc9c90700", [HELLO]),
    ("two frames", "4103 f248cd 8004 c9c90700", [HELLO]),
    ("same message twice", "c107 f248cdc9c90700 c105 f200110000", [HELLO, HELLO]),
    ("stored block", "c10b 000500faff48656c6c6f00", [HELLO]),
    ("final block", "c108 f348cdc9c9070000", [HELLO]),
    ("two blocks", "c10d f24805000000ffffcac9c90700", [HELLO]),
    ("final block, then a reference", "c108 f348cdc9c9070000 c105 f200110000", [HELLO, HELLO]),
    ("plain between", "c107 f248cdc9c90700 81024142 c105 f200110000", [HELLO, b"AB", HELLO]),
    ("empty between", "c107 f248cdc9c90700 c100 c105 f200110000", [HELLO, b"", HELLO]),
    ("ping between", "4103 f248cd 8900 8004 c9c90700", [b"", HELLO]),
]


@pytest.mark.parametrize(("name", "stream", "expected"), DEFLATED, ids=[d[0] for d in DEFLATED])
def test_deflated(name: str, stream: str, expected: list[bytes], splits: Splits) -> None:
    """Deflated messages inflate in any segments, the examples of RFC 7692 section 7.2.3 first."""
    for chunks in splits(bytes.fromhex(stream)):
        found = _read(chunks, Deflate())
        assert [m.data for m in found if isinstance(m, WebSocketMessage)] == expected


@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("bits", [9, 15])
def test_context_takeover(takeover: bool, bits: int, splits: Splits) -> None:
    """A context lasts if it was agreed that it does, whatever its window; masks change nothing."""
    messages = [LINE, LINE + b"2", b"", LINE * 20]
    data = _deflated(*messages, takeover=takeover, bits=bits)
    stream = b"".join(_frame(d, rsv=4, key=KEY) for d in data)
    for chunks in splits(stream):
        found = _read(chunks, Deflate() if takeover else LOSING)
        assert [m.data for m in found if isinstance(m, WebSocketMessage)] == messages


def test_no_takeover_where_a_reference_needs_it() -> None:
    """A reference to a context that was given up is no DEFLATE: skipped, and so is the rest."""
    reader = WebSocketReader(LOSING, from_client=False)
    one, two = _deflated(LINE, LINE)
    found = reader.feed(_frame(one, rsv=4) + _frame(two, rsv=4) + _frame(one, rsv=4) + _frame(LINE))
    assert [m.data for m in found if isinstance(m, WebSocketMessage)] == [LINE, LINE]
    assert (reader.skipped, reader.lost) == (2, True)


def test_each_direction_has_its_own_agreement() -> None:
    """Takeover is agreed on for client and server apart."""
    deflate = Deflate(client_takeover=False)
    stream = b"".join(_frame(d, rsv=4) for d in _deflated(LINE, LINE))
    assert len(WebSocketReader(deflate, from_client=False).feed(stream)) == 2
    assert len(WebSocketReader(deflate, from_client=True).feed(stream)) == 1


@pytest.mark.parametrize("size", [1460, 1 << 20])
@pytest.mark.parametrize("parts", [1, 5])
def test_too_large_is_skipped(size: int, parts: int) -> None:
    """A message over the limit is counted and not held, and the next one is read."""
    big = b"x" * (MAX_MESSAGE // parts + 1)
    frames = [_frame(big, 0 if n else 2, final=n == parts - 1, key=KEY) for n in range(parts)]
    stream = b"".join(frames) + _frame(LINE, key=KEY)
    reader = WebSocketReader(from_client=True)
    found: list[WebSocketMessage | Malformed] = []
    for at in range(0, len(stream), size):
        found += reader.feed(stream[at : at + size])
        assert reader.held <= MAX_MESSAGE + 14
    assert found == [WebSocketMessage(TEXT, LINE, len(stream) - len(LINE) - 6, len(stream))]
    assert reader.skipped == 1
    assert not reader.partial


def test_largest_message_is_read() -> None:
    """A message of exactly the limit is given."""
    found = _read([_frame(b"x" * MAX_MESSAGE)])
    assert [m.data for m in found if isinstance(m, WebSocketMessage)] == [b"x" * MAX_MESSAGE]


def test_too_large_deflated_keeps_the_context() -> None:
    """A deflated message over the limit is skipped; the next may still refer to it."""
    noise = b"".join(n.to_bytes(4) for n in range(MAX_MESSAGE // 4 + 9)) + LINE
    data = _deflated(noise, LINE)
    reader = WebSocketReader(Deflate(), from_client=True)
    found = reader.feed(_frame(data[0], rsv=4) + _frame(data[1], rsv=4))
    assert [m.data for m in found if isinstance(m, WebSocketMessage)] == [LINE]
    assert (reader.skipped, reader.lost) == (1, False)


def test_bomb_is_defused() -> None:
    """Zeros compressed a thousandfold stop being inflated; plain messages are still read."""
    bomb = _deflated(bytes(MAX_BUDGET + 2 * MAX_RATIO * 64_000 + 1))[0]
    assert len(bomb) < 64_000
    reader = WebSocketReader(Deflate(), from_client=True)
    small = _deflated(LINE)[0]
    found = reader.feed(_frame(bomb, rsv=4) + _frame(small, rsv=4) + _frame(LINE))
    assert [m.data for m in found if isinstance(m, WebSocketMessage)] == [LINE]
    assert (reader.skipped, reader.lost) == (2, True)


def test_padding_within_the_budget_hides_nothing() -> None:
    """A quarter of a megabyte of blanks, again and again, is inflated and read."""
    padded = LINE + b" " * (MAX_MESSAGE - len(LINE))
    data = _deflated(*[padded] * 3)
    found = _read([_frame(d, rsv=4) for d in data], Deflate())
    assert [m.data for m in found if isinstance(m, WebSocketMessage)] == [padded] * 3


AGREEMENTS = [
    ("permessage-deflate", Deflate()),
    ("PerMessage-Deflate; server_no_context_takeover", Deflate(server_takeover=False)),
    (
        "permessage-deflate;client_no_context_takeover ; server_max_window_bits = 10",
        Deflate(client_takeover=False, server_bits=10),
    ),
    ('permessage-deflate; client_max_window_bits="9"', Deflate(client_bits=9)),
    ("permessage-deflate; client_max_window_bits", Deflate()),
    ("permessage-deflate; client_max_window_bits=99; what=ever; =", Deflate()),
    ("x-other; a=b, permessage-deflate", Deflate()),
    ("permessage-bzip2", None),
    ("x-webkit-deflate-frame", None),
    ("", None),
]


@pytest.mark.parametrize(("value", "expected"), AGREEMENTS)
def test_agreements(value: str, expected: Deflate | None) -> None:
    """The response's extension header says how the two ends deflate."""
    headers = (("upgrade", "websocket"), ("sec-websocket-extensions", value))
    assert permessage_deflate(headers) == expected


def test_no_agreement() -> None:
    """Without the header there is no compression."""
    assert permessage_deflate((("upgrade", "websocket"),)) is None


@given(
    st.lists(st.binary(max_size=40), max_size=8),
    st.sampled_from([None, Deflate(), LOSING]),
    st.sampled_from([b"", _frame(HELLO), b"\xc1\x7e\x01\x00", b"\x01\x02ab", b"\x81\xfe"]),
)
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_answered(chunks: list[bytes], deflate: Deflate | None, start: bytes) -> None:
    """Arbitrary bytes never raise and read the same in one piece."""
    apart, whole = _read([start, *chunks], deflate), _read([b"".join((start, *chunks))], deflate)
    assert len(apart) == len(whole)
    for one, other in zip(apart, whole, strict=True):
        if isinstance(one, Malformed) and isinstance(other, Malformed):
            assert (one.reason, one.offset) == (other.reason, other.offset)
        else:
            assert one == other


@given(
    st.lists(st.tuples(st.binary(max_size=300), st.booleans(), st.booleans()), max_size=6),
    st.booleans(),
    st.integers(1, 50),
)
@settings(max_examples=200, deadline=None)
def test_round_trip(messages: list[tuple[bytes, bool, bool]], takeover: bool, size: int) -> None:
    """What a sender frames, masks, fragments and deflates comes out as it went in."""
    stream = b""
    compressor = zlib.compressobj(wbits=-15)
    for message, compress, fragment in messages:
        payload = message
        if compress:
            if not takeover:
                compressor = zlib.compressobj(wbits=-15)
            payload = (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
        rsv = 4 if compress else 0
        if fragment:
            half = len(payload) // 2
            stream += _frame(payload[:half], rsv=rsv, final=False, key=KEY)
            stream += _frame(payload[half:], 0, key=KEY)
        else:
            stream += _frame(payload, rsv=rsv, key=KEY)
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    found = _read(chunks, Deflate() if takeover else LOSING)
    assert [m.data for m in found if isinstance(m, WebSocketMessage)] == [m[0] for m in messages]


def _upgraded(events: list[HttpEvent]) -> bytes | None:
    return next((e.remaining for e in events if isinstance(e, Upgraded)), None)


@pytest.mark.corpora
@pytest.mark.parametrize(
    "name",
    [
        "suricata-verify/websocket__basic_websockets.pcap",
        "suricata-verify/websocket-compressed__example_websocket.pcap",
        "zeek/websocket__broker-websocket.pcap",
    ],
)
def test_captured(name: str, tcp_streams: Streams) -> None:
    """Captured WebSockets, compressed ones too, read to their end on both sides."""
    streams = tcp_streams(name)
    texts = 0
    for (source, destination), stream in streams.items():
        requests, responses = RequestReader(), ResponseReader()
        asked = requests.feed(stream)
        answered = responses.feed(streams.get((destination, source), b""))
        server = _upgraded(answered)
        head = next((e for e in answered if isinstance(e, ResponseHead)), None)
        if server is None or head is None:
            continue
        client = _upgraded(asked + requests.upgrade())
        assert client is not None
        deflate = permessage_deflate(head.headers)
        assert ("compressed" in name) == (deflate is not None)
        for data, from_client in ((client, True), (server, False)):
            reader = WebSocketReader(deflate, from_client=from_client)
            found = reader.feed(data)
            assert not any(isinstance(message, Malformed) for message in found)
            assert not reader.skipped
            texts += sum(isinstance(m, WebSocketMessage) and m.opcode <= BINARY for m in found)
    assert texts


@pytest.mark.corpora
def test_captured_from_the_middle(tcp_streams: Streams) -> None:
    """Frames whose handshake was missed are read all the same."""
    for (_, destination), stream in tcp_streams("ndpi/websocket.pcap").items():
        found = WebSocketReader(from_client=destination == 12345).feed(stream)
        assert len(found) >= 2
        texts = [m.data for m in found if isinstance(m, WebSocketMessage) and m.opcode is TEXT]
        assert len(texts) == len(found)
        assert all(text.decode("ascii").isprintable() for text in texts)
