"""Flights of any size and content: the stage does not depend on segments."""

from itertools import groupby

from fuzz.records import join, split

from davylamp.flow import Direction
from davylamp.inspection.wire.noise_shape import NoiseShape

KEY = bytes(n * n * 167 + n * 59 & 0xFF ^ n for n in range(64))
ANSWER = bytes((n * 101 + (n * n >> 3)) & 0xFF for n in range(234))

SEEDS = (
    join((0, KEY), (1, ANSWER), (0, bytes(76)), (1, bytes(44)), (0, bytes(88)), (1, b"x")),
    join((0, KEY[:20]), (0, KEY[20:]), (1, ANSWER), (0, bytes(76)), (1, bytes(45))),
    join((1, KEY)),
)


def fuzz_one(data: bytes) -> None:
    """Observe the records as they are, merged, and byte by byte."""
    flights = [((Direction.ORIGINATOR, Direction.RESPONDER)[c & 1], p) for c, p in split(data) if p]
    merged = [
        (who, b"".join(payload for _, payload in group))
        for who, group in groupby(flights, key=lambda flight: flight[0])
    ]
    singles = [(who, p[at : at + 1]) for who, p in flights for at in range(len(p))]
    stages = []
    for way in (flights, merged, singles):
        shape = NoiseShape()
        for who, payload in way:
            shape.observe(who, payload)
        stages.append(shape.stage)
    assert len(set(stages)) == 1, f"segments change the stage: {stages}"
