"""A scenario for the raw TCP client: what to send, cut and ordered how. Read from JSON."""

import base64
import binascii
from enum import StrEnum
from typing import Annotated

import msgspec

from davylamp.errors import ConfigError
from davylamp.flow import TcpFlag

MAX_STREAM = 4 << 20
MAX_SEGMENTS = 100_000
_LETTERS = {"F": TcpFlag.FIN, "S": TcpFlag.SYN, "R": TcpFlag.RST, "P": TcpFlag.PSH}
_LETTERS["A"] = TcpFlag.ACK

Seconds = Annotated[float, msgspec.Meta(ge=0, le=600)]


class Close(StrEnum):
    """How the client ends the connection."""

    FIN = "fin"
    RST = "rst"
    NONE = "none"


class Piece(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One segment: where in the stream, which bytes, how it is sent.

    ``offset`` counts from the first byte after the SYN. The bytes are ``text``, ``base64``, or the
    stream's own ``length`` bytes at the offset (all that are left where no length is given).
    ``fragment`` cuts the segment into IP fragments of that many bytes, ``reverse`` sends them last
    first. ``delay`` is the wait in seconds before it is sent, ``repeat`` how often it is sent.
    """

    offset: Annotated[int, msgspec.Meta(ge=-MAX_STREAM, le=MAX_STREAM)] = 0
    length: Annotated[int, msgspec.Meta(ge=0, le=65_000)] | None = None
    text: str | None = None
    base64: str | None = None
    flags: str = "PA"
    fragment: Annotated[int, msgspec.Meta(ge=0, le=65_000)] = 0
    reverse: bool = False
    delay: Seconds = 0.0
    repeat: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    ttl: Annotated[int, msgspec.Meta(ge=1, le=255)] = 64
    bad_checksum: bool = False

    def payload(self, stream: bytes) -> bytes:
        """Return the bytes to send, out of the stream where the piece names none of its own."""
        if self.text is not None:
            return self.text.encode()
        if self.base64 is not None:
            return _decode(self.base64)
        start = max(0, self.offset)
        return stream[start:] if self.length is None else stream[start : start + self.length]

    @property
    def bits(self) -> int:
        """The TCP flags as a number."""
        return sum({_LETTERS[letter] for letter in self.flags})


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One connection: the stream, its segments, and how long to listen after the last.

    ``target`` is host:port. ``isn`` is our initial sequence number (random where absent).
    ``syn_data`` is how many bytes of the stream go with the SYN. Without ``segments`` the stream
    is sent in pieces of ``split`` bytes (all at once for 0). ``listen`` is in seconds.
    """

    target: str
    stream: str | None = None
    stream_base64: str | None = None
    source: str | None = None
    source_port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] | None = None
    isn: Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)] | None = None
    syn_data: Annotated[int, msgspec.Meta(ge=0, le=1400)] = 0
    segments: Annotated[tuple[Piece, ...], msgspec.Meta(max_length=MAX_SEGMENTS)] = ()
    split: Annotated[int, msgspec.Meta(ge=0, le=1400)] = 0
    listen: Seconds = 1.0
    close: Close = Close.FIN

    def data(self) -> bytes:
        """Return the stream's bytes."""
        if self.stream_base64 is not None:
            return _decode(self.stream_base64)
        return (self.stream or "").encode()

    def pieces(self) -> tuple[Piece, ...]:
        """Return the segments to send, cut evenly where none are written out."""
        size = len(self.data())
        if self.segments or not size:
            return self.segments
        step = self.split or 1400
        return tuple(Piece(offset=at, length=step) for at in range(0, size, step))


def read_scenario(text: bytes) -> Scenario:
    """Decode and check a scenario; raise ConfigError with the member that is wrong."""
    try:
        scenario = msgspec.json.decode(text, type=Scenario)
    except msgspec.DecodeError as error:
        raise ConfigError(f"the scenario is not valid: {error}") from error
    if len(scenario.data()) > MAX_STREAM:
        raise ConfigError(f"the scenario's stream is longer than {MAX_STREAM} bytes")
    for piece in scenario.segments:
        if not set(piece.flags) <= set(_LETTERS):
            raise ConfigError(f"flags {piece.flags!r}: use letters of {''.join(_LETTERS)}")
    return scenario


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ConfigError(f"not base64: {text[:40]!r}") from error
