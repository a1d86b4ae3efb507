r"""Evidence bytes as text that may be stored: no whole wallet, password or token.

Strategy: two passes over a bounded excerpt. The first walks JSON as far as there is any, knowing
that an excerpt is cut: a value is masked because of its key, because its position in ``params`` is
a credential's, or because the key or the method that would tell is cut away. The second masks
what patterns find in any text: headers, URLs, forms, addresses. What is masked:

- values of `SECRET_KEYS`, at any depth below them, keys and values with ``\u`` escapes included;
- ``params`` of methods that log in or authorize, the worker name of a submit, and any ``params``
  whose method is not in the excerpt;
- in an excerpt that starts inside a message: each value whose key is not visible;
- Authorization, cookie and token headers, ``user:password@`` in URLs, ``pass=`` in forms,
  e-mail addresses, Duino-Coin user and key;
- ``0x`` and 40 hex digits, and any run of 25 or more letters and digits that is not plain hex and
  has a digit in it: base58 and bech32 addresses, site keys, most tokens.

What stays readable, because it is the evidence: methods, agents, job ids, nonces, hashes, targets
and blobs in hex of any length; hex that is a wallet (Iron Fish, Sia, an Ethereum address without
``0x``) is told by its key or position only.

An excerpt that is nothing but the inside of a password cannot be known for one. Excerpts of
findings begin where a message begins, so this does not arise there.

A masked value keeps its first 6 and last 4 characters if at least as many are hidden.
"""

import re
from dataclasses import dataclass, field

MAX_INPUT = 4096
"""Bytes of an excerpt that are looked at."""

MAX_DEPTH = 64
MAX_NESTED = 2
_KEPT_FIRST, _KEPT_LAST = 6, 4
_LEAST = 2 * (_KEPT_FIRST + _KEPT_LAST)
_MARK = "\ue000"  # stands for the hidden part until the end, so that no input can pretend to be it
_SHOWN = "***"

SECRET_KEYS = frozenset(
    (
        *("pass", "password", "passwd", "passphrase", "pwd", "login", "user", "username", "userid"),
        *("wallet", "walletaddress", "address", "addr", "payoutaddress", "publicaddress"),
        *("account", "accountname", "worker", "workername", "sitekey", "token", "accesstoken"),
        *("authtoken", "apikey", "secret", "secretkey", "privatekey", "auth", "authorization"),
        *("email", "mail", "credential", "credentials", "cookie"),
    )
)
"""Keys (lower-case, without ``-``, ``_`` and ``.``) whose values are credentials or wallets."""

