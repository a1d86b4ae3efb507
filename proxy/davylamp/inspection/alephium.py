"""Alephium's binary miner protocol by its first message, which the pool says."""

from davylamp.flow import Direction
from davylamp.inspection.beginning import Beginning
from davylamp.inspection.finding import AppProto
from davylamp.inspection.reader import Place
from davylamp.inspection.wire.alephium import AlephiumMessage, AlephiumReader


class AlephiumGreeting(Beginning[AlephiumMessage]):
    """Reads the first message; a result, which is no evidence, is handed back with the rest."""

    __slots__ = ()

    def __init__(self, place: Place) -> None:
        super().__init__(place, AlephiumReader(from_client=place.direction is Direction.ORIGINATOR))

    def _report(self, found: AlephiumMessage, data: bytes, offset: int) -> int:
        if not found.conclusive:
            self.matched = False
            return 0
        place, context = self._place, self._place.context
        context.app_proto = AppProto.ALEPHIUM
        context.noticed(
            f"alephium.{found.kind}",
            place.direction,
            offset,
            data[: found.end],
            (*place.layers, AppProto.ALEPHIUM.value),
        )
        return found.end
