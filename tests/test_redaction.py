"""What may be stored of evidence: everything but wallets, passwords and tokens."""

import json
import re
from base64 import b64encode

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from davylamp.redaction import MAX_INPUT, SECRET_KEYS, redact

MONERO = (
    "48edfHu7V9Z84YzzMa6fUueoELZ9ZRXq9VetWzYGzKt52XU5"
    "xvqgzYnDK9URnRoJMk1j8nLwEVsaSWJ4fhdUyZijBGUicoD"
)
BITCOIN = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"
LEGACY = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"
ETHER = "0x52bc44d5378309ee2abf1539bf71de1b7d7be3b5"
HASH = "4d16b6f85af6e2198f44ae2a6de67f78487ae5611b77c6c0440b921e00000000"

SHOWN = [
    (
        "Monero login",
        f'{{"id":1,"method":"login","params":{{"login":"{MONERO}","pass":"hunter2","agent":"XMRig/6"}}}}\n',
        '{"id":1,"method":"login","params":{"login":"48edfH***icoD","pass":"***","agent":"XMRig/6"}}\\n',
    ),
    (
        "authorize, method last",
        f'{{"params":["{BITCOIN}.rig","x"],"id":2,"method":"mining.authorize"}}',
        '{"params":["bc1qar***.rig","***"],"id":2,"method":"mining.authorize"}',
    ),
    (
        "submit",
        '{"method":"mining.submit","params":["alice.rig1","58af","00","5f1b2c3d","b2957c02"]}',
        '{"method":"mining.submit","params":["***","58af","00","5f1b2c3d","b2957c02"]}',
    ),
    (
        "notify is evidence",
        f'{{"method":"mining.notify","params":["bf","{HASH}","01",[],"00000002",false]}}',
        f'{{"method":"mining.notify","params":["bf","{HASH}","01",[],"00000002",false]}}',
    ),
    (
        "Monero job is evidence",
        f'{{"result":{{"job":{{"blob":"{HASH * 3}","job_id":"q7","target":"b88d0600"}}}}}}',
        f'{{"result":{{"job":{{"blob":"{HASH * 3}","job_id":"q7","target":"b88d0600"}}}}}}',
    ),
    (
        "eth-proxy",
        f'{{"worker":"eth1.0","method":"eth_submitLogin","params":["{ETHER}","x"]}}',
        '{"worker":"***","method":"eth_submitLogin","params":["0x52bc***e3b5","***"]}',
    ),
    (
        "work in hex is evidence",
        f'{{"id":0,"result":["0x{HASH}","0x{HASH}"]}}',
        f'{{"id":0,"result":["0x{HASH}","0x{HASH}"]}}',
    ),
    (
        "Iron Fish",
        f'{{"method":"mining.subscribe","body":{{"publicAddress":"{HASH}"}}}}',
        '{"method":"mining.subscribe","body":{"publicAddress":"4d16b6***0000"}}',
    ),
    (
        "escaped key and value",
        '{"p\\u0061ss":"hunt\\u0065r2","a":"\\u0041b"}',
        '{"p\\u0061ss":"***","a":"\\u0041b"}',
    ),
    (
        "escaped wallet under another key",
        '{"agent":"\\u0031' + LEGACY[1:] + '"}',
        '{"agent":"1A1zP1***vfNa"}',
    ),
    ("number", '{"pass":12345678,"id":7}', '{"pass":***,"id":7}'),
    ("below a secret key", '{"auth":{"a":["b",1]},"c":"d"}', '{"auth":{"a":["***",***]},"c":"d"}'),
    (
        "two methods",
        '{"method":"x","params":["s"],"method":"login"}',
        '{"method":"x","params":["***"],"method":"login"}',
    ),
    ("method cut away", '{"params":["s","t"],"id":1,"meth', '{"params":["***","***"],"id":1,"meth'),
    (
        "method cut",
        '{"params":["s"],"method":"mining.not',
        '{"params":["***"],"method":"mining.not',
    ),
    ("key cut away", 'ss":"hunter2","agent":"XMRig/6"}', '***":"***","agent":"XMRig/6"}'),
    ("only a value", '"hunter2","agent":"XMRig/6"}', '"***","agent":"XMRig/6"}'),
    ("the end of a value", 'hunter2","agent":"XMRig/6"}', '***","agent":"XMRig/6"}'),
    ("a number of a cut key", '12345678,"agent":"x"}', '***,"agent":"x"}'),
    ("JSON in JSON", r'{"line":"{\"pass\":\"hunter2\"}"}', '{"line":"{"pass":"***"}"}'),
    ("second line", '{"id":1}\n{"pass":"hunter2"}\n', '{"id":1}\\n{"pass":"***"}\\n'),
    (
        "HTTP",
        'POST / HTTP/1.1\r\nAuthorization: Basic dXNlcjpwYXNz\r\nETag: "a"\r\n\r\n{"user":"bob"}',
        'POST / HTTP/1.1\\r\\nAuthorization: Basic ***\\r\\nETag: "a"\\r\\n\\r\\n{"user":"***"}',
    ),
    ("cut header", "ization: Bearer abc\r\nHost: x\r\n", "ization: ***\\r\\nHost: x\\r\\n"),
    ("cut scheme", "earer abcdefgh\r\nHost: x\r\n", "earer ***\\r\\nHost: x\\r\\n"),
    ("URL", "stratum+tcp://bob:secret@pool.example:3333", "stratum+tcp://***@pool.example:3333"),
    ("form", "user=bob&pass=hunter2&job=7", "user=***&pass=***&job=7"),
    ("mail", "a b.c@example.org d", "a *** d"),
    ("Duino-Coin", "JOB,alice,LOW,key\n", "JOB,***,LOW,***\\n"),
    ("SSH", "SSH-2.0-OpenSSH_9.6p1 Ubuntu-3", "SSH-2.0-OpenSSH_9.6p1 Ubuntu-3"),
    ("DERO path", f"GET /ws/{BITCOIN}.r1 HTTP/1.1\r\n", "GET /ws/bc1qar***5mdq.r1 HTTP/1.1\\r\\n"),
    ("the mark itself", '{"pass":"\ue000hunter2"}', '{"pass":"***"}'),
    ("bidirectional override", "a\u202eb", "a\\u202eb"),
    (
        "lone surrogate",
        '{"a":"\\ud83d","token":"\\ud83d' + "x" * 30 + '"}',
        '{"a":"\\ud83d","token":"\\ud83dxxxxx***xxxx"}',
    ),
]


