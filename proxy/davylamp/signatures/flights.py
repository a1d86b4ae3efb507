"""The sizes of the first flights: what can be measured of a flow before it is cleared.

A flight is all that one side sends until the other says something. Its size does not depend on how
it was cut into segments, which is not so of "messages" that nobody can read; its end is known once
the other side speaks.
"""

from dataclasses import dataclass

from davylamp.flow import Direction

MAX_FLIGHTS = 8
"""Flights of a flow whose sizes are known."""


class Flights:
    """The flights so far of one flow, or of a tunnel in it; the last may go on.

    ``sizes`` has who sent each, and how many bytes.
    """

    __slots__ = ("sizes",)

    def __init__(self) -> None:
        self.sizes: list[tuple[Direction, int]] = []

    def add(self, direction: Direction, size: int) -> None:
        """Note that a side sent so many more bytes (at least one)."""
        sizes = self.sizes
        if sizes and sizes[-1][0] is direction:
            sizes[-1] = (direction, sizes[-1][1] + size)
        elif len(sizes) <= MAX_FLIGHTS:  # one more, by which the last has ended
            sizes.append((direction, size))


@dataclass(frozen=True, slots=True)
class Sized:
    """The first flights of a flow, in order: whose each is, and its least and greatest size.

    None as the greatest is no limit.
    """

    flights: tuple[tuple[Direction, int, int | None], ...]

    def judge(self, seen: Flights) -> bool | None:
        """Tell whether a flow that begins so is one; None while more bytes may tell."""
        last = len(self.flights) - 1
        for number, (direction, low, high) in enumerate(self.flights):
            if number >= len(seen.sizes):
                return None
            side, size = seen.sizes[number]
            if side is not direction or (high is not None and size > high):
                return False
            if number + 1 < len(seen.sizes):
                if size < low:
                    return False
            elif number < last or high is not None or size < low:
                return None
        return True
