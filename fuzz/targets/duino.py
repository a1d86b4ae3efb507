"""Duino-Coin conversations: the same messages in any split, bounded memory."""

from hashlib import sha1
from itertools import groupby

from fuzz.records import join, split

from davylamp.flow import Direction
from davylamp.inspection.wire.duino import MAX_MESSAGE, DuinoSession

LAST = sha1(b"last").hexdigest()  # noqa: S324 - the coin's own
WORK = f"{LAST},{sha1(f'{LAST}4711'.encode()).hexdigest()},5".encode()  # noqa: S324
RESULT = b"4711,1234567.8,Official PC Miner 4.3,None,,1234"

SEEDS = (
    join((1, b"4.3"), (0, b"JOB,me,LOW,key,"), (1, WORK), (0, RESULT), (1, b"GOOD")),
    join((1, b"3.0\r\n"), (0, b"MOTD\n"), (1, b"hi\n"), (0, b"JOB,me,ESP32,\n"), (1, WORK + b"\n")),
    join((1, WORK + b"\n"), (0, b"4712" + RESULT[4:] + b"\n"), (1, b"BAD,Incorrect result\n")),
)


def fuzz_one(data: bytes) -> None:
    """Observe the records as they are, merged, and byte by byte."""
    talk = [((Direction.ORIGINATOR, Direction.RESPONDER)[c & 1], p) for c, p in split(data) if p]
    merged = [
        (who, b"".join(payload for _, payload in part))
        for who, part in groupby(talk, key=lambda record: record[0])
    ]
    singles = [(who, p[at : at + 1]) for who, p in talk for at in range(len(p))]
    answers = []
    for way in (talk, merged, singles):
        session = DuinoSession()
        answers.append([m for who, payload in way for m in session.observe(who, payload)])
        assert session.held <= 2 * MAX_MESSAGE
    assert answers[0] == answers[1] == answers[2], f"cut otherwise it reads otherwise: {answers}"
