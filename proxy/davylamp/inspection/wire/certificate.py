"""The certificate that a server shows in the clear: TLS up to 1.2.

After its ServerHello comes its Certificate message, its own certificate first (RFC 5246 sections
7.4.2 and 6.2.1). TLS 1.3 encrypts it: there what follows the ServerHello are records of another
type (RFC 8446 sections 4.4.2 and D.4), and so it is where a session is resumed.
"""

from davylamp.inspection.wire.tls import MAX_EMPTY_RECORDS, MAX_RECORD

MAX_FLIGHT = 16 * 1024
"""Bytes of the server's within which its own certificate must end."""

_START = b"\x16\x03"  # a handshake record of any version since SSL 3.0
_SERVER_HELLO, _CERTIFICATE = 2, 11
_HEAD = 4  # of a handshake message: its type and length
_LISTED = 6  # the lengths of the list of certificates and of the first in it


class CertificateReader:
    """Reads one server's stream up to the end of its own certificate.

    ``result`` is None while more is needed, the certificate's DER, or nothing where none will be
    shown. At most `MAX_FLIGHT` bytes are held.
    """

    __slots__ = ("_buffer", "_empty", "_handshake", "_left", "_seen", "_taken", "end", "result")

    def __init__(self) -> None:
        self.result: bytes | None = None
        self._buffer = bytearray()  # not yet assigned to a record
        self._handshake = bytearray()  # from the first message on that is not done with
        self._left = 0  # bytes missing from the present record
        self._seen = 0
        self._taken = 0  # bytes of the stream that are in no buffer or in the handshake's
        self.end = 0
        """Bytes of the stream up to the certificate's end, once it is there."""
        self._empty = 0

    @property
    def held(self) -> int:
        """Bytes that its buffers hold."""
        return len(self._buffer) + len(self._handshake)

    def feed(self, data: bytes) -> bytes | None:
        """Take the next bytes; return the result when there is one, as ever after."""
        if self.result is not None:
            return self.result
        self._buffer += data[: MAX_FLIGHT - self._seen]
        self._seen += len(data)
        self.result = self._advance()
        if self.result is None and self._seen >= MAX_FLIGHT:
            self.result = b""
        if self.result is not None:
            self._buffer.clear()
            self._handshake.clear()
        return self.result

    def _advance(self) -> bytes | None:
        while True:
            if not self._left and not self._header():
                return None if self._may_be_record() else b""
            part = self._buffer[: self._left]
            del self._buffer[: len(part)]
            self._left -= len(part)
            self._taken += len(part)
            self._handshake += part
            if (found := self._messages()) is not None:
                return found
            if not self._buffer:
                return None

    def _header(self) -> bool:
        """Take a record's header; tell whether there was a whole and good one."""
        head = self._buffer
        if len(head) < 5 or not self._may_be_record():
            return False
        self._left = head[3] << 8 | head[4]
        self._empty += not self._left
        self._taken += 5
        del head[:5]
        return True

    def _may_be_record(self) -> bool:
        head = self._buffer
        return (
            self._empty <= MAX_EMPTY_RECORDS
            and _START.startswith(bytes(head[:2]))
            and (len(head) < 5 or head[3] << 8 | head[4] <= MAX_RECORD)
        )

    def _messages(self) -> bytes | None:
        """Pass over the ServerHello; return the certificate behind it once it is whole."""
        said = self._handshake
        while len(said) >= _HEAD:
            length = said[1] << 16 | said[2] << 8 | said[3]
            if said[0] != _SERVER_HELLO:
                return self._first(length) if said[0] == _CERTIFICATE else b""
            if len(said) < _HEAD + length:
                return None
            del said[: _HEAD + length]
        return None

    def _first(self, length: int) -> bytes | None:
        """Return the first certificate of the message at hand, which has this length."""
        said = self._handshake
        if len(said) < _HEAD + _LISTED:
            return None
        listed = said[4] << 16 | said[5] << 8 | said[6]
        size = said[7] << 16 | said[8] << 8 | said[9]
        if listed + 3 != length or not 0 < size <= listed - 3:
            return b""
        end = _HEAD + _LISTED + size
        if len(said) < end:
            return None
        self.end = self._taken - (len(said) - end)
        return bytes(said[_HEAD + _LISTED : end])
