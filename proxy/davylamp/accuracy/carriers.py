"""Protocols that take messages one by one: HTTP bodies, WebSocket, base64 lines, exclusive or.

Sources: RFC 9112 (HTTP/1.1), RFC 9110 section 8.4 (gzip), RFC 6455 (WebSocket) and RFC 7692
(permessage-deflate, with context takeover both ways), RFC 4648 (base64).
"""

import gzip
import struct
import zlib
from base64 import b64encode
from collections.abc import Callable

from davylamp.accuracy.examples import Conversation, Message
from davylamp.accuracy.pieces import C, Piece, Pieces, S

_HEADS = {
    C: b"POST /rpc HTTP/1.1\r\nHost: relay.internal\r\nContent-Type: application/json\r\n",
    S: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
}
_ASK = Piece(C, b"GET /rpc HTTP/1.1\r\nHost: relay.internal\r\n\r\n")

_KEY = 0xA7
_XOR = bytes(byte ^ _KEY for byte in range(256))

# --- HTTP ---------------------------------------------------------------------------------------

type _Body = tuple[bytes, bytes, int]  # header fields, body, how much of it completes the message


def http_identity(messages: Conversation) -> Pieces:
    """Return each message as the body of a request, or of the response to one."""
    return _http(messages, _identity)


def http_chunked(messages: Conversation) -> Pieces:
    """Return the same in three chunks (RFC 9112 section 7.1)."""
    return _http(messages, _chunked)


def http_gzip(messages: Conversation) -> Pieces:
    """Return the same, compressed."""
    return _http(messages, _gzipped)


def _http(messages: Conversation, body_of: Callable[[Message], _Body]) -> Pieces:
    pieces: list[Piece] = []
    for message in messages:
        fields, body, complete = body_of(message)
        head = _HEADS[message.direction] + fields + b"\r\n"
        if message.direction is S and (not pieces or pieces[-1].direction is S):
            pieces.append(_ASK)
        pieces.append(Piece(message.direction, head + body, len(head) + complete))
    return tuple(pieces)


def _identity(message: Message) -> _Body:
    return b"Content-Length: %d\r\n" % len(message.data), message.data, len(message.text)


def _chunked(message: Message) -> _Body:
    data = message.data
    third = len(data) // 3 + 1
    parts = [data[at : at + third] for at in range(0, len(data), third)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    complete = len(body) - len(b"\r\n") - len(message.line_end)
    return b"Transfer-Encoding: chunked\r\n", body + b"0\r\n\r\n", complete


def _gzipped(message: Message) -> _Body:
    body = gzip.compress(message.data, mtime=0)
    fields = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n" % len(body)
    return fields, body, len(body)


# --- WebSocket ----------------------------------------------------------------------------------

_MASK = b"\x37\xfa\x21\x3d"  # as in RFC 6455's examples, section 5.7
_FINAL, _COMPRESSED, _MASKED, _TEXT = 0x80, 0x40, 0x80, 0x01
_DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
_TAIL = b"\x00\x00\xff\xff"  # of a flushed block, left out on the wire: RFC 7692 section 7.2.1


def websocket(messages: Conversation) -> Pieces:
    """Return each message as one text frame, the client's masked."""
    return _upgrade() + tuple(
        _framed(message, [message.data], len(message.line_end)) for message in messages
    )


def websocket_parts(messages: Conversation) -> Pieces:
    """Return each message as a text frame and three continuations (RFC 6455 section 5.4)."""
    pieces = []
    for message in messages:
        quarter = len(message.data) // 4 + 1
        parts = [message.data[at : at + quarter] for at in range(0, len(message.data), quarter)]
        pieces.append(_framed(message, parts, len(message.line_end)))
    return _upgrade() + tuple(pieces)


def websocket_deflate(messages: Conversation) -> Pieces:
    """Return each message compressed, each end's with the history of what it sent before."""
    compressors = {end: zlib.compressobj(wbits=-15) for end in (C, S)}
    pieces = []
    for message in messages:
        compressor = compressors[message.direction]
        packed = compressor.compress(message.data) + compressor.flush(zlib.Z_SYNC_FLUSH)
        pieces.append(_framed(message, [packed.removesuffix(_TAIL)], 0, bits=_COMPRESSED))
    return _upgrade(_DEFLATE) + tuple(pieces)


def _upgrade(extensions: bytes = b"") -> Pieces:
    """Return the opening handshake; key and answer are those of RFC 6455 section 1.3."""
    return (
        Piece(
            C,
            b"GET /ws HTTP/1.1\r\nHost: relay.internal\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Version: 13\r\n" + extensions + b"\r\n",
        ),
        Piece(
            S,
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" + extensions + b"\r\n",
        ),
    )


def _framed(message: Message, parts: list[bytes], behind: int, *, bits: int = 0) -> Piece:
    """Return the frames of one message, whose last ``behind`` bytes do not complete it."""
    data = b""
    for number, part in enumerate(parts):
        first = (_TEXT | bits if number == 0 else 0) | (_FINAL if number == len(parts) - 1 else 0)
        data += _frame(message, first, part)
    return Piece(message.direction, data, len(data) - behind)


def _frame(message: Message, first: int, payload: bytes) -> bytes:
    masked = _MASKED if message.direction is C else 0
    size = len(payload)
    if size < 126:
        head = bytes((first, masked | size))
    elif size < 1 << 16:
        head = bytes((first, masked | 126)) + struct.pack(">H", size)
    else:
        head = bytes((first, masked | 127)) + struct.pack(">Q", size)
    return head + _MASK + _masked(payload) if masked else head + payload


def _masked(payload: bytes) -> bytes:
    mask = (_MASK * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload) ^ int.from_bytes(mask)).to_bytes(len(payload))


# --- armour -------------------------------------------------------------------------------------


def base64_lines(messages: Conversation) -> Pieces:
    """Return each message as base64 on a line of its own."""
    return tuple(
        Piece(message.direction, b64encode(message.data) + b"\n", -(-len(message.text) // 3) * 4)
        for message in messages
    )


def xor(messages: Conversation) -> Pieces:
    """Return the messages with every byte changed by the same one."""
    return tuple(
        Piece(message.direction, message.data.translate(_XOR), len(message.text))
        for message in messages
    )
