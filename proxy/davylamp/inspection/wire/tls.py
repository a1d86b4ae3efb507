r"""The first flight of a TLS client, read without a TLS library.

Strategy: the common ClientHello is whole, in one record, in one segment: it is parsed in place
by one pass of fixed offsets. Anything else goes through a small state machine that gathers the
handshake bytes of as many records as it takes, and answers at the hello's last byte, not at its
record's. Extension bodies that we do not read are stepped over. JA4 is computed on demand.

    state      next bytes                                  goes to
    header     5 bytes, type 22 (handshake)                fragment
    header     5 bytes, type 21 (alert), length 2          alert
    header     2 bytes, high bit set, first record only    SSLv2-compatible hello
    fragment   record length bytes                         header, or the result
    alert      level 1 (warning), at most 5 of them        header

Sources: RFC 8446 sections 4.1.2 (ClientHello), 4.2 (extensions), 5.1 (records) and appendix D;
RFC 5246 sections 6.2.1, 7.4.1.2 and appendix E.2 (SSLv2-compatible hello); RFC 6066 section 3
(server_name); RFC 7301 section 3.1 (ALPN); RFC 8701 (GREASE); RFC 9849 section 5 (ECH). Where
servers are more lenient than the RFCs we follow OpenSSL 3.0, because a reader that is stricter
than the peer can be evaded: any minor record version, empty records (32), warning alerts (5).

Names, decided here once:
- ``sni`` is the first host name offered; ``server_names`` are all of them, for a policy that must
  not be fooled by a decoy (RFC 6066 allows one; servers differ on what they do with more).
- Lower-case, one trailing dot removed. An A-label stays an A-label. Bytes that RFC 6066 does not
  allow (non-ASCII, NUL, controls) become ``\xNN``, which no list of domains can match by accident.
- An address literal is kept as sent, though RFC 6066 forbids it; JA4 counts it as a name.
- Names are cut at 255 characters, the list at 8 names, ALPN at 32 values.
"""

from struct import Struct, unpack_from

import msgspec

from davylamp.inspection.wire.ja4 import GREASE, counts, fingerprint, kind
from davylamp.inspection.wire.reader import Cursor, Malformed, printable

MAX_RECORD = (1 << 14) + 256
"""Bytes in a record's fragment (RFC 8446 section 5.2; a plaintext one may hold 2^14)."""

MAX_HELLO = 1 << 16
"""Bytes in a ClientHello that we wait for; the largest post-quantum hellos have a few thousand."""

MAX_EMPTY_RECORDS = 32
MAX_SSLV2 = 4096
MAX_WARNINGS = 5
MAX_NAMES = 8
MAX_NAME = 255
MAX_ALPN = 32

_ALERT, _HANDSHAKE, _CLIENT_HELLO = 21, 22, 1
_SERVER_NAME, _SIGNATURE_ALGORITHMS, _ALPN, _SUPPORTED_VERSIONS = 0, 13, 16, 43
_ENCRYPTED_NAME = frozenset({0xFE0D, 0xFFCE})  # ECH, and ESNI of its early drafts
_READ = frozenset({_SERVER_NAME, _SIGNATURE_ALGORITHMS, _ALPN, _SUPPORTED_VERSIONS})

_VERSION_NAMES = {
    0x0304: "TLS 1.3",
    0x0303: "TLS 1.2",
    0x0302: "TLS 1.1",
    0x0301: "TLS 1.0",
    0x0300: "SSLv3",
    0x0002: "SSLv2",
}

_u16 = Struct(">H").unpack_from
_kind_and_length = Struct(">HH").unpack_from


class ClientHello(msgspec.Struct, frozen=True, gc=False):
    """What a ClientHello shows in the clear; numbers are IANA code points in wire order.

    ``version`` is the highest one offered. ``ech`` is true when an encrypted ClientHello (or
    ESNI) extension is there; browsers send a dummy one too, so it is a hint, not a proof.
    ``ciphers``, ``extensions`` and ``signature_algorithms`` hold GREASE values as sent.
    """

    sni: str
    server_names: tuple[str, ...]
    alpn: tuple[str, ...]
    version: int
    ech: bool
    ciphers: tuple[int, ...]
    extensions: tuple[int, ...]
    signature_algorithms: tuple[int, ...]
    first_alpn: bytes = b""

    @property
    def ja4(self) -> str:
        """The JA4 fingerprint, computed at each access (some 10 microseconds)."""
        return fingerprint(
            version=self.version,
            first_alpn=self.first_alpn,
            ciphers=self.ciphers,
            extensions=self.extensions,
            signature_algorithms=self.signature_algorithms,
        )

    @property
    def ja4_kind(self) -> str:
        """The first four characters of ``ja4``: version, and whether there is a server name."""
        return kind(self.version, self.extensions)

    @property
    def ja4_head(self) -> str:
        """The first ten characters of ``ja4``, at a tenth of its cost."""
        return counts(
            version=self.version,
            first_alpn=self.first_alpn,
            ciphers=self.ciphers,
            extensions=self.extensions,
        )

    @property
    def version_name(self) -> str:
        """The version as Suricata's EVE writes it: ``TLS 1.3``, or ``0x7f1c`` when unknown."""
        return _VERSION_NAMES.get(self.version, f"0x{self.version:04x}")


