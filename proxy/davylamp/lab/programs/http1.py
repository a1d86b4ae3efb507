"""As much of HTTP/1.1 (RFC 9112) as two lab programs need to talk to each other and to curl."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

MAX_HEAD = 65_536
MAX_BODY = 16 << 20
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Head:
    """A start line's three words and the fields, names in lower case."""

    start: tuple[str, str, str]
    fields: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read a head; raise ConnectionAbortedError where it is not one."""
        first, *rest = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        words = first.split(" ", 2)
        if len(words) != 3:
            raise ConnectionAbortedError("not an HTTP/1.1 start line")
        named = (line.partition(":") for line in rest)
        return cls(
            (words[0], words[1], words[2]),
            {name.strip().lower(): value.strip() for name, _, value in named},
        )

    @property
    def length(self) -> int:
        """The Content-Length; raise ConnectionAbortedError where it is no length."""
        text = self.fields.get("content-length", "0")
        if not (text.isascii() and text.isdigit() and len(text) < 16):
            raise ConnectionAbortedError("not a Content-Length")
        return int(text)


@dataclass(frozen=True, slots=True)
class Body:
    """What a response carried: its status, size in bytes, SHA-256, and its first 64 KiB."""

    status: int
    size: int
    sha256: str
    begin: bytes


def head_bytes(start: str, fields: Mapping[str, object]) -> bytes:
    """Return a head, ready to send."""
    lines = [start, *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def read_head(reader: asyncio.StreamReader, begin: bytes = b"") -> Head:
    """Read a head of which ``begin`` was read already.

    Raises ConnectionAbortedError where it is too long or none, EOFError where the peer ended.
    """
    try:
        raw = begin + await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise ConnectionAbortedError("the head is too long") from error
    if len(raw) > MAX_HEAD:
        raise ConnectionAbortedError("the head is too long")
    return Head.parse(raw)


async def fetch(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    request: bytes,
) -> Body:
    """Send one request and read its response, which has a Content-Length.

    Raises EOFError where the body stops short, ConnectionError where the peer is none.
    """
    writer.write(request)
    await writer.drain()
    head = await read_head(reader)
    if not head.start[1].isdigit():
        raise ConnectionAbortedError("not an HTTP/1.1 status line")
    sha256, left, begin = hashlib.sha256(), head.length, b""
    while left:
        piece = await reader.read(min(_CHUNK, left))
        if not piece:
            raise EOFError(f"{left} bytes of the body are missing")
        sha256.update(piece)
        begin += piece[: MAX_HEAD - len(begin)]
        left -= len(piece)
    return Body(int(head.start[1]), head.length, sha256.hexdigest(), begin)


def get(path: str, host: str) -> bytes:
    """Return a GET request on a connection that stays open."""
    return head_bytes(f"GET {path} HTTP/1.1", {"Host": host, "User-Agent": "davylamp-lab/1"})


def post_json(path: str, host: str, body: bytes) -> bytes:
    """Return a POST request with a JSON body."""
    fields = {"Host": host, "Content-Type": "application/json", "Content-Length": len(body)}
    return head_bytes(f"POST {path} HTTP/1.1", fields) + body
