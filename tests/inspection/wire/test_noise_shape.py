"""The sizes of Stratum V2 under Noise, in any segments, and protocols that come near."""

import random
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.flow import Direction
from davylamp.inspection.wire.noise_shape import NoiseShape, NoiseStage

I, R = Direction.ORIGINATOR, Direction.RESPONDER  # noqa: E741 - initiator and responder


def _flights(*sizes: int, seed: int = 1) -> list[tuple[Direction, bytes]]:
    chance = random.Random(seed)
    return [((I, R)[n % 2], chance.randbytes(size)) for n, size in enumerate(sizes)]


def _splits(flights: list[tuple[Direction, bytes]]) -> Iterator[list[tuple[Direction, bytes]]]:
    yield flights
    yield [(who, data[n : n + 1]) for who, data in flights for n in range(len(data))]
    for index, (who, data) in enumerate(flights):
        for cut in range(1, len(data), 7):
            yield [*flights[:index], (who, data[:cut]), (who, data[cut:]), *flights[index + 1 :]]


def _stage(flights: list[tuple[Direction, bytes]]) -> NoiseStage:
    shape = NoiseShape()
    for who, data in flights:
        shape.observe(who, data)
    return shape.stage


STAGES = [
    ((), NoiseStage.OPEN),
    ((63,), NoiseStage.OPEN),
    ((64,), NoiseStage.KEY),
    ((64, 233), NoiseStage.KEY),
    ((64, 234), NoiseStage.KEY),
    ((64, 234, 76), NoiseStage.HANDSHAKE),
    ((64, 234, 76, 44), NoiseStage.SETUP),
    ((64, 234, 76, 44, 88), NoiseStage.ACCEPTED),
    ((64, 234, 76, 44, 88, 91), NoiseStage.CHANNEL),
    ((64, 234, 55, 44, 80, 1), NoiseStage.CHANNEL),
    ((64, 234, 1329, 44, 336, 1), NoiseStage.CHANNEL),
    ((64, 234, 76, 44, 62, 58), NoiseStage.ACCEPTED),
    ((64, 234, 76, 44, 337), NoiseStage.ACCEPTED),
    ((65,), NoiseStage.RULED_OUT),
    ((63, 1), NoiseStage.RULED_OUT),
    ((64, 235), NoiseStage.RULED_OUT),
    ((64, 233, 1), NoiseStage.RULED_OUT),
    ((64, 234, 54, 1), NoiseStage.RULED_OUT),
    ((64, 234, 1330), NoiseStage.RULED_OUT),
    ((64, 234, 76, 43, 1), NoiseStage.RULED_OUT),
    ((64, 234, 76, 45), NoiseStage.RULED_OUT),
]


@pytest.mark.parametrize(("sizes", "stage"), STAGES, ids=[str(row[0]) for row in STAGES])
def test_stages(sizes: tuple[int, ...], stage: NoiseStage) -> None:
    """Each flight's size takes the shape one stage further or rules it out, in any segments."""
    for flights in _splits(_flights(*sizes)):
        assert _stage(flights) == stage


def test_evidence_is_complete_with_the_request_for_a_channel() -> None:
    """Whoever drops the packet that first shows ACCEPTED drops the fifth flight."""
    shape = NoiseShape()
    seen = [shape.observe(who, data) for who, data in _flights(64, 234, 76, 44, 88, 91)]
    assert seen == [1, 1, 2, 3, 4, 5]


def test_responder_first_is_ruled_out() -> None:
    """The initiator of Noise NX speaks first."""
    assert _stage([(R, b"x")]) == NoiseStage.RULED_OUT


TEXT = b"POST /api/v1/telemetry HTTP/1.1\r\nHost: collector.example\r\n\r\n" + b"x" * 200
NOT_RANDOM = [
    ("text", TEXT[:64]),
    ("zeros", bytes(64)),
    ("counter", bytes(range(64))),
    ("base64", b"eyJpZCI6MSwibWV0aG9kIjoibG9naW4iLCJwYXJhbXMiOnsibG9naW4iOiI0OEFx"),
    ("few values", bytes(range(0, 256, 8)) * 2),
    ("half padding", random.Random(3).randbytes(24) + bytes(40)),
]