type HelloResult = ClientHello | Malformed | None
"""None: more bytes are needed. Malformed: this is no ClientHello and never will be."""


class ClientHelloReader:
    """Reads one client's stream up to and including its ClientHello.

    Holds at most `MAX_HELLO` bytes and one record header. Once there is a result, ``feed`` returns
    it again and reads nothing.
    """

    __slots__ = ("_buffer", "_empty", "_hello", "_left", "_offset", "_start", "_warnings", "result")

    def __init__(self) -> None:
        self.result: HelloResult = None
        self._buffer = bytearray()  # not yet assigned to a record
        self._hello = bytearray()  # handshake bytes of all records so far
        self._left = 0  # bytes missing from the present handshake record
        self._offset = 0  # of the stream, of _buffer[0]
        self._start = 0  # of the stream, of the first handshake record
        self._empty = 0
        self._warnings = 0

    def feed(self, data: bytes) -> HelloResult:
        """Take the next bytes of the stream; return the result when there is one."""
        if self.result is not None:
            return self.result
        if not self._offset and not self._buffer:
            self.result = whole_hello(data)
            if self.result is not None:
                return self.result
        self._buffer += data
        self.result = self._advance()
        if self.result is not None:
            self._buffer.clear()
            self._hello.clear()
        return self.result

    def _advance(self) -> HelloResult:
        result: HelloResult = None
        progress = True
        while progress and result is None:
            if self._left:
                progress, result = bool(self._buffer), self._fragment()
            else:
                progress, result = self._header()
        return result

    def _fragment(self) -> HelloResult:
        part = self._buffer[: self._left]
        self._hello += part
        self._drop(len(part))
        self._left -= len(part)
        return _gathered(self._hello, self._start)

    def _header(self) -> tuple[bool, HelloResult]:
        """Read a record's header; say whether there was one, or what is wrong with it."""
        head = self._buffer
        if head and head[0] & 0x80 and not self._offset:
            return False, _sslv2(bytes(head))
        if reason := _refusal(head):
            return False, Malformed(reason, self._offset)
        if len(head) < 5:
            return False, None
        length = head[3] << 8 | head[4]
        if head[0] == _ALERT:
            return self._alert(length)
        if not self._hello:
            self._start = self._offset
        self._drop(5)
        self._left = length
        self._empty += not length
        if self._empty > MAX_EMPTY_RECORDS:
            return False, Malformed("too many empty records", self._offset - 5)
        return True, None

    def _alert(self, length: int) -> tuple[bool, HelloResult]:
        if length != 2:
            return False, Malformed("alert of a wrong length", self._offset)
        if len(self._buffer) < 7:
            return False, None
        self._warnings += 1
        if self._buffer[5] != 1 or self._warnings > MAX_WARNINGS:
            return False, Malformed("alert instead of a ClientHello", self._offset)
        self._drop(7)
        return True, None

    def _drop(self, size: int) -> None:
        del self._buffer[:size]
        self._offset += size


def _refusal(head: bytearray) -> str:
    """Say why this is no header of a record that a client may begin with; empty if it may be."""
    if head and head[0] not in (_HANDSHAKE, _ALERT):
        return "not a TLS handshake record"
    if len(head) > 1 and head[1] != 3:
        return "not a TLS record version"
    if len(head) > 4 and (head[3] << 8 | head[4]) > MAX_RECORD:
        return "record longer than TLS allows"
    return ""


def whole_hello(data: bytes) -> HelloResult:
    """Return the hello of a stream's first segment that holds it whole in a record, else None."""
    if len(data) < 44 or data[0] != _HANDSHAKE or data[1] != 3 or data[5] != _CLIENT_HELLO:
        return None
    length = data[6] << 16 | data[7] << 8 | data[8]
    record = data[3] << 8 | data[4]
    if length + 4 > record or record > MAX_RECORD or len(data) < 9 + length:
        return None
    return _hello(data, 9, 9 + length) or Malformed("ClientHello does not parse", 0)