_TOKEN = re.compile(
    r'"(?P<body>(?:[^"\\\n]|\\.)*)(?P<close>"?)|(?P<mark>[{}\[\],:])|(?P<word>[^\s{}\[\],:"]+)|\s+'
)
_TAIL = re.compile(r'((?:[^"\\\n]|\\.)*)"(?=\s*(?:[,:}\]]|\Z))')
_FIRST_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*(?:"\s*(?:[,:}\]]|\Z)|\Z)')
_NUMBER = re.compile(r"[-+0-9.eE]+")
_COLON = re.compile(r"\s*:")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_LITERALS = ("true", "false", "null")
_CONTROLS = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def redact(excerpt: bytes, limit: int = 2048) -> str:
    """Return evidence bytes as printable text with its secrets masked.

    UTF-8, with U+FFFD for what is not; control characters as escapes; at most ``limit``
    characters, with an ellipsis when there was more.
    """
    text = excerpt[:MAX_INPUT].decode("utf-8", "replace").replace(_MARK, "\ufffd")
    text = _visible(_by_pattern(_by_structure(text))).replace(_MARK, _SHOWN)
    if len(text) > limit or len(excerpt) > MAX_INPUT:
        text = text[: limit - 1] + "…"
    return text


def _mask(secret: str, *, cut_left: bool = False, cut_right: bool = False) -> str:
    if not secret or _MARK in secret:
        return secret
    if len(secret) < _LEAST:
        return _MARK
    first = "" if cut_left else secret[:_KEPT_FIRST]
    last = "" if cut_right else secret[-_KEPT_LAST:]
    return first + _MARK + last


# --- JSON, as far as there is any


@dataclass(slots=True, eq=False)
class _Frame:
    """A container that the walk is in; ``?`` is the one that the excerpt starts in."""

    kind: str
    owner: "_Frame | None" = None  # of an array: the object whose key it is under
    key: str | None = None  # of an object: the present key; of an array: that of its owner
    index: int = 0  # of an array: the present element
    secret: bool = False  # everything below is
    methods: list[str] = field(default_factory=list)  # all values of a "method" key


@dataclass(slots=True)
class _Value:
    """A string or bare word at a value's place, to be judged once all methods are known."""

    start: int
    end: int
    text: str
    raw: str
    frame: _Frame
    key: str | None
    index: int
    is_string: bool
    cut: bool


def _by_structure(text: str, nesting: int = 0) -> str:
    lead, strict = _lead(text)
    out = [_mask(_decoded(text[:lead]), cut_left=True)] if lead else []
    at = lead
    for value in _values(text, lead):
        out += (text[at : value.start], _rendered(value, strict=strict, nesting=nesting))
        at = value.end
    return "".join((*out, text[at:]))


def _lead(text: str) -> tuple[int, bool]:
    """Return the length of a string's tail that the text starts with, and if JSON is all it is.

    A text that begins inside a string reads like JSON only with its quotes' roles exchanged.
    """
    quote = text.find('"')
    before = text[:quote] if quote >= 0 else text
    words = re.findall(r"[^\s{}\[\],:]+", before)
    outside = all(_NUMBER.fullmatch(w) or w in _CUT_LITERALS for w in words)
    if quote >= 0:
        outside = (
            outside
            and before.rstrip()[-1:] in ("", "{", "[", ",", ":")
            and _FIRST_STRING.match(text, quote) is not None
        )
    tail = _TAIL.match(text)
    if tail is not None and (not outside or tail[1].strip()):
        return tail.end(1), True
    return 0, outside


_CUT_LITERALS = frozenset(word[n:] for word in _LITERALS for n in range(len(word)))


def _values(text: str, at: int) -> list[_Value]:
    """Walk the tokens and return the strings and words that are values, in order."""
    stack = [_Frame("?")]
    values: list[_Value] = []
    if at:
        at += 1  # the quote that closes the tail
    while match := _TOKEN.match(text, at):
        at = match.end()
        frame = stack[-1]
        if match["mark"]:
            _structure(match["mark"], stack)
        elif match["body"] is not None:
            cut = not match["close"]
            decoded = _decoded(match["body"])
            if frame.kind != "[" and not cut and _COLON.match(text, at):
                frame.key = decoded
            elif cut and frame.kind == "{" and frame.key is None:
                continue  # the beginning of a key
            else:
                span = match.span("body")
                values.append(_value(span, decoded, match["body"], frame, is_string=True, cut=cut))
                if frame.kind != "[" and frame.key == "method":
                    frame.methods.append("" if cut else decoded)
        elif match["word"] and match["word"] not in _LITERALS:
            cut = at == len(text)
            values.append(
                _value(match.span(), match["word"], match["word"], frame, is_string=False, cut=cut)
            )
    return values


def _value(  # noqa: PLR0913 - it is all of these
    span: tuple[int, int], text: str, raw: str, frame: _Frame, *, is_string: bool, cut: bool
) -> _Value:
    return _Value(*span, text, raw, frame, frame.key, frame.index, is_string, cut)


def _structure(mark: str, stack: list[_Frame]) -> None:
    """Follow one of ``{ } [ ] ,``; a colon says nothing that its key has not said."""
    frame = stack[-1]
    match mark:
        case "{" if len(stack) < MAX_DEPTH:
            stack.append(_Frame("{", secret=frame.secret or _is_secret_key(frame.key)))
        case "[" if len(stack) < MAX_DEPTH:
            nested = frame.kind == "["
            stack.append(
                _Frame(
                    "[",
                    owner=frame.owner if nested else frame,
                    key=frame.key,
                    index=frame.index if nested else 0,
                    secret=frame.secret,
                )
            )
        case "}" | "]" if len(stack) > 1:
            stack.pop()
        case "}" | "]":
            frame.key = None
        case "," if frame.kind == "[":
            frame.index += 1
        case ",":
            frame.key = None


def _rendered(value: _Value, *, strict: bool, nesting: int) -> str:
    """Return what stands in a value's place."""
    if _is_secret(value, strict=strict):
        return _mask(value.text, cut_right=value.cut)
    if not value.is_string or "\\" not in value.raw:
        return value.raw
    inner = value.text
    if nesting < MAX_NESTED:
        inner = _by_structure(inner, nesting + 1)
    inner = _by_pattern(inner)
    return value.raw if inner == value.text else inner


def _is_secret(value: _Value, *, strict: bool) -> bool:
    frame = value.frame
    if frame.secret or _is_secret_key(value.key):
        return True
    if value.key is None:  # it was cut away, or this is not JSON
        return strict or (value.is_string and frame.kind != "?")
    if frame.kind != "[" or value.key != "params" or frame.owner is None:
        return False
    methods = [method.lower() for method in frame.owner.methods]
    if not methods or any(not m or "login" in m or "auth" in m for m in methods):
        return True
    return value.index == 0 and any(m.endswith("submit") for m in methods)


def _is_secret_key(key: str | None) -> bool:
    return key is not None and re.sub(r"[-_. ]", "", key).lower() in SECRET_KEYS


def _decoded(body: str) -> str:
    """Undo JSON's escapes, also in a fragment that ends within one."""
    if "\\" not in body:
        return body

    def plain(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return {"n": "\n", "r": "\r", "t": "\t"}.get(match[2], match[2])

    return _ESCAPE.sub(plain, body).replace(_MARK, "\ufffd")


# --- any text

_HEADERS = (
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-auth-token",
    "x-access-token",
)
_FORM_KEYS = (
    *("pass", "password", "passwd", "passphrase", "pwd", "login", "user", "username", "wallet"),
    *("address", "token", "access_token", "api_key", "apikey", "secret", "email", "site_key"),
)
_SCHEMES = ("basic", "bearer", "digest", "negotiate")

_HEADER = re.compile(
    rf"(?im)^((?:{'|'.join(_HEADERS)})[ \t]*:[ \t]*(?:(?:{'|'.join(_SCHEMES)})[ \t]+)?)"
    r"([^\r\n]+(?:\r?\n[ \t]+[^\r\n]+)*)"
)
_SCHEME = re.compile(rf"(?i)\b((?:{'|'.join(_SCHEMES)})[ \t]+)([A-Za-z0-9+/=._~-]{{8,}})")
_USERINFO = re.compile(r'(://)([^/\s@"]{1,512})(?=@)')
_FORM = re.compile(
    rf"(?i)(?<![a-z0-9])((?:{'|'.join(_FORM_KEYS)})[\"'\\]*[ \t]*[=:][ \t]*[\"'\\]*)"
    r"([^\s\"'\\,;&{}\[\]]+)"
)
_DUINO = re.compile(r"(?m)^(JOB,)([^,\r\n]+)(,[^,\r\n]*,?)([^,\r\n]*)")
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}\.[A-Za-z0-9.-]{1,63}")
_RUN = re.compile(r"(?<![0-9A-Za-z])[0-9A-Za-z]{25,}(?![0-9A-Za-z])")
_HEX = re.compile(r"(?:0[xX])?[0-9A-Fa-f]+")

_CUT_HEADER = re.compile(r"([A-Za-z-]*)([ \t]*:[ \t]*)([^\r\n]+)")
_CUT_SCHEME = re.compile(r"([A-Za-z]*)([ \t]+)([A-Za-z0-9+/=._~-]{8,})")
_CUT_FORM = re.compile(r"(\w*)(=)([^&\s;]+)")
_CUT_LINE = re.compile(r"()()([^\r\n]+)(?=\r?\n(?:\r?\n|[\w-]+[ \t]*:))")
_LINE_START = re.compile(r"[A-Za-z-]+[ \t]*:|[^\r\n]*HTTP/\d|[\s{\[]")


def _by_pattern(text: str) -> str:
    text = _cut_start(text)
    text = _HEADER.sub(_second, text)
    text = _SCHEME.sub(_second, text)
    text = _USERINFO.sub(_second, text)
    text = _FORM.sub(_second, text)
    text = _DUINO.sub(lambda m: m[1] + _mask(m[2]) + m[3] + _mask(m[4]), text)
    text = _EMAIL.sub(lambda m: _mask(m[0]), text)
    return _RUN.sub(lambda m: _mask(m[0]) if _is_address(m[0]) else m[0], text)


def _second(match: re.Match[str]) -> str:
    return match[1] + _mask(match[2])


def _is_address(run: str) -> bool:
    if _HEX.fullmatch(run):
        return len(run) == 42 and run[1] in "xX"
    return any(character.isdigit() for character in run)


def _cut_start(text: str) -> str:
    """Mask the value that a text begins with when the name before it may have been cut.

    ``ization: Basic …``, ``earer …``, ``word=…``; and a first line that is neither a start line
    nor a field although fields follow it.
    """
    for pattern, names in (
        (_CUT_HEADER, _HEADERS),
        (_CUT_SCHEME, _SCHEMES),
        (_CUT_FORM, _FORM_KEYS),
    ):
        match = pattern.match(text)
        if match and any(name.endswith(match[1].lower()) for name in names):
            return match[1] + match[2] + _mask(match[3]) + text[match.end() :]
    match = _CUT_LINE.match(text)
    if match and not _LINE_START.match(text):
        return _mask(match[3], cut_left=True) + text[match.end() :]
    return text


def _visible(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == _MARK else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return _CONTROLS.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
