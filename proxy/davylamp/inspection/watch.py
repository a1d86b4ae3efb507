"""What only both directions together tell: Stratum V2's Noise handshake, and Duino-Coin.

A watch stands beside the readers of opaque streams, not in their place: what it looks for has no
magic, so the bytes are searched for messages all the same. It goes as soon as it can find nothing.
"""

from davylamp.flow import Direction
from davylamp.inspection.context import Context
from davylamp.inspection.finding import AppProto
from davylamp.inspection.wire.duino import (
    CONCLUSIVE,
    MAX_MESSAGE,
    DuinoKind,
    DuinoMessage,
    DuinoSession,
)
from davylamp.inspection.wire.noise_shape import NoiseShape, NoiseStage

DUINO_STARTS = b"0123456789abcdefJ"
"""What a message of Duino-Coin may begin with: a version, a nonce, a hash, or ``JOB``."""

_STAGES = {
    NoiseStage.HANDSHAKE: "stratum-v2.noise-handshake",
    NoiseStage.ACCEPTED: "stratum-v2.noise-session",
}


class Watch:
    """Watches both directions of one layer of a flow."""

    __slots__ = ("_context", "_duino", "_noise", "_stage", "_start", "_tails", "layers")

    def __init__(self, context: Context, layers: tuple[str, ...]) -> None:
        self.layers = layers
        self._context = context
        self._noise: NoiseShape | None = None
        self._stage = NoiseStage.OPEN
        self._start = 0  # of the Noise handshake in the originator's stream
        self._duino: DuinoSession | None = None
        self._tails: dict[Direction, _Tail] = {}

    @property
    def watching(self) -> bool:
        """Whether more bytes may tell anything."""
        return self._noise is not None or self._duino is not None

    @property
    def held(self) -> int:
        """Bytes kept for the next call, at most."""
        duino = self._duino.held if self._duino is not None else 0
        noise = self._noise.held if self._noise is not None else 0
        return noise + duino + sum(len(tail.data) for tail in self._tails.values())

    def begin_noise(self, data: bytes, offset: int) -> None:
        """Watch for Noise, from the originator's first bytes on."""
        self._noise = NoiseShape()
        self._start = offset
        self._see_noise(self._noise, Direction.ORIGINATOR, data)

    def begin_duino(self, direction: Direction, data: bytes, offset: int) -> None:
        """Watch for Duino-Coin, from these bytes on, if that is not done already."""
        if self._duino is None:
            self._duino = DuinoSession()
            self._see_duino(self._duino, direction, data, offset)

    def observe(self, direction: Direction, data: bytes, offset: int) -> None:
        """Take the next bytes of a direction, in the order in which both spoke."""
        if self._noise is not None:
            self._see_noise(self._noise, direction, data)
        if self._duino is not None:
            self._see_duino(self._duino, direction, data, offset)

    def _see_noise(self, noise: NoiseShape, direction: Direction, data: bytes) -> None:
        stage = noise.observe(direction, data)
        for reached, event in _STAGES.items():
            if self._stage < reached <= stage:
                self._context.noticed(
                    event, Direction.ORIGINATOR, self._start, b"", (*self.layers, "noise")
                )
        self._stage = max(stage, self._stage)
        if not noise.watching:
            self._noise = None

    def _see_duino(
        self, duino: DuinoSession, direction: Direction, data: bytes, offset: int
    ) -> None:
        tail = self._tails.setdefault(direction, _Tail(offset))
        tail.add(data)
        known = duino.score
        for message in duino.observe(direction, data):
            if message.score > known:
                self._tell(message)
            known = message.score
        tail.cut()
        if duino.conclusive or not duino.watching:
            self._duino = None
            self._tails.clear()

    def _tell(self, message: DuinoMessage) -> None:
        """Report a message that adds to what is known of the session."""
        conclusive = message.score >= CONCLUSIVE
        if not conclusive and message.kind is not DuinoKind.REQUEST:
            return  # a table may hold a pair of hashes, and a person be a miner
        context, tail = self._context, self._tails[message.direction]
        if conclusive:
            context.app_proto = AppProto.DUINO_COIN
        context.noticed(
            "duino-coin.session" if conclusive else "duino-coin.message",
            message.direction,
            tail.start + message.offset,
            tail.between(message.offset, message.end),
            (*self.layers, AppProto.DUINO_COIN.value),
            detail=f"Duino-Coin {message.kind}" + (", proven by its hash" * message.proven),
        )


class _Tail:
    """The last bytes of one direction, of which evidence is cut; ``start`` is where they began."""

    __slots__ = ("_seen", "data", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.data = b""
        self._seen = 0  # since the start

    def add(self, data: bytes) -> None:
        self.data += data
        self._seen += len(data)

    def between(self, offset: int, end: int) -> bytes:
        first = self._seen - len(self.data)
        return self.data[max(0, offset - first) : end - first]

    def cut(self) -> None:
        """Keep what a message that has not ended may have begun with."""
        self.data = self.data[-MAX_MESSAGE:]