@pytest.mark.parametrize(("name", "text", "shown"), SHOWN, ids=[row[0] for row in SHOWN])
def test_shown(name: str, text: str, shown: str) -> None:
    """Secrets are masked, evidence stays readable."""
    assert redact(text.encode()) == shown


def test_bytes_are_printable() -> None:
    """Control bytes are escapes, UTF-8 is itself, anything else U+FFFD."""
    assert redact(b"\x00\x1b[2J\r\n\x7f\xc3\xa9\xff") == "\\x00\\x1b[2J\\r\\n\\x7fé\ufffd"


def test_length_is_bounded() -> None:
    """Long excerpts end in an ellipsis, whether cut before or after redaction."""
    assert redact(b"ab " * 400, limit=100) == ("ab " * 400)[:99] + "…"
    assert redact(b"\x00" * 2000).endswith("…")
    assert redact(b"a b " * MAX_INPUT, limit=10**9).endswith("…")


@given(st.binary(max_size=600))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_shown(data: bytes) -> None:
    """Arbitrary bytes never raise and come out printable, storable and bounded."""
    text = redact(data)
    assert text.isprintable()
    assert len(text) <= 2048
    assert text.encode().decode() == text


@given(st.text(alphabet='{}[],:"\\ \nmethodparsw0', max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_json_like_text_is_shown(text: str) -> None:
    """Text that is nearly JSON never raises."""
    assert redact(text.encode()).isprintable()


# --- No cut shows a whole secret

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

_wallets = st.one_of(
    st.text(_BASE58, min_size=94, max_size=94).map(lambda tail: "4" + tail),
    st.text(_BASE58, min_size=33, max_size=33).map(lambda tail: "1" + tail),
    st.text("0123456789abcdef", min_size=40, max_size=40).map(lambda tail: "0x" + tail),
    st.text("023456789acdefghjklmnpqrstuvwxyz", min_size=38, max_size=38).map(
        lambda tail: "bc1q" + tail
    ),
)
_passwords = st.one_of(
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=6, max_size=40),
    st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), min_size=6, max_size=20),
    st.integers(10**6, 10**12).map(str),
    st.text("0123456789abcdef", min_size=8, max_size=8),
)

LINES = [
    '{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":W,"pass":P,"agent":"XMRig/6.21"}}\n',
    '{"id":2,"method":"mining.authorize","params":[W,P]}\n{"id":3,"method":"mining.extranonce"}\n',
    '{"params": [W, P], "id": 2, "method": "mining.authorize"}\n',
    '{"id":1,"worker":"eth1.0","method":"eth_submitLogin","params":[W,P],"jsonrpc":"2.0"}\n',
    '{"type":"auth","params":{"site_key":P,"type":"user","user":W,"goal":0}}',
    '{"method":"login","api_key":P,"id":"login","jsonrpc":"2.0","wallet_address":W}\n',
    '{"identifier":"handshake","pool":"a.example","login":W,"password":P,"userid":"","version":4}',
    '{"error":null,"id":7,"params":[W,P],"method":"mining.authorize","x":[true,1.5,{"y":null}]}',
]


