"""JSON as adversaries write it, and cut it: the same verdict at the same byte."""

import json
from collections.abc import Callable, Iterator

import pytest
from tests.streams import AUTHORIZE, JOB, LOGIN, NOTIFY, SUBMIT, SUBSCRIBE, quoted

from davylamp.flow import Direction
from davylamp.inspection.framing import MAX_MESSAGE
from davylamp.inspection.inspector import Inspector
from davylamp.signatures.pack import Pack

C, S = Direction.ORIGINATOR, Direction.RESPONDER
POOL_LINE = 102_400  # the longest line that a pool is known to take (nodejs-pool, MoneroOcean)
MAX_CUTS = 400  # cutting everywhere is quadratic; longer streams are cut at even distances

ETH_LOGIN = (
    b'{"id":1,"worker":"rig","method":"eth_submitLogin",'
    b'"params":["0x762036e1ef0cea7232acd90a28bde9177f7a48a7"]}\n'
)
WORK = (
    b'{"id":0,"jsonrpc":"2.0","result":["0x' + b"ab" * 32 + b'","0x' + b"cd" * 32 + b'","0x'
    b'00000000ffff000000000000000000000000000000000000000000000000000f"]}\n'
)

# name, who says it, the line, the signature that must be found
MESSAGES: list[tuple[str, Direction, bytes, str]] = [
    ("subscribe", C, SUBSCRIBE, "stratum-v1-subscribe"),
    ("authorize", C, AUTHORIZE, "stratum-v1-authorize"),
    ("notify", S, NOTIFY, "stratum-v1-notify"),
    ("login", C, LOGIN, "cryptonote-login"),
    ("job", S, JOB, "cryptonote-job"),
    ("submit", C, SUBMIT, "cryptonote-submit"),
    ("eth login", C, ETH_LOGIN, "eth-proxy-login"),
    ("eth work", S, WORK, "eth-proxy-work"),
]

type Write = Callable[[bytes], bytes]


def _escape(text: str) -> str:
    return '"' + "".join(f"\\u{ord(letter):04X}" for letter in text) + '"'


def _again(value: object, string: Callable[[str], str] = json.dumps, blank: str = "") -> str:
    """Write a value anew, with other strings and with blanks around every token."""
    match value:
        case dict():
            inner = ",".join(
                f"{blank}{string(name)}{blank}:{blank}{_again(item, string, blank)}{blank}"
                for name, item in value.items()
            )
            return f"{{{inner}}}"
        case list():
            inner = ",".join(f"{blank}{_again(item, string, blank)}{blank}" for item in value)
            return f"[{inner}]"
        case str():
            return string(value)
        case _:
            return json.dumps(value)


def escaped(line: bytes) -> bytes:
    r"""Write every letter of every string as a ``\u`` escape."""
    return _again(json.loads(line), _escape).encode() + b"\n"


def spaced(line: bytes) -> bytes:
    """Put blanks around every token, and in front."""
    return b" \t\r" + _again(json.loads(line), blank=" \t\r ").encode() + b" \t\n"


def _with(line: bytes, front: bytes = b"", behind: bytes = b"") -> bytes:
    return b"{" + front + line.strip()[1:-1] + behind + b"}\n"


def _reversed(line: bytes) -> bytes:
    return json.dumps(dict(reversed(json.loads(line).items()))).encode() + b"\n"


def _capitals(line: bytes) -> bytes:
    return json.dumps({name.upper(): item for name, item in json.loads(line).items()}).encode()


_CAPITAL_DECOYS = b'"METHOD":"ping","Params":null,"RESULT":null,"Id":null'
_DECOYS = b'"method":"ping","params":null,"result":null,"id":null'

# name, how a line is written
WAYS: list[tuple[str, Write]] = [
    ("as it is", lambda line: line),
    ("CRLF", lambda line: line.rstrip() + b"\r\n"),
    ("no newline", bytes.strip),
    ("byte-order mark", lambda line: b"\xef\xbb\xbf" + line),
    ("empty lines in front", lambda line: b"\r\n \n\n" + line),
    ("blanks around tokens", spaced),
    ("over several lines", lambda line: json.dumps(json.loads(line), indent=2).encode() + b"\n"),
    ("keys the other way round", _reversed),
    ("escapes", escaped),
    ("decoys first", lambda line: _with(line, front=_DECOYS + b",")),
    ("decoys last", lambda line: _with(line, behind=b"," + _DECOYS)),
    ("names in capitals", _capitals),
    (
        "decoys in other letters",
        lambda line: _with(line, _CAPITAL_DECOYS + b",", b"," + _CAPITAL_DECOYS),
    ),
    ("decoys both ways", lambda line: _with(line, _DECOYS + b",", b',"x":1,"x":{"x":2,"x":3}')),
    ("a batch", lambda line: b'[{"id":0,"method":"ping"},' + line.strip() + b"]\n"),
    ("two lines", lambda line: b'{"id":0,"method":"ping"}\n' + line),
    ("two values on a line", lambda line: b'{"id":0,"method":"ping"} ' + line),
    ("a broken line in front", lambda line: b'{"id":0,\n' + line),
    ("an open string in front", lambda line: b'{"id\n' + line),
    ("a backslash hides the newline in front", lambda line: b'{"id\\\n' + line),
    ("a broken line, then a batch", lambda line: b'{"id":0,\n[' + line.strip() + b"]\n"),
    ("words in front", lambda line: b"hello\r\n" + line),
    (
        "quoting itself",
        lambda line: _with(line, front=b'"q":' + json.dumps(line.decode()).encode() + b","),
    ),
    ("a deep member", lambda line: _with(line, front=b'"d":' + b"[" * 300 + b"]" * 300 + b",")),
    ("a number that floats", lambda line: _with(line, behind=b',"n":1e999,"m":-' + b"9" * 300)),
]


