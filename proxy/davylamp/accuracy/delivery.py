"""How the pieces of a conversation come in segments."""

from collections.abc import Iterator
from enum import StrEnum

from davylamp.accuracy.pieces import Piece, Pieces
from davylamp.flow import Direction

MAX_SEGMENT = 32 * 1024
"""What an end hands over at a time at most, in bytes."""

_SEGMENTS = 100


class Delivery(StrEnum):
    """How the stream is cut."""

    WHOLE = "whole"
    BYTES = "byte by byte"
    HUNDRED = "over 100 segments"


type Segment = tuple[Direction, bytes]


def segments(delivery: Delivery, pieces: Pieces) -> Iterator[Segment]:
    """Yield the same bytes in the same order, cut.

    Whole: what one end says before the other speaks comes together.
    """
    match delivery:
        case Delivery.WHOLE:
            yield from _together(pieces)
        case Delivery.BYTES:
            for piece in pieces:
                yield from _cut(piece.direction, piece.data, 1)
        case Delivery.HUNDRED:
            for piece in pieces:
                size = _hundredth(piece) if piece.complete else MAX_SEGMENT
                yield from _cut(piece.direction, piece.data, size)


def _together(pieces: Pieces) -> Iterator[Segment]:
    waiting: list[bytes] = []
    direction = pieces[0].direction
    for piece in pieces:
        if piece.direction is not direction:
            yield from _cut(direction, b"".join(waiting), MAX_SEGMENT)
            waiting, direction = [], piece.direction
        waiting.append(piece.data)
    yield from _cut(direction, b"".join(waiting), MAX_SEGMENT)


def _hundredth(piece: Piece) -> int:
    return max(1, len(piece.data) // _SEGMENTS)


def _cut(direction: Direction, data: bytes, size: int) -> Iterator[Segment]:
    for at in range(0, len(data), size):
        yield direction, data[at : at + size]
