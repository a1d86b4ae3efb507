"""SOCKS: the host that a client asks its proxy for, and the tunnel behind the handshake.

Each direction enters the tunnel where its own side of the handshake ends, so a client that does
not wait for the answer is read like one that does.
"""

from davylamp.inspection.beginning import Beginning
from davylamp.inspection.finding import AppProto
from davylamp.inspection.reader import Inner, Place
from davylamp.inspection.wire.socks import (
    SocksClientReader,
    SocksReply,
    SocksRequest,
    SocksServerReader,
)

_LAYERS = {4: Inner.SOCKS4, 5: Inner.SOCKS5}


class SocksClient(Beginning[SocksRequest]):
    """Reads the client's greeting, credentials and request."""

    __slots__ = ()

    def __init__(self, place: Place) -> None:
        super().__init__(place, SocksClientReader())

    def _report(self, found: SocksRequest, data: bytes, offset: int) -> int:
        place, context = self._place, self._place.context
        context.app_proto = AppProto.SOCKS
        self.inner = _LAYERS[found.version]
        if found.is_name:
            layers = (*place.layers, self.inner.value)
            text = data[: found.tunnel]
            context.named("socks.host", found.host, place.direction, offset, text, layers)
        return found.tunnel


class SocksServer(Beginning[SocksReply]):
    """Reads the proxy's answers; where it refuses there is no tunnel."""

    __slots__ = ()

    def __init__(self, place: Place) -> None:
        super().__init__(place, SocksServerReader())

    def _report(self, found: SocksReply, data: bytes, offset: int) -> int:  # noqa: ARG002 - a hook
        if found.granted:
            self._place.context.app_proto = AppProto.SOCKS
            self.inner = _LAYERS[found.version]
        return found.tunnel