@pytest.mark.parametrize(("name", "first"), NOT_RANDOM, ids=[row[0] for row in NOT_RANDOM])
def test_first_flight_must_look_random(name: str, first: bytes) -> None:
    """Sixty-four bytes of text or structure are no key."""
    rest = _flights(64, 234, 76, 44, 88)[1:]
    for flights in _splits([(I, first), *rest]):
        assert _stage(flights) == NoiseStage.RULED_OUT


def test_second_flight_must_look_random() -> None:
    """A responder that answers 234 bytes of text is no Noise responder."""
    flights = _flights(64, 234, 76)
    flights[1] = (R, TEXT[:234])
    assert _stage(flights) == NoiseStage.RULED_OUT


def test_true_handshakes_pass() -> None:
    """Of 20,000 random handshakes none fails: the bound says 0.04 would."""
    for seed in range(20_000):
        assert _stage(_flights(64, 234, 60, 44, seed=seed)) == NoiseStage.SETUP


def _bip324(chance: random.Random) -> tuple[int, ...]:
    """Sizes of Bitcoin's v2 transport: key and garbage, twice, then terminator and packets."""
    return (
        64 + chance.randrange(4096),
        64 + chance.randrange(4096) + 16 + 20,
        16 + 20 + chance.randrange(100, 200),
        chance.randrange(60, 300),
        chance.randrange(60, 300),
    )


def _mtproto(chance: random.Random) -> tuple[int, ...]:
    """Obfuscated MTProto: 64 bytes of key material with the first request behind it."""
    return (64 + chance.choice((41, 42, 44, 45, 56)), chance.choice((84, 85, 88)), 340, 652, 396)


def _obfs4(chance: random.Random) -> tuple[int, ...]:
    """Elligator key, padding and two MACs, then the server's with a seed frame."""
    return (64 + 85 + chance.randrange(8043), 96 + chance.randrange(8096), 500, 500, 500)


def _shadowsocks(chance: random.Random) -> tuple[int, ...]:
    """AEAD with a salt of 16 or 32: address and request in one flight, then the answer."""
    salt = chance.choice((16, 32))
    request, answer = chance.randrange(20, 700), chance.randrange(100, 1400)
    return (salt + 34 + 7 + request, salt + 34 + answer, 34 + request, 34 + answer, 34 + request)


@pytest.mark.parametrize("family", [_bip324, _mtproto, _obfs4, _shadowsocks])
def test_look_alikes(family: object) -> None:
    """Ten thousand connections of each look-alike: at most a handful weak, none strong."""
    assert callable(family)
    chance = random.Random(7)
    stages = [_stage(_flights(*family(chance), seed=n)) for n in range(10_000)]
    assert max(stages) < NoiseStage.SETUP
    assert sum(stage >= NoiseStage.HANDSHAKE for stage in stages) <= 5


@given(st.lists(st.tuples(st.sampled_from([I, R]), st.binary(max_size=300)), max_size=12))
@settings(max_examples=200, deadline=None)
def test_any_flights_are_answered(flights: list[tuple[Direction, bytes]]) -> None:
    """Arbitrary flights never raise, hold little, and read the same in one piece."""
    shape = NoiseShape()
    stages = [shape.observe(who, data) for who, data in flights]
    assert all(two >= one or two is NoiseStage.RULED_OUT for one, two in pairwise(stages))
    merged: list[tuple[Direction, bytes]] = []
    for who, data in flights:
        if merged and merged[-1][0] is who:
            merged[-1] = (who, merged[-1][1] + data)
        elif data:
            merged.append((who, data))
    assert _stage(merged) == shape.stage
