"""Layers in layers: what is mined inside tunnels and messages is found, wherever bytes are cut."""

import zlib

import pytest
from tests.inspection.test_inspector import C, Conversation, S, feed, feedings
from tests.streams import (
    ASKED,
    GET,
    JOB,
    LOGIN,
    NOTIFY,
    RESPONSE,
    SUBMIT,
    SUBSCRIBE,
    SWITCHED,
    client_hello,
    frame,
)

from davylamp.inspection.conversation import MAX_NESTING
from davylamp.inspection.finding import AppProto
from davylamp.inspection.inspector import DEPTH, Inspector
from davylamp.signatures.pack import Pack

GREETING, METHOD = b"\x05\x02\x00\x02", b"\x05\x00"
TO_ADDRESS = b"\x05\x01\x00\x01\xcb\x00\x71\x09\x0d\x05"
GRANTED = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"
SOCKS5: Conversation = [(C, GREETING), (S, METHOD), (C, TO_ADDRESS), (S, GRANTED)]
SOCKS4: Conversation = [(C, b"\x04\x01\x0d\x05\xcb\x00\x71\x09me\0"), (S, b"\0\x5a" + bytes(6))]
CONNECT: Conversation = [
    (C, b"CONNECT 203.0.113.9:3333 HTTP/1.1\r\nHost: x\r\n\r\n"),
    (S, b"HTTP/1.1 200 OK\r\n\r\n"),
]
NO = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
UPGRADE: Conversation = [(C, ASKED), (S, SWITCHED)]
DEFLATED: Conversation = [
    (way, data[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
    for way, data in UPGRADE
]
PROXY = b"PROXY TCP4 198.51.100.2 203.0.113.9 40000 3333\r\n"
TEXT, BINARY, PING, PONG, FIN, PACKED = 1, 2, 9, 10, 0x80, 0x40


def said(data: bytes, first: int = FIN | TEXT) -> tuple[bytes, bytes]:
    """Return a message as a client's frame and as a server's."""
    return frame(first, data, masked=True), frame(first, data, masked=False)


def packed(data: bytes) -> bytes:
    """Return a message compressed alone (RFC 7692)."""
    squeezer = zlib.compressobj(wbits=-15)
    return (squeezer.compress(data) + squeezer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(
        b"\0\0\xff\xff"
    )


def xored(data: bytes, key: int) -> bytes:
    """Return bytes under exclusive or."""
    return bytes(byte ^ key for byte in data)


MINED: Conversation = [(C, SUBSCRIBE), (S, NOTIFY)]
BOTH = ["stratum-v1-subscribe", "stratum-v1-notify"]
HALVES = [LOGIN[:300], LOGIN[300:]]
REFUSED: Conversation = [CONNECT[0], (S, NO), *CONNECT]

# name, conversation, ids, innermost layers, protocol
CASES: list[tuple[str, Conversation, list[str], tuple[str, ...], AppProto]] = [
    ("SOCKS5", [*SOCKS5, *MINED], BOTH, ("socks5",), AppProto.SOCKS),
    (
        "SOCKS5, nobody waits",
        [(C, GREETING + TO_ADDRESS + SUBSCRIBE), (S, METHOD + GRANTED + NOTIFY)],
        BOTH,
        ("socks5",),
        AppProto.SOCKS,
    ),
    ("SOCKS4", [*SOCKS4, *MINED], BOTH, ("socks4",), AppProto.SOCKS),
    ("CONNECT", [*CONNECT, *MINED], BOTH, ("http-connect",), AppProto.HTTP),
    ("CONNECT at the second try", [*REFUSED, *MINED], BOTH, ("http-connect",), AppProto.HTTP),
    (
        "a PROXY header",
        [(C, PROXY + SUBSCRIBE), MINED[1]],
        BOTH,
        ("proxy-protocol",),
        AppProto.JSON,
    ),
    (
        "SOCKS in CONNECT in SOCKS behind a PROXY header",
        [(C, PROXY), *SOCKS5, *CONNECT, *SOCKS4, *MINED],
        BOTH,
        ("proxy-protocol", "socks5", "http-connect", "socks4"),
        AppProto.SOCKS,
    ),
    (
        "WebSocket",
        [*UPGRADE, (C, said(SUBSCRIBE)[0]), (S, said(NOTIFY)[1])],
        BOTH,
        ("websocket",),
        AppProto.WEBSOCKET,
    ),
    (
        "WebSocket, fragmented and compressed",
        [
            *DEFLATED,
            (C, said(packed(SUBSCRIBE)[:20], PACKED | TEXT)[0]),
            (C, said(packed(SUBSCRIBE)[20:], FIN)[0]),
            (S, said(packed(NOTIFY), FIN | PACKED | TEXT)[1]),
        ],
        BOTH,
        ("websocket",),
        AppProto.WEBSOCKET,
    ),
    (
        "a stream in binary WebSocket messages, cut amid a line",
        [
            *UPGRADE,
            *((C, said(half, FIN | BINARY)[0]) for half in HALVES),
            (S, said(JOB, FIN | BINARY)[1]),
        ],
        ["cryptonote-login", "cryptonote-job"],
        ("websocket",),
        AppProto.WEBSOCKET,
    ),
    (
        "WebSocket in SOCKS, and SOCKS in its binary messages",
        [
            *SOCKS5,
            *UPGRADE,
            *((way, said(data, FIN | BINARY)[way is S]) for way, data in (*SOCKS4, *MINED)),
        ],
        BOTH,
        ("socks5", "websocket", "socks4"),
        AppProto.SOCKS,
    ),
    (
        "exclusive or in SOCKS",
        [*SOCKS5, (C, xored(SUBSCRIBE + LOGIN, 0xA7))],
        ["stratum-v1-subscribe", "cryptonote-login"],
        ("socks5", "xor"),
        AppProto.SOCKS,
    ),
    (
        "a pool's name in TLS in a tunnel",
        [*SOCKS5, (C, client_hello("gulf.moneroocean.stream"))],
        ["pool-name-tls-sni"],
        ("socks5", "tls"),
        AppProto.TLS,
    ),
    # --- what must stay silent ---
    ("a page in a tunnel", [*SOCKS5, (C, GET), (S, RESPONSE)], [], (), AppProto.HTTP),
    (
        "a document in a WebSocket message",
        [*UPGRADE, (S, said(b"# Stratum\n" + SUBSCRIBE + LOGIN)[1])],
        [],
        (),
        AppProto.WEBSOCKET,
    ),
    (
        "a document in binary WebSocket messages",
        [*UPGRADE, (C, said(b"# Stratum\n" + SUBSCRIBE + LOGIN, FIN | BINARY)[0])],
        [],
        (),
        AppProto.WEBSOCKET,
    ),
    ("a tunnel refused", [*SOCKS5[:3], (S, b"\x05\x05" + bytes(8))], [], (), AppProto.SOCKS),
]


@pytest.mark.parametrize(
    ("conversation", "expected", "layers", "app_proto"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_layers_are_peeled_however_bytes_are_cut(
    core: Pack,
    conversation: Conversation,
    expected: list[str],
    layers: tuple[str, ...],
    app_proto: AppProto,
) -> None:
    """Signatures, layers and protocol are the same whole, byte by byte and cut at every place."""
    for word, feeding in feedings(conversation):
        inspector = Inspector(core)
        found = feed(inspector, feeding)
        assert [one.signature.id for one in found] == expected, word
        assert {one.layers for one in found} == ({("tcp", *layers)} if expected else set()), word
        assert inspector.app_proto is app_proto, word


@pytest.mark.parametrize("depth", [1, MAX_NESTING, MAX_NESTING + 1, 40])
def test_tunnels_nest_as_deep_as_they_like(core: Pack, depth: int) -> None:
    """Beyond the limit layers are read in place: still peeled, and no longer listed."""
    found = feed(Inspector(core), [*(SOCKS5 * depth), *MINED])
    assert [one.signature.id for one in found] == BOTH
    assert {len(one.layers) for one in found} == {1 + min(depth, MAX_NESTING)}


def test_bytes_lost_in_a_tunnel_do_not_lead_out_of_it(core: Pack) -> None:
    """What follows a gap is read in the layer where it is, at its true offset."""
    inspector = Inspector(core)
    feed(inspector, [*SOCKS5, *CONNECT, (C, LOGIN[:40])])
    inspector.gap(C, len(LOGIN) - 40)
    [found] = inspector.receive(C, SUBMIT, 0.0)
    assert found.layers == ("tcp", "socks5", "http-connect")
    assert found.offset == len(GREETING + TO_ADDRESS + CONNECT[0][1] + LOGIN)


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
def test_a_websocket_is_known_by_the_answer_that_opens_it(core: Pack, opcode: int) -> None:
    """Where its request was not seen, what either side says next are frames all the same."""
    told: Conversation = [
        (S, SWITCHED),
        (C, said(b"still there?", FIN | PING)[0]),
        (C, said(LOGIN, FIN | opcode)[0]),
        (S, said(JOB, FIN | opcode)[1]),
    ]
    for word, feeding in feedings(told):
        found = feed(Inspector(core), feeding)
        assert {one.layers for one in found} == {("tcp", "websocket")}, word
        assert {one.signature.id for one in found} >= {"cryptonote-job", "cryptonote-login"}


def test_frames_are_read_on_behind_lost_bytes(core: Pack) -> None:
    """A packet lost from a WebSocket costs its messages, not those behind it."""
    inspector = Inspector(core)
    feed(inspector, [*UPGRADE, (S, said(JOB)[1][:50])])
    inspector.gap(S, 1000)
    assert [one.signature.id for one in inspector.receive(S, said(JOB)[1], 0.0)] == [
        "cryptonote-job"
    ]


def test_pings_do_not_end_the_search_of_frames(core: Pack) -> None:
    """A server may ask for ever whether somebody is there; messages that tell nothing end it."""
    inspector = Inspector(core)
    for direction, data in UPGRADE:
        inspector.receive(direction, data, 1.0)
    for number in range(300):
        kind = PONG if number % 2 else PING
        inspector.receive(S, said(b"x" * 120, FIN | kind)[1], 1.0)
    assert not inspector.settled
    inspector.receive(S, said(b"x" * DEPTH)[1], 1.0)
    assert inspector.settled


def test_what_comes_before_a_tunnels_end_is_read_again_into_it(core: Pack) -> None:
    """A first segment that comes late opens the tunnel; the other direction is in it already."""
    inspector = Inspector(core)
    feed(inspector, [*SOCKS5, (C, SUBSCRIBE[:9]), (S, NOTIFY[:9])])
    inspector.rewind(C, 0)
    found = feed(inspector, [(C, GREETING + TO_ADDRESS + SUBSCRIBE), (S, NOTIFY[9:])])
    assert [one.signature.id for one in found] == BOTH
    assert {one.layers for one in found} == {("tcp", "socks5")}


@pytest.mark.parametrize("key", range(1, 256))
def test_no_key_of_exclusive_or_hides_a_session(core: Pack, key: int) -> None:
    """Whatever protocol the bytes look like under a key, a login and a share are told."""
    found = feed(
        Inspector(core), [(C, xored(LOGIN, key)), (S, xored(JOB, key)), (C, xored(SUBMIT, key))]
    )
    assert {"cryptonote-login", "cryptonote-submit"} <= {one.signature.id for one in found}


@pytest.mark.parametrize("masked", [True, False], ids=["client", "server"])
@pytest.mark.parametrize("message", [LOGIN, JOB, SUBMIT], ids=["login", "job", "submit"])
def test_frames_are_known_without_their_upgrade(
    core: Pack, message: bytes, *, masked: bool
) -> None:
    """A WebSocket that is joined late, or whose other direction is not seen, tells as well."""
    told: Conversation = [(C if masked else S, frame(FIN | TEXT, message.strip(), masked=masked))]
    for word, feeding in feedings(told):
        found = feed(Inspector(core), feeding)
        assert {one.layers for one in found} == {("tcp", "websocket")}, word


def test_what_only_begins_like_a_frame_is_none(core: Pack) -> None:
    """Opaque bytes, and frames of other text, tell nothing."""
    for data in (b"\x81", b"\x81\x7e\xff\xff{", b"\x81\x05hello", b"\x81\x02{}" * 50):
        assert Inspector(core).receive(S, data, 0.0) == ()


def test_a_tunnel_is_known_by_the_answer_that_opens_it(core: Pack) -> None:
    """Where a CONNECT was not seen, all proxies answer it in the same words."""
    answer = b"HTTP/1.0 200 Connection established\r\nProxy-agent: tinyproxy/1.11.1\r\n\r\n"
    found = Inspector(core).receive(S, answer + NOTIFY, 0.0)
    assert [one.layers for one in found] == [("tcp", "http-connect")]
    other = b"HTTP/1.0 200 OK\r\nServer: nginx\r\n\r\n"
    assert Inspector(core).receive(S, other + b"see: " + NOTIFY, 0.0) == ()
