"""Duino-Coin conversations as its miners hold them, and lines that only look alike."""

from collections.abc import Iterator
from hashlib import sha1
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.flow import Direction
from davylamp.inspection.wire.duino import (
    CONCLUSIVE,
    MAX_MESSAGE,
    MAX_MISSES,
    DuinoKind,
    DuinoMessage,
    DuinoSession,
)

C, S = Direction.ORIGINATOR, Direction.RESPONDER
type Talk = list[tuple[Direction, bytes]]

LAST = sha1(b"last").hexdigest()
EXPECTED = sha1(f"{LAST}4711".encode()).hexdigest()
WORK = f"{LAST},{EXPECTED},5".encode()
REQUEST = b"JOB,revox,LOW,key,"
RESULT = b"4711,1234567.8,Official PC Miner 4.3,None,,1234"
WRONG = RESULT.replace(b"4711", b"4712")

GREETING, REQUESTED = (DuinoKind.GREETING, 1), (DuinoKind.REQUEST, 2)
WORKED, CLAIMED, PROVEN = (DuinoKind.WORK, 2), (DuinoKind.RESULT, 2), (DuinoKind.RESULT, 3)
FEEDBACK = (DuinoKind.FEEDBACK, 1)

TALKS: list[tuple[str, Talk, list[tuple[DuinoKind, int]]]] = [
    (
        "PC miner, no newline anywhere",
        [(S, b"4.3"), (C, REQUEST), (S, WORK), (C, RESULT), (S, b"GOOD"), (C, REQUEST)],
        [GREETING, REQUESTED, WORKED, PROVEN, FEEDBACK, REQUESTED],
    ),
    (
        "ESP, newlines everywhere",
        [
            (S, b"3.0\n"),
            (C, b"JOB,revox,ESP8266H,key,Temp:41*C\n"),
            (S, WORK + b"\n"),
            (C, b"4711,9876.54,Official ESP8266 Miner 4.3,rig,DUCOID12ab,77\n"),
            (S, b"BAD,Incorrect result\n"),
        ],
        [GREETING, REQUESTED, WORKED, PROVEN, FEEDBACK],
    ),
    (
        "CRLF and MOTD",
        [(S, b"3.0\r\n"), (C, b"MOTD\r\n"), (S, b"Welcome!\r\n"), (C, REQUEST + b"\r\n")],
        [GREETING, REQUESTED],
    ),
    ("joined at the work", [(S, WORK + b"\n"), (C, RESULT)], [WORKED, PROVEN]),
    ("bare nonce", [(S, WORK), (C, b"4711"), (S, b"GOOD")], [WORKED, PROVEN, FEEDBACK]),
    ("wrong nonce", [(S, WORK), (C, WRONG), (S, b"BAD")], [WORKED, CLAIMED, FEEDBACK]),
    ("feedback and next work", [(C, WRONG), (S, b"BAD\n" + WORK)], [CLAIMED, FEEDBACK, WORKED]),
    ("two messages in a segment", [(C, REQUEST + b"\n" + RESULT + b"\n")], [REQUESTED, CLAIMED]),
]


def _splits(talk: Talk) -> Iterator[Talk]:
    yield talk
    yield [(who, data[n : n + 1]) for who, data in talk for n in range(len(data))]
    for index, (who, data) in enumerate(talk):
        for cut in range(1, len(data)):
            yield [*talk[:index], (who, data[:cut]), (who, data[cut:]), *talk[index + 1 :]]


def _read(talk: Talk) -> tuple[list[DuinoMessage], DuinoSession]:
    session = DuinoSession()
    return [message for who, data in talk for message in session.observe(who, data)], session


@pytest.mark.parametrize(("name", "talk", "expected"), TALKS, ids=[row[0] for row in TALKS])
def test_talks(name: str, talk: Talk, expected: list[tuple[DuinoKind, int]]) -> None:
    """A conversation reads the same in any segments, at the same places."""
    talk = [*talk, (C, b"?"), (S, b"!")]  # each side speaks once more
    whole, _ = _read(talk)
    for way in _splits(talk):
        found, session = _read(way)
        assert found == whole
        assert [(message.kind, message.weight) for message in found] == expected
        assert session.conclusive


