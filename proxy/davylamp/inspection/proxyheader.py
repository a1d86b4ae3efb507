"""The PROXY protocol's header in front of a client's stream; both directions are then inside."""

from davylamp.inspection.beginning import Beginning
from davylamp.inspection.reader import Inner, Place
from davylamp.inspection.wire.proxy_protocol import ProxyHeader, ProxyHeaderReader


class ProxyPrefix(Beginning[ProxyHeader]):
    """Reads the header; its authority is the name that the proxy's own client sent in TLS."""

    __slots__ = ()

    def __init__(self, place: Place) -> None:
        super().__init__(place, ProxyHeaderReader())

    def _report(self, found: ProxyHeader, data: bytes, offset: int) -> int:
        place = self._place
        self.inner = Inner.PROXY_HEADER
        if found.authority:
            layers = (*place.layers, self.inner.value)
            text = data[: found.payload]
            place.context.named("tls.sni", found.authority, place.direction, offset, text, layers)
        return found.payload
