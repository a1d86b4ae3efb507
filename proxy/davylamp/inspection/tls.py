"""TLS from the outside: the ClientHello's names against the pack's pool hosts.

Nothing after the hello is readable here, so the hello settles the flow; unless the pack asks for
certificates, which a server may show in the clear (`tlsserver`).
"""

from davylamp.inspection.finding import AppProto
from davylamp.inspection.reader import Inner, Place
from davylamp.inspection.wire.reader import Malformed
from davylamp.inspection.wire.tls import ClientHelloReader


class TlsClient:
    """Reads the originator's first TLS flight."""

    __slots__ = ("_ended", "_held", "_place", "_reader", "settled")
    inner = Inner.NONE

    def __init__(self, place: Place) -> None:
        self._place = place
        self._reader = ClientHelloReader()
        self._held = b""
        self._ended = False
        self.settled = False

    @property
    def partial(self) -> bool:
        """Whether the hello has not ended."""
        return not self._ended

    @property
    def awaits(self) -> bool:
        """Whether the server may still show the certificate that the pack asks about."""
        return self._ended and not self.settled

    def answered(self) -> None:
        """Note that the server has shown what it will."""
        self.settled = True

    @property
    def held(self) -> int:
        """Bytes of the unfinished hello, here and in its reader."""
        return 2 * len(self._held)

    def receive(self, data: bytes, offset: int) -> bytes | None:
        """Take bytes up to the hello's end; hand back what turned out not to be TLS."""
        if self._ended:
            self.settled = self.settled or offset + len(data) >= self._place.depth
            return None
        self._held += data
        hello = self._reader.feed(data)
        if hello is None:
            return None
        held, self._held = self._held, b""
        if isinstance(hello, Malformed):
            return held
        self._ended = True
        context = self._place.context
        self.settled = context.pack.certificates is None
        context.app_proto = AppProto.TLS
        context.hello = hello
        context.is_tls = context.outer is None and len(self._place.layers) == 1  # the transport
        start = offset + len(data) - len(held)
        layers = (*self._place.layers, AppProto.TLS.value)
        context.greeted(hello, start, held, layers)
        return None