def test_places() -> None:
    """A message's end is where its pattern was complete, not where its line ends."""
    found, _ = _read([(S, b"4.3\n"), (C, REQUEST), (S, WORK), (C, RESULT)])
    assert [(m.direction, m.offset, m.end) for m in found] == [
        (S, 0, 3),
        (C, 0, len(b"JOB,revox,LOW")),
        (S, 4, 4 + 83),
        (C, len(REQUEST), len(REQUEST) + 4),
    ]
    assert found[1].user == "revox"
    assert found[3].proven


def test_first_request_behind_a_greeting_is_conclusive() -> None:
    """A miner is known by its first message."""
    session = DuinoSession()
    session.observe(S, b"4.3")
    (greeting, request) = session.observe(C, REQUEST)
    assert (greeting.score, request.score) == (1, CONCLUSIVE)


ALIKE: list[tuple[str, Talk]] = [
    ("job queue that praises", [(C, b"JOB,alice,LOW\n"), (S, b"GOOD\n"), (C, b"JOB,bob,LOW\n")]),
    ("job queue", [(C, b"JOB,alice,LOW\n"), (S, b"OK 17\n"), (C, b"JOB,bob,NET\n"), (S, b"OK\n")]),
    ("job queue with no priority", [(S, b"1.0\n"), (C, b"JOB,17\n"), (S, b"GOOD\n")]),
    ("people", [(C, b"12,38.5,Coal Miner,Wales\n13,41.0,Teacher,Kent\n"), (S, b"2 rows\n")]),
    ("commits", [(S, f"{LAST},{EXPECTED},7\n{EXPECTED},{LAST},8\n".encode())]),
    ("quoted", [(C, b"> JOB,revox,LOW,key\n"), (S, b'the server said "GOOD"\n')]),
    ("upper-case hashes", [(S, WORK.upper()), (C, b"4711")]),
    ("short hashes", [(S, WORK[1:]), (C, RESULT[:4])]),
    ("version later", [(S, b"hello\n4.3\n"), (C, REQUEST)]),
    ("version with text", [(S, b"4.3 ready"), (C, b"JOBS,a,LOW")]),
    ("SMTP", [(S, b"220 a ESMTP\r\n"), (C, b"EHLO b\r\n"), (S, b"250 a\r\n")]),
]


@pytest.mark.parametrize(("name", "talk"), ALIKE, ids=[row[0] for row in ALIKE])
def test_look_alikes(name: str, talk: Talk) -> None:
    """Lines that share words or shapes with Duino-Coin are never conclusive."""
    for way in _splits([*talk, (C, b"?"), (S, b"!")]):
        _, session = _read(way)
        assert not session.conclusive


def test_watching_ends() -> None:
    """After enough messages that match nothing the session lets go of everything."""
    session = DuinoSession()
    for _ in range(MAX_MISSES + 1):
        session.observe(C, b"something else\n")
    assert not session.watching
    assert session.held == 0
    assert session.observe(S, b"4.3") == []
    assert session.observe(C, REQUEST) == []


def test_memory_is_bounded() -> None:
    """A message that never ends is held up to its limit."""
    session = DuinoSession()
    for _ in range(100):
        session.observe(S, b"x" * 1000)
    assert session.held == MAX_MESSAGE


PIECES = st.sampled_from(
    [b"4.3", b"\n", b",", REQUEST, WORK, RESULT, b"GOOD", b"4711", b"\r\n", b"x" * 300]
)


@given(
    st.lists(
        st.tuples(st.sampled_from([C, S]), st.one_of(st.binary(max_size=30), PIECES)), max_size=12
    )
)
@settings(max_examples=200, deadline=None)
def test_any_talk_is_answered(talk: Talk) -> None:
    """Arbitrary messages never raise and read the same whole and byte by byte."""
    merged = [
        (who, b"".join(data for _, data in part))
        for who, part in groupby([t for t in talk if t[1]], key=lambda t: t[0])
    ]
    singles = [(who, data[n : n + 1]) for who, data in talk for n in range(len(data))]
    assert _read(talk)[0] == _read(merged)[0] == _read(singles)[0]