def cuts(stream: bytes) -> Iterator[list[bytes]]:
    """Yield a stream whole, byte by byte, and cut in two at every place."""
    yield [stream]
    yield [stream[at : at + 1] for at in range(len(stream))]
    for at in range(1, len(stream), len(stream) // MAX_CUTS + 1):
        yield [stream[:at], stream[at:]]


def found(pack: Pack, direction: Direction, parts: list[bytes]) -> list[tuple[str, int, int]]:
    """Return what the inspector finds: signature, where its bytes begin, and where they end."""
    inspector = Inspector(pack)
    return [
        (finding.signature.id, finding.offset, finding.end)
        for part in parts
        for finding in inspector.receive(direction, part, 0.0)
    ]


def verdict_at(pack: Pack, direction: Direction, stream: bytes, signature: str) -> int:
    """Return how many bytes the inspector needs, given one at a time; 0 if it never tells."""
    inspector = Inspector(pack)
    for at in range(len(stream)):
        findings = inspector.receive(direction, stream[at : at + 1], 0.0)
        if any(finding.signature.id == signature for finding in findings):
            return at + 1
    return 0


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way[0])
@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message[0])
def test_a_message_is_told_however_it_is_written_and_cut(
    core: Pack, message: tuple[str, Direction, bytes, str], way: tuple[str, Write]
) -> None:
    """Every cut of every writing gives the same findings at the same bytes."""
    _, direction, line, signature = message
    stream = way[1](line)
    whole = found(core, direction, [stream])
    assert signature in {name for name, _, _ in whole}
    for parts in cuts(stream):
        assert found(core, direction, parts) == whole, [len(part) for part in parts[:2]]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message[0])
def test_the_last_bracket_completes_it(
    core: Pack, message: tuple[str, Direction, bytes, str]
) -> None:
    """The byte that closes the message is the byte that tells it, not one before or behind."""
    _, direction, line, signature = message
    for name, write in WAYS:
        stream = write(line)
        needed = verdict_at(core, direction, stream, signature)
        by_line = "broken line" in name  # told where its line ends
        assert stream[:needed].endswith(b"\n" if by_line else (b"}", b"]")), name
        assert stream[needed:].strip() == b"", name


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message[0])
@pytest.mark.parametrize("where", ["in front", "behind"])
@pytest.mark.parametrize(
    "filler", [b'"' + b"x" * 90_000 + b'"', b"[" + b"0," * 45_000 + b"0]"], ids=["text", "list"]
)
def test_a_huge_member_hides_nothing(
    core: Pack, message: tuple[str, Direction, bytes, str], where: str, filler: bytes
) -> None:
    """A line of nearly the length that pools take is told, whole and over a hundred segments."""
    _, direction, line, signature = message
    member = b'"pad":' + filler
    stream = (
        _with(line, member + b",") if where == "in front" else _with(line, behind=b"," + member)
    )
    assert 90_000 < len(stream) < POOL_LINE < MAX_MESSAGE
    whole = found(core, direction, [stream])
    assert whole == [(signature, 0, len(stream) - 1)]
    size = len(stream) // 100 + 1
    hundred = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert found(core, direction, hundred) == whole
    assert found(core, direction, [stream[:-3], stream[-3:]]) == whole


@pytest.mark.parametrize("short", range(0, 80, 3))
def test_a_line_is_told_where_the_bound_cuts_it(core: Pack, short: int) -> None:
    """What began before, and never ended, does not take a later line with it when it is given up.

    A pool that passes over lines it cannot read takes each of these for one.
    """
    lines = b"{\n" + b"0,\n" * ((MAX_MESSAGE - short) // 3)
    stream = lines + SUBSCRIBE
    told = [("stratum-v1-subscribe", len(lines), len(stream) - 1)]
    size = len(lines)
    assert found(core, C, [stream]) == told
    assert (
        found(core, C, [lines, *(stream[at : at + 1] for at in range(size, len(stream)))]) == told
    )
    assert found(core, C, [lines, SUBSCRIBE[:40], SUBSCRIBE[40:]]) == told


@pytest.mark.parametrize("size", [1 << 20, 1448])
def test_what_is_too_long_is_too_long_however_it_is_cut(core: Pack, size: int) -> None:
    """A message beyond the bound is not told in one piece either, and the line behind it is."""
    stream = _with(LOGIN, b'"pad":"' + b"x" * MAX_MESSAGE + b'",') + SUBSCRIBE
    parts = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert [name for name, _, _ in found(core, C, parts)] == ["stratum-v1-subscribe"]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message[0])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way[0])
def test_what_quotes_a_message_is_none(
    core: Pack, message: tuple[str, Direction, bytes, str], way: tuple[str, Write]
) -> None:
    """A message inside a string is no message, however the string's content is written."""
    _, direction, line, _ = message
    stream = quoted(way[1](line).replace(b"\xef\xbb\xbf", b""))
    assert found(core, direction, [stream]) == []
    assert found(core, direction, [stream[at : at + 1] for at in range(len(stream))]) == []


@pytest.mark.parametrize("decoys", [1, 63, 64, 65, 500, 3_000])
def test_a_batch_is_told_behind_many_decoys(core: Pack, decoys: int) -> None:
    """The place in a batch does not matter."""
    stream = b"[" + b'{"id":1,"method":"x"},' * decoys + LOGIN.strip() + b"]\n"
    assert len(stream) < POOL_LINE
    assert [name for name, _, _ in found(core, C, [stream])] == ["cryptonote-login"]