def _gathered(hello: bytearray, offset: int) -> HelloResult:
    if hello and hello[0] != _CLIENT_HELLO:
        return Malformed("handshake does not start with a ClientHello", offset)
    if len(hello) < 4:
        return None
    length = hello[1] << 16 | hello[2] << 8 | hello[3]
    if length > MAX_HELLO:
        return Malformed("ClientHello longer than we read", offset)
    if len(hello) < 4 + length:
        return None
    return _hello(bytes(hello), 4, 4 + length) or Malformed("ClientHello does not parse", offset)


def _hello(data: bytes, at: int, end: int) -> ClientHello | None:
    """Parse the ClientHello at ``data[at:end]``; None when its lengths do not add up."""
    if end - at < 38 or data[at + 34] > 32:
        return None
    version: int = _u16(data, at)[0]
    at += 35 + data[at + 34]
    if at + 2 > end:
        return None
    size = _u16(data, at)[0]
    at += 2
    if size & 1 or not size or at + size >= end:
        return None
    ciphers = unpack_from(f">{size // 2}H", data, at)
    at += size
    at += 1 + data[at]
    if at == end:  # a hello without extensions is a complete one
        return ClientHello("", (), (), version, False, ciphers, (), ())
    if at + 2 > end or at + 2 + _u16(data, at)[0] > end:
        return None
    return _with_extensions(data, at + 2, at + 2 + _u16(data, at)[0], version, ciphers)


def _with_extensions(
    data: bytes, at: int, end: int, version: int, ciphers: tuple[int, ...]
) -> ClientHello | None:
    kinds: list[int] = []
    names: list[str] = []
    protocols: list[bytes] = []
    algorithms: tuple[int, ...] = ()
    while at < end:
        if at + 4 > end:
            return None
        kind, length = _kind_and_length(data, at)
        at += 4
        if at + length > end:
            return None
        kinds.append(kind)
        if kind in _READ:
            if kind == _SERVER_NAME:
                _read_names(data, at, at + length, names)
            elif kind == _ALPN:
                _read_alpn(data, at, at + length, protocols)
            elif kind == _SIGNATURE_ALGORITHMS:
                algorithms = _numbers(data, at + 2, at + length)
            else:
                offered = _numbers(data, at + 1, at + length)
                version = max((v for v in offered if v not in GREASE), default=version)
        at += length
    return ClientHello(
        names[0] if names else "",
        tuple(names),
        tuple(map(printable, protocols)),
        version,
        not _ENCRYPTED_NAME.isdisjoint(kinds),
        ciphers,
        tuple(kinds),
        algorithms,
        protocols[0] if protocols else b"",
    )


def _read_names(data: bytes, at: int, end: int, names: list[str]) -> None:
    at += 2  # the list's length; what counts is the extension's
    while at + 3 <= end and len(names) < MAX_NAMES:
        kind, length = data[at], _u16(data, at + 1)[0]
        at += 3
        if kind == 0 and length:
            raw = data[at : min(at + length, end, at + MAX_NAME)]
            name = printable(raw).lower().removesuffix(".")
            if name and name not in names:
                names.append(name)
        at += length


def _read_alpn(data: bytes, at: int, end: int, protocols: list[bytes]) -> None:
    at += 2
    while at < end and len(protocols) < MAX_ALPN:
        length = data[at]
        protocols.append(data[at + 1 : min(at + 1 + length, end)])
        at += 1 + length


def _numbers(data: bytes, at: int, end: int) -> tuple[int, ...]:
    """Return the 16-bit numbers that fit between two offsets."""
    return unpack_from(f">{(end - at) // 2}H", data, at) if end > at else ()


def _sslv2(data: bytes) -> HelloResult:
    """Read the SSLv2-compatible hello that OpenSSL servers still accept (RFC 5246 E.2)."""
    length = (data[0] & 0x7F) << 8 | data[1] if len(data) > 1 else 0
    if reason := _sslv2_refusal(data, length):
        return Malformed(reason)
    if len(data) < 2 or len(data) < 2 + length:
        return None
    cursor = Cursor(data, 3, 2 + length)
    version, size = cursor.u16(), cursor.u16()
    try:
        cursor.take(4)  # lengths of the session id and the challenge
        specs = cursor.take(size)
    except EOFError:
        return Malformed("ClientHello does not parse")
    ciphers = tuple(_u16(specs, n + 1)[0] for n in range(0, size - 2, 3) if not specs[n])
    return ClientHello("", (), (), version, False, ciphers, (), ())


def _sslv2_refusal(data: bytes, length: int) -> str:
    if length > MAX_SSLV2:
        return "record longer than TLS allows"
    if len(data) > 1 and length < 9:
        return "ClientHello does not parse"
    if len(data) > 2 and data[2] != _CLIENT_HELLO:
        return "not a TLS handshake record"
    if len(data) > 3 and data[3] not in (0, 3):
        return "not a TLS record version"
    return ""
