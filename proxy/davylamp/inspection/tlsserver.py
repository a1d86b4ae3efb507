"""What a server answers a ClientHello with, where the pack asks for certificates.

A reader for as long as the certificate may still come, and no longer: then it hands all back, to
be read as it is where nobody asks, and lets the client's side go.
"""

from davylamp.inspection.finding import AppProto
from davylamp.inspection.reader import Inner, Place
from davylamp.inspection.tls import TlsClient
from davylamp.inspection.wire.certificate import CertificateReader


class TlsServer:
    """Reads the responder's first TLS flight."""

    __slots__ = ("_client", "_held", "_place", "_reader")
    inner = Inner.NONE
    settled = False

    def __init__(self, place: Place, client: TlsClient) -> None:
        self._place = place
        self._client = client
        self._reader = CertificateReader()
        self._held = b""

    @property
    def partial(self) -> bool:
        """Whether the certificate may still come: always, for then this reader goes."""
        return True

    @property
    def held(self) -> int:
        """Bytes of the flight so far, here and in its reader."""
        return len(self._held) + self._reader.held

    def receive(self, data: bytes, offset: int) -> bytes | None:
        """Take bytes up to the certificate's end; hand back all of them then."""
        self._held += data
        shown = self._reader.feed(data)
        if shown is None:
            return None
        self._client.answered()
        held, self._held = self._held, b""
        if shown:
            place = self._place
            start = offset + len(data) - len(held)
            layers = (*place.layers, AppProto.TLS.value)
            place.context.certified(shown, (start, start + self._reader.end), layers)
        return held
