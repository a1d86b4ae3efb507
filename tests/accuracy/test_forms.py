"""Forms change how a message is written and nothing of what it says."""

import json

import pytest
from tests.streams import JOB, LOGIN, NOTIFY, SUBMIT

from davylamp.accuracy.examples import Message
from davylamp.accuracy.forms import PADDING, Form, rewrite
from davylamp.flow import Direction

LINES = [
    LOGIN,
    NOTIFY,
    JOB,
    SUBMIT,
    b'{"a":[1,2.50,-3e+7,true,null,{"b":{}},[]],"n":"\\u00e9\\ud83d"}',
]
SAME = [
    Form.PLAIN,
    Form.CRLF,
    Form.NO_NEWLINE,
    Form.BLANKS,
    Form.SPACES,
    Form.PRETTY,
    Form.ORDER,
    Form.ESCAPES,
    Form.DECOY_FIRST,
]


def message(line: bytes) -> Message:
    """Return a line as a message of the client."""
    return Message(Direction.ORIGINATOR, line.strip(), b"\n", is_json=True)


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("form", SAME)
def test_a_reader_that_keeps_the_last_reads_the_same(form: Form, line: bytes) -> None:
    """What is only written otherwise is read as the same value."""
    assert json.loads(rewrite(form, message(line)).data) == json.loads(line)


@pytest.mark.parametrize("line", LINES)
def test_decoys_behind_are_for_readers_that_find_the_first(line: bytes) -> None:
    """The first of each pair of names has the message's value, at every level."""

    def first(pairs: list[tuple[str, object]]) -> dict[str, object]:
        return dict(reversed(pairs))

    text = rewrite(Form.DECOY_LAST, message(line)).text
    assert json.loads(text, object_pairs_hook=first) == json.loads(line)
    assert json.loads(text) != json.loads(line)


def test_each_form_is_another_text() -> None:
    """No form is a form in name only."""
    written = [rewrite(form, message(LOGIN)).data for form in Form]
    assert len(set(written)) == len(Form)


def test_forms_are_what_they_are_called() -> None:
    """The bytes that a form is about are there."""
    by_form = {form: rewrite(form, message(LOGIN)) for form in Form}
    assert by_form[Form.CRLF].data.endswith(b"}\r\n")
    assert by_form[Form.NO_NEWLINE].data.endswith(b"}")
    assert by_form[Form.BOM].text.startswith(b"\xef\xbb\xbf{")
    assert b"login" not in by_form[Form.ESCAPES].text
    assert b'"METHOD"' in by_form[Form.CAPITALS].text
    assert len(by_form[Form.PADDED].text) > PADDING
    assert json.loads(by_form[Form.BATCH].text)[1] == json.loads(LOGIN)
    assert [json.loads(line) for line in by_form[Form.TWO_LINES].text.splitlines()][
        1
    ] == json.loads(LOGIN)
    assert json.loads(by_form[Form.RENAMED].text)["method"] == "q7"


def test_the_same_message_is_always_shuffled_alike() -> None:
    """A run repeats: what is shuffled depends on the message alone."""
    for form in Form:
        assert rewrite(form, message(JOB)) == rewrite(form, message(JOB))


def test_what_is_no_json_stays_as_it_is() -> None:
    """Only JSON can be written otherwise."""
    opaque = Message(Direction.ORIGINATOR, b"SSH-2.0-x\r\n")
    assert {rewrite(form, opaque) for form in Form} == {opaque}
