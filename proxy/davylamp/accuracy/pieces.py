"""What one end puts on the wire at a time."""

from dataclasses import dataclass

from davylamp.flow import Direction

C, S = Direction.ORIGINATOR, Direction.RESPONDER


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of one end, of which ``complete`` are needed for a message; 0 where there is none."""

    direction: Direction
    data: bytes
    complete: int = 0


type Pieces = tuple[Piece, ...]
