"""As much of WebSocket (RFC 6455) as a miner and a pool need: an upgrade, and text frames."""

import asyncio
import base64
import hashlib
import os
from typing import Self

from davylamp.lab.programs import http1
from davylamp.lab.programs.addresses import Endpoint
from davylamp.lab.programs.link import Link, LinkOptions
from davylamp.lab.programs.report import Reporter

MAX_MESSAGE = 65_536
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_FINAL_TEXT = 0x81
_FINAL_CLOSE = 0x88
_MASKED = 0x80


def frame(payload: bytes, *, mask: bytes = b"") -> bytes:
    """Return a final text frame (section 5.2); a client's has a ``mask`` of four bytes."""
    size = len(payload)
    if size < 126:
        length = bytes([size])
    elif size < 1 << 16:
        length = bytes([126]) + size.to_bytes(2, "big")
    else:
        length = bytes([127]) + size.to_bytes(8, "big")
    first = bytes([length[0] | (_MASKED if mask else 0)]) + length[1:]
    return bytes([_FINAL_TEXT]) + first + mask + (_masked(payload, mask) if mask else payload)


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """Return the next text frame's payload; EOFError at a close, ConnectionError for all else."""
    first, second = await reader.readexactly(2)
    if first == _FINAL_CLOSE:
        raise EOFError("the peer closed the WebSocket")
    if first != _FINAL_TEXT:
        raise ConnectionAbortedError(f"not a final text frame: {first:#x}")
    size = second & ~_MASKED
    if size > 125:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
    if size > MAX_MESSAGE:
        raise ConnectionAbortedError("the message is too long")
    mask = await reader.readexactly(4) if second & _MASKED else b""
    payload = await reader.readexactly(size)
    return _masked(payload, mask) if mask else payload


def wants_upgrade(head: http1.Head) -> bool:
    """Return whether a request asks for a WebSocket."""
    return head.fields.get("upgrade", "").lower() == "websocket"


def accepted(head: http1.Head) -> bytes:
    """Return the response that opens the WebSocket which a request asks for (section 4.2.2)."""
    key = head.fields.get("sec-websocket-key", "").encode("latin-1")
    fields = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": _token(key)}
    return http1.head_bytes("HTTP/1.1 101 Switching Protocols", fields)


class WebSocketLink(Link):
    """A link whose messages are text frames of a WebSocket, one each."""

    @classmethod
    async def open(
        cls, endpoint: Endpoint, options: LinkOptions, reporter: Reporter, attempt: int = 0
    ) -> Self:
        """Connect and ask for the upgrade; raises as ``Link.open``, and ConnectionError."""
        link = await super().open(endpoint, options, reporter, attempt)
        key = base64.b64encode(os.urandom(16))
        fields = {
            "Host": endpoint,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": key.decode(),
            "Sec-WebSocket-Version": 13,
        }
        link.writer.write(http1.head_bytes("GET /stratum HTTP/1.1", fields))
        async with asyncio.timeout(options.connect_timeout):
            head = await http1.read_head(link.reader)
        if head.start[1] != "101" or head.fields.get("sec-websocket-accept") != _token(key):
            raise ConnectionAbortedError("the peer opens no WebSocket")
        reporter.say("upgraded", protocol="websocket")
        return link

    def _outbound(self, payload: bytes) -> bytes:
        return frame(payload, mask=os.urandom(4))

    async def _inbound(self) -> bytes:
        return await read_frame(self.reader)


def _masked(payload: bytes, mask: bytes) -> bytes:
    whole = mask * (len(payload) // 4 + 1)
    return bytes(one ^ other for one, other in zip(payload, whole, strict=False))


def _token(key: bytes) -> str:
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()
