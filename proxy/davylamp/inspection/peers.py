"""How blockchain nodes greet their peers: an event of its own category, for policy to weigh."""

from davylamp.flow import Direction
from davylamp.inspection.beginning import Beginning
from davylamp.inspection.finding import AppProto
from davylamp.inspection.reader import Place
from davylamp.inspection.wire.p2p import P2pOpening, P2pReader

_COINS = {
    "bitcoin": "BTC",
    "bitcoin-cash": "BCH",
    "namecoin": "NMC",
    "litecoin": "LTC",
    "dogecoin": "DOGE",
    "zcash": "ZEC",
    "dash": "DASH",
    "monero": "XMR",
    "monero-p2pool": "XMR",
}


class PeerGreeting(Beginning[P2pOpening]):
    """Reads a peer's first message, of either side."""

    __slots__ = ()

    def __init__(self, place: Place) -> None:
        super().__init__(place, P2pReader(from_opener=place.direction is Direction.ORIGINATOR))

    def _report(self, found: P2pOpening, data: bytes, offset: int) -> int:
        place, context = self._place, self._place.context
        context.app_proto = AppProto.PEER
        network = found.network or "an unknown network"
        agent = f" {found.agent}" if found.agent else ""
        context.noticed(
            f"p2p.{found.family}",
            place.direction,
            offset,
            data[: found.end],
            (*place.layers, AppProto.PEER.value),
            detail=f"a peer of {network} says {found.command}{agent}",
            coin=_COINS.get(found.network, ""),
        )
        return found.end
