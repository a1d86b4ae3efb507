"""How a client's application bytes become TCP segments."""

from collections.abc import Iterator, Sequence
from enum import StrEnum


class WireStyle(StrEnum):
    """The ways to cut a message; each piece is written with TCP_NODELAY, so it is a segment."""

    WHOLE = "whole"
    BYTEWISE = "bytewise"
    HALVES = "halves"
    TWO_IN_ONE = "two-in-one"
    LATE_NEWLINE = "late-newline"
    NO_NEWLINE = "no-newline"


def batches[T](style: WireStyle, messages: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield the opening messages as they are sent before an answer is awaited.

    A usual client awaits the answer to each; ``two-in-one`` pipelines the first two.
    """
    first = 2 if style is WireStyle.TWO_IN_ONE else 1
    yield messages[:first]
    for message in messages[first:]:
        yield [message]


def segments(style: WireStyle, payload: bytes) -> Iterator[bytes]:
    """Yield a batch's bytes, newline included, as one piece a segment."""
    match style:
        case WireStyle.WHOLE | WireStyle.TWO_IN_ONE:
            yield payload
        case WireStyle.BYTEWISE:
            for position in range(len(payload)):
                yield payload[position : position + 1]
        case WireStyle.HALVES:
            middle = len(payload) // 2
            yield payload[:middle]
            yield payload[middle:]
        case WireStyle.LATE_NEWLINE:
            yield payload[:-1]
            yield payload[-1:]
        case WireStyle.NO_NEWLINE:
            yield payload.rstrip(b"\n")
