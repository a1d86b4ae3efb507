"""A conversation inside other protocols: what goes in front of it, and what goes around it.

A *tunnel* opens with its own exchange and then carries any bytes unchanged. A *carrier* takes
messages one by one and wraps each. They nest: any tunnels, then at most one carrier. Written from
the protocols' own documents, and apart from the readers that they measure.

Each piece of the result says how many of its bytes complete the message that it carries: its last
byte, or the last of what must have come before a receiver can have that (a compressed block, a
base64 group). The end of an HTTP body or of a line is not counted.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from davylamp.accuracy import carriers
from davylamp.accuracy.examples import Conversation, Message
from davylamp.accuracy.pieces import C, Piece, Pieces, S

type Wrap = Callable[[Conversation], Pieces]

_HOST = b"pool.internal"
_PORT = 3333


@dataclass(frozen=True, slots=True)
class Layer:
    """One wrapping, or several nested: ``name`` is what the tables call it.

    ``lines`` says that a receiver behind it reads lines, so that one segment may hold several.
    """

    name: str
    tunnels: tuple[Pieces, ...] = ()
    carry: Wrap | None = None
    lines: bool = True

    @property
    def transparent(self) -> bool:
        """Whether any conversation passes unchanged, not only one of messages."""
        return self.carry is None

    def wrap(self, messages: Conversation) -> Pieces:
        """Return the conversation as it goes on the wire, piece by piece in order."""
        opening = tuple(piece for tunnel in self.tunnels for piece in tunnel)
        return opening + (self.carry or bare)(messages)


def bare(messages: Conversation) -> Pieces:
    """Return the messages as they are."""
    return tuple(_bare(message) for message in messages)


def _bare(message: Message) -> Piece:
    return Piece(message.direction, message.data, len(message.text))


def _socks5() -> Pieces:
    """RFC 1928: no authentication, CONNECT to a host name, success."""
    target = b"\x03" + bytes((len(_HOST),)) + _HOST + struct.pack(">H", _PORT)
    return (
        Piece(C, b"\x05\x01\x00"),
        Piece(S, b"\x05\x00"),
        Piece(C, b"\x05\x01\x00" + target),
        Piece(S, b"\x05\x00\x00\x01" + bytes(6)),
    )


def _socks4a() -> Pieces:
    """SOCKS 4A: an address that cannot be (0.0.0.1), and the host name behind the user id."""
    request = b"\x04\x01" + struct.pack(">H", _PORT) + b"\x00\x00\x00\x01" + b"\x00" + _HOST
    return Piece(C, request + b"\x00"), Piece(S, b"\x00\x5a" + bytes(6))


def _connect() -> Pieces:
    """RFC 9110 section 9.3.6."""
    target = b"%b:%d" % (_HOST, _PORT)
    return (
        Piece(C, b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, target)),
        Piece(S, b"HTTP/1.1 200 Connection established\r\n\r\n"),
    )


def _proxy_v1() -> Pieces:
    """PROXY protocol section 2.1: the text header, in front of the client's first bytes."""
    return (Piece(C, b"PROXY TCP4 198.51.100.22 203.0.113.7 35646 3333\r\n"),)


def _proxy_v2() -> Pieces:
    """PROXY protocol section 2.2: the binary header, command PROXY over TCP and IPv4."""
    addresses = bytes((198, 51, 100, 22, 203, 0, 113, 7)) + struct.pack(">HH", 35646, _PORT)
    head = b"\r\n\r\n\x00\r\nQUIT\n" + b"\x21\x11" + struct.pack(">H", len(addresses))
    return (Piece(C, head + addresses),)


BARE = Layer("TCP")

LAYERS: tuple[Layer, ...] = (
    BARE,
    Layer("SOCKS5", (_socks5(),)),
    Layer("SOCKS4a", (_socks4a(),)),
    Layer("HTTP CONNECT", (_connect(),)),
    Layer("PROXY v1", (_proxy_v1(),)),
    Layer("PROXY v2", (_proxy_v2(),)),
    Layer("HTTP body", (), carriers.http_identity, lines=False),
    Layer("HTTP body, chunked", (), carriers.http_chunked, lines=False),
    Layer("HTTP body, gzip", (), carriers.http_gzip, lines=False),
    Layer("WebSocket", (), carriers.websocket, lines=False),
    Layer("WebSocket, fragmented", (), carriers.websocket_parts, lines=False),
    Layer("WebSocket, deflate", (), carriers.websocket_deflate, lines=False),
    Layer("base64 lines", (), carriers.base64_lines, lines=False),
    Layer("XOR with one byte", (), carriers.xor),
    Layer("PROXY v2 > SOCKS5", (_proxy_v2(), _socks5())),
    Layer("HTTP CONNECT > SOCKS4a", (_connect(), _socks4a())),
    Layer("SOCKS5 > HTTP body, gzip", (_socks5(),), carriers.http_gzip, lines=False),
    Layer(
        "PROXY v1 > HTTP CONNECT > WebSocket",
        (_proxy_v1(), _connect()),
        carriers.websocket,
        lines=False,
    ),
    Layer("SOCKS5 > XOR", (_socks5(),), carriers.xor),
)
