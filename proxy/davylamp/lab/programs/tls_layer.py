"""TLS for a server, over memory: ciphertext in, plaintext out, so that both can be recorded."""

import ssl
from collections.abc import Callable

CHUNK = 65_536


class TlsLayer:
    """The server's end of one TLS connection.

    ``make_context`` gives this connection a context of its own, for the name that the client asks
    for is told to the context. The methods raise ssl.SSLError where the peer's bytes are not TLS.
    """

    def __init__(self, make_context: Callable[[], ssl.SSLContext]) -> None:
        context = make_context()
        context.sni_callback = self._asked
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.server_name: str | None = None
        self.established = False
        self.ended = False

    @property
    def version(self) -> str | None:
        """The negotiated protocol version."""
        return self._object.version()

    def receive(self, data: bytes) -> bytes:
        """Take ciphertext; return the plaintext it completed. See ``pending`` for what to send."""
        self._incoming.write(data)
        try:
            if not self.established:
                self._object.do_handshake()
                self.established = True
            return self._read()
        except ssl.SSLWantReadError:
            return b""

    def send(self, data: bytes) -> None:
        """Encrypt plaintext; see ``pending``."""
        self._object.write(data)

    def pending(self) -> bytes:
        """Return, once, the ciphertext that is to be sent."""
        return self._outgoing.read()

    def _read(self) -> bytes:
        plain = bytearray()
        try:
            while piece := self._object.read(CHUNK):
                plain += piece
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        return bytes(plain)

    def _asked(self, _object: object, name: str | None, _context: object) -> None:
        self.server_name = name
