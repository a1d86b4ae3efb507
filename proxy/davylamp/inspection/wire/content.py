"""HTTP content codings, undone as the body arrives, up to a limit.

Strategy: a chain of at most two zlib decoders, the last coding applied first, each of them
allowed no more output than the limit. What came before a limit or before damage is given: the
message that matters may be in it. Codings that the standard library cannot undo are named.

    coding                   decoder
    gzip, x-gzip             zlib, gzip members one after the other (RFC 1952 section 2.2)
    deflate                  zlib, or raw DEFLATE if the first two bytes are no zlib header
    identity, none           none
    br, zstd, compress, ...  none: ``undecodable`` says which
    three or more            none: ``undecodable`` is "too many"

Every input byte is decoded at most once and gives at most ``limit`` bytes in all, so the cost of
a body is its size and the limit, whatever it claims.

Sources: RFC 9110 sections 8.4 and 8.4.1 (names, order, what ``deflate`` means and what some send
instead); RFC 1950 section 2.2 (zlib header); RFC 1952 section 2.2 (members).
"""

import zlib

from davylamp.inspection.wire.http_head import Headers, values

MAX_DECODED = 1 << 18
MAX_CODINGS = 2

_GZIP = 31
_ZLIB = 15
_RAW = -15
_GZIP_NAMES = frozenset({"gzip", "x-gzip"})


def content_codings(fields: Headers) -> tuple[str, ...]:
    """Return a message's content codings in the order in which they were applied, lower-case."""
    named = (part for value in values(fields, "content-encoding") for part in value.split(","))
    codings = (part.strip().lower() for part in named)
    return tuple(coding for coding in codings if coding not in ("", "identity"))


class ContentDecoder:
    """Undoes a body's codings; never raises.

    ``undecodable`` names the coding that cannot be undone, "" if all can: then `feed` gives
    nothing. ``truncated`` says that the limit was reached, ``damaged`` that a coding broke off, or
    ended before the body.
    """

    __slots__ = ("_stages", "damaged", "truncated", "undecodable")

    def __init__(self, codings: tuple[str, ...], limit: int = MAX_DECODED) -> None:
        self.truncated = False
        self.damaged = False
        self.undecodable = "too many" if len(codings) > MAX_CODINGS else _unknown(codings)
        known = () if self.undecodable else reversed(codings)
        self._stages = tuple(_Stage(coding, limit) for coding in known)

    @property
    def done(self) -> bool:
        """Whether nothing more will be given."""
        return bool(self.undecodable) or self.truncated or self.damaged

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the body; return what they decode to."""
        if self.done:
            return b""
        for stage in self._stages:
            data = stage.feed(data)
            self.truncated |= stage.truncated
            self.damaged |= stage.damaged
        return data


def _unknown(codings: tuple[str, ...]) -> str:
    for coding in codings:
        if coding not in _GZIP_NAMES and coding != "deflate":
            return coding
    return ""


class _Stage:
    """One coding of the chain."""

    __slots__ = ("_deflate", "_first", "_left", "_object", "damaged", "truncated")

    def __init__(self, coding: str, limit: int) -> None:
        self.truncated = False
        self.damaged = False
        self._deflate = coding == "deflate"
        self._object = None if self._deflate else zlib.decompressobj(_GZIP)
        self._first = b""  # of a deflate body, until it says which of the two it is
        self._left = limit

    def feed(self, data: bytes) -> bytes:
        """Decode some bytes."""
        found = bytearray()
        try:
            while data and not self.truncated and not self.damaged:
                if self._object is None:
                    data = self._begin(data)
                elif self._object.eof:
                    data = self._next_member(data)
                else:
                    data = self._decode(self._object, data, found)
        except zlib.error:
            self.damaged = True
        return bytes(found)

    def _begin(self, data: bytes) -> bytes:
        self._first += data
        if len(self._first) < 2:
            return b""
        head = self._first[0] << 8 | self._first[1]
        is_zlib = self._first[0] & 0x0F == 8 and self._first[0] < 0x80 and head % 31 == 0
        self._object = zlib.decompressobj(_ZLIB if is_zlib else _RAW)
        data, self._first = self._first, b""
        return data

    def _next_member(self, data: bytes) -> bytes:
        """Start on what follows an end: another gzip member, else padding that nobody reads."""
        if self._deflate or data[:1] != b"\x1f":
            self.damaged = True
            return b""
        self._object = zlib.decompressobj(_GZIP)
        return data

    def _decode(self, decoder: "zlib._Decompress", data: bytes, found: bytearray) -> bytes:
        part = decoder.decompress(data, self._left + 1)
        found += part[: self._left]
        self.truncated = len(part) > self._left
        self._left -= min(len(part), self._left)
        return decoder.unused_data if decoder.eof else decoder.unconsumed_tail
