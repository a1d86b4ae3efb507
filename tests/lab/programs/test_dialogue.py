"""The pool's conversation survives anything and acts only on finished lines."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.lab.programs.dialogue import MAX_LINE, Dialogue, Settings
from davylamp.lab.programs.pool_answer import Dialect

SUBSCRIBE = b'{"id":1,"method":"mining.subscribe","params":["cgminer/4.12.1"]}'
LOGIN = b'{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"4","pass":"x"}}'
NOW = 1_760_000_000.0


def test_first_line_decides_the_dialect() -> None:
    """mining.* is Stratum, login is CryptoNote, anything else is a fault."""
    for line, dialect in ((SUBSCRIBE, Dialect.STRATUM), (LOGIN, Dialect.CRYPTONOTE)):
        dialogue = Dialogue(Settings())
        exchange = dialogue.receive(line + b"\n", NOW)
        assert dialogue.dialect is dialect
        assert exchange.reply.endswith(b"\n")
    other = Dialogue(Settings()).receive(b'{"id":1,"method":"echo"}\n', NOW)
    assert other.fault == "neither dialect"


def test_nothing_is_answered_before_the_newline() -> None:
    """A request does nothing until its newline arrives."""
    dialogue = Dialogue(Settings())
    for position in range(len(SUBSCRIBE)):
        assert dialogue.receive(SUBSCRIBE[position : position + 1], NOW).reply == b""
    assert dialogue.scanner.complete == 1
    assert json.loads(dialogue.receive(b"\n", NOW).reply)["id"] == 1


def test_pool_may_speak_first() -> None:
    """With push_first the pool opens with a job of that dialect."""
    stratum = Dialogue(Settings(push_first=Dialect.STRATUM)).open(NOW).splitlines()
    assert [json.loads(line)["method"] for line in stratum] == [
        "mining.set_difficulty",
        "mining.notify",
    ]
    cryptonote = json.loads(Dialogue(Settings(push_first=Dialect.CRYPTONOTE)).open(NOW))
    assert cryptonote["method"] == "job"


def test_a_line_without_end_is_a_fault() -> None:
    """A peer cannot make the buffer grow past one line's limit."""
    dialogue, fed = Dialogue(Settings()), 0
    while not dialogue.receive(b"x" * 4096, NOW).fault:
        fed += 4096
        assert fed <= MAX_LINE
    assert len(dialogue._buffer) <= MAX_LINE + 4096


LINES = st.sampled_from(
    [
        SUBSCRIBE,
        LOGIN,
        b'{"method":"mining.authorize","params":["w"]}',
        b'{"method":"mining.submit","params":[1,2,3]}',
        b'{"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":7}]}',
        b'{"method":"submit","params":{"job_id":{},"nonce":[]}}',
        b'{"method":"login","params":[]}',
        b"[]",
        b"null",
        b'{"method":5}',
        b'{"id":{"a":[]},"method":"getjob"}',
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(LINES | st.binary(max_size=30), max_size=12), st.booleans())
def test_nothing_raises(lines: list[bytes], newlines: bool) -> None:
    """Any lines in any order are answered, ignored or a fault; replies are JSON lines."""
    dialogue = Dialogue(Settings())
    for line in lines:
        exchange = dialogue.receive(line + b"\n" * newlines, NOW)
        for reply in exchange.reply.splitlines():
            json.loads(reply)
        if exchange.fault:
            break