def _written(secret: str, draw: st.DrawFn) -> str:
    """Write a secret as JSON, some of its characters as escapes."""
    body = json.dumps(secret, ensure_ascii=draw(st.booleans()))[1:-1]
    if "\\" not in body:
        chosen = draw(st.sets(st.integers(0, len(body) - 1), max_size=5))
        body = "".join(
            f"\\u{ord(c):04x}" if n in chosen and ord(c) < 0x10000 else c
            for n, c in enumerate(body)
        )
    return body


@st.composite
def _cut_lines(draw: st.DrawFn) -> tuple[str, str, tuple[str, str]]:
    """Draw a line, its cut excerpt, and what of it may not be shown."""
    wallet, password = draw(_wallets), draw(_passwords)
    template = draw(st.sampled_from(LINES))
    assume(password not in template)
    bodies = (_written(wallet, draw), _written(password, draw))
    quoted = [f'"{body}"' for body in bodies]
    if password.isdigit() and password[0] != "0" and draw(st.booleans()):
        bodies, quoted = (bodies[0], password), [quoted[0], password]
    line = re.sub("[WP](?=[],}])", lambda m: quoted["WP".index(m[0])], template)
    start, end = sorted((draw(st.integers(0, len(line))), draw(st.integers(0, len(line)))))
    for body in bodies:
        at = line.index(body)
        assume(not at <= start <= end <= at + len(body))  # nothing but the inside of a secret
    return line, line[start:end], (wallet, password)


def _unescaped(text: str) -> str:
    return re.sub(
        r"\\(?:u([0-9a-f]{4})|(.))", lambda m: chr(int(m[1], 16)) if m[1] else str(m[2]), text
    )


@given(_cut_lines())
@settings(max_examples=200, deadline=None)
def test_no_cut_shows_a_whole_secret(drawn: tuple[str, str, tuple[str, str]]) -> None:
    """Cut anywhere, written with or without escapes, no line gives its wallet or password away."""
    _, excerpt, secrets = drawn
    shown = redact(excerpt.encode())
    for secret in secrets:
        assert secret not in shown
        assert secret not in _unescaped(shown)


@given(_cut_lines())
@settings(max_examples=100, deadline=None)
def test_whole_lines_stay_readable(drawn: tuple[str, str, tuple[str, str]]) -> None:
    """A whole line keeps its keys, its method and its agent."""
    line, _, _ = drawn
    shown = redact(line.encode())
    for word in re.findall(
        r'"(?:method|login|params|agent|mining\.\w+|eth_\w+|XMRig/6\.21)"', line
    ):
        assert word in shown


@given(
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8, max_size=30),
    st.sampled_from(
        [
            "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Basic B\r\nAccept: */*\r\n\r\n",
            "GET / HTTP/1.1\r\nProxy-Authorization: B\r\nHost: a\r\n\r\n",
            "HTTP/1.1 200 OK\r\nset-cookie: sid=B; Path=/\r\nX-A: b\r\n\r\n{}",
            "POST / HTTP/1.1\r\nX-Auth-Token:B\r\n\r\n",
        ]
    ),
    st.booleans(),
    st.data(),
)
@settings(max_examples=200, deadline=None)
def test_no_cut_shows_a_whole_header(
    secret: str, template: str, left: bool, data: st.DataObject
) -> None:
    """A head cut on either side does not give a credential header's value away."""
    encoded = b64encode(secret.encode()).decode()
    text = (
        template.replace("B", encoded, 1)
        if "Basic B" not in template
        else template.replace("Basic B", "Basic " + encoded)
    )
    cut = data.draw(st.integers(0, len(text)))
    assert encoded not in redact((text[cut:] if left else text[:cut]).encode())


@pytest.mark.parametrize("key", sorted(SECRET_KEYS))
def test_every_secret_key(key: str) -> None:
    """Each key is recognised in any case, with its usual separators, for strings and numbers."""
    for written in (key, key.upper(), "_".join((key[:3], key[3:])), f"{key[:2]}-{key[2:]}"):
        assert redact(json.dumps({written: "hunter2"}).encode()) == f'{{"{written}": "***"}}'
    assert redact(json.dumps({key: 1234567}).encode()) == f'{{"{key}": ***}}'
