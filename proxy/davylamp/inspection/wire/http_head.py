"""Heads of HTTP/1.x messages: start lines, headers, and what body they announce.

Strategy: the commonest head by far is a whole GET in one segment; `simple_request` recognises it
with a few substring searches and leaves its headers unparsed. Every other head goes through
`parse_request` or `parse_response`. Header fields are parsed once for framing and again when
somebody asks for `headers`: most heads are never asked.

Body framing is RFC 9112 section 6.3. Where peers disagree about a message (section 11.2, request
smuggling) ``ambiguous`` is set and the reading that most implementations choose is taken:

    Transfer-Encoding            Content-Length      framing                     ambiguous
    its last coding is chunked   none                chunked                     no
    chunked, in HTTP/1.0         any                 chunked                     yes
    chunked is somewhere         any                 chunked                     if not the last
    anything                     present             as without Content-Length   yes
    identity, others             one value           that many bytes             yes
    identity, others             none                request: none               yes
                                                     response: until close       yes
    none                         one value           that many bytes             no
    none                         the same repeated   that many bytes             no
    none                         differing, invalid  request: malformed
                                                     response: until close       yes
    none                         none                request: none               no
                                                     response: until close       no

Lenient on purpose, each because some server or pool accepts it: bare LF, leading empty lines,
folded lines (obs-fold), blanks before a header's colon, lines without a colon (skipped), blanks
inside a target, lower-case versions, any run of blanks as separator, HTTP/0.9 GET.

Sources: RFC 9112 sections 2 to 6, RFC 9110 sections 5, 7.2, 8.6 and 9, RFC 1945 section 4.1.
"""

import re
from enum import StrEnum

import msgspec

from davylamp.inspection.wire.reader import Malformed

MAX_HEAD = 1 << 16
"""Bytes in a head, blank line included."""

MAX_HEADERS = 256
"""Fields kept of a head, beside those that say how it and what follows it is read."""

MAX_HOST = 255
FOLLOWED = (b"POST ", b"PUT ", b"PATCH ", b"CONNECT ")
"""What HTTP requests begin with that something follows: a body, or another protocol."""
SWITCHED = b"HTTP/1.1 101 "
"""What a response begins with behind which both sides speak another protocol (RFC 9110 section
15.2.2)."""
_SIMPLE_HEAD = 4096

_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}\Z")
_VERSION = re.compile(rb"HTTP/([0-9]\.[0-9])\Z", re.IGNORECASE)
_SIMPLE_LINE = re.compile(rb"(GET|HEAD) (/[^ \t\n]*) HTTP/(1\.[01])\r\n")
# Lines (of a lower-case head) that need the long way: an end before the end, bare LF, folding, a
# body, an upgrade.
_NOT_SIMPLE = re.compile(
    rb"\n(?:[ \t\n]|\r\n.|content-length|transfer-encoding|upgrade[ \t:])", re.DOTALL
)
_FOLD = re.compile(r"\r?\n[ \t]+")
_OLD_REQUEST = re.compile(rb"(GET)[ \t]+([!-~]+)[ \t]*\r?\n")
_STATUS_LINE = re.compile(
    rb"HTTP/([0-9]\.[0-9])[ \t]+([0-9]{3})(?:[ \t][^\n]*)?\r?\n", re.IGNORECASE
)
_LENGTH = re.compile(r"[0-9]{1,18}\Z")
_ALWAYS_KEPT = frozenset(
    ("content-encoding", "content-length", "host", "sec-websocket-extensions", "transfer-encoding")
) | {"upgrade"}


class Framing(StrEnum):
    """How a message's body ends. ``TUNNEL``: the message is the last, other bytes follow it."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until-close"
    TUNNEL = "tunnel"


type Headers = tuple[tuple[str, str], ...]
"""Name and value pairs in wire order, names lower-case, text decoded as Latin-1."""


class RequestHead(msgspec.Struct, frozen=True, gc=False):
    """A request's head.

    ``host`` is lower-case, without port, brackets or trailing dot, taken from an absolute or
    authority-form target, else from Host; ``port`` is 0 when none is named. ``upgrade`` is the
    Upgrade header's value, lower-case. ``length`` counts body bytes when framing is LENGTH.
    ``offset`` counts bytes of the direction's stream; ``raw`` is the head as sent.
    """

    method: str
    target: str
    version: str
    host: str
    port: int
    framing: Framing
    length: int
    upgrade: str
    ambiguous: bool
    offset: int
    raw: bytes

    @property
    def headers(self) -> Headers:
        """The header fields, parsed at each access."""
        return parse_fields(self.raw)


class ResponseHead(msgspec.Struct, frozen=True, gc=False):
    """A response's head; fields as in `RequestHead`. ``method`` is the request's it answers."""

    status: int
    version: str
    method: str
    framing: Framing
    length: int
    upgrade: str
    ambiguous: bool
    offset: int
    raw: bytes

    @property
    def headers(self) -> Headers:
        """The header fields, parsed at each access."""
        return parse_fields(self.raw)


def simple_request(data: bytes, offset: int = 0) -> RequestHead | None:
    """Return the head when the bytes are one plain GET or HEAD request without a body.

    None says nothing but "take the long way": it is returned for every head that is not whole,
    canonical and free of body, upgrade and folding.
    """
    line = _SIMPLE_LINE.match(data)
    if line is None or data[-4:] != b"\r\n\r\n" or len(data) > _SIMPLE_HEAD:
        return None
    low = data.lower()
    host_at = low.find(b"\nhost: ")
    if host_at < 0 or low.count(b"\nhost") > 1 or _NOT_SIMPLE.search(low):
        return None
    method, target, version = line.groups()
    named = low[host_at + 7 : low.find(b"\n", host_at + 1)].rstrip(b"\r")
    host, port = split_authority(named.decode("latin-1"))
    return RequestHead(
        method.decode("ascii"),
        target.decode("latin-1"),
        version.decode("ascii"),
        host,
        port,
        Framing.NONE,
        0,
        "",
        False,
        offset,
        data,
    )


def parse_request(raw: bytes, offset: int) -> RequestHead | Malformed:
    """Read a whole request head that ends with its blank line."""
    line = _request_line(raw)
    if line is None:
        return Malformed("not an HTTP request line", offset, raw)
    method, target, version = line
    fields = parse_fields(raw)
    framing, length, ambiguous = _framing(fields, version)
    if framing is None:
        return Malformed("Content-Length differs or is no number", offset, raw)
    if framing is Framing.UNTIL_CLOSE:  # only a response can end so
        framing = Framing.NONE
    if method in ("CONNECT", "PRI"):  # the latter is HTTP/2's preface
        framing = Framing.TUNNEL
    hosts = values(fields, "host")
    host, port = _target_host(method, target) or split_authority(hosts[0] if hosts else "")
    return RequestHead(
        method,
        target,
        version,
        host,
        port,
        framing,
        length,
        ", ".join(values(fields, "upgrade")).lower(),
        ambiguous or len(set(hosts)) > 1,
        offset,
        raw,
    )


def _request_line(raw: bytes) -> tuple[str, str, str] | None:
    """Split the first line at its first and last blank: targets with blanks in them exist.

    No pattern does this: one with two open ends takes quadratic time on a line of blanks.
    """
    line = raw[: raw.find(b"\n")].replace(b"\t", b" ").rstrip(b" \r")
    rest, _, last = line.rpartition(b" ")
    method, _, target = rest.partition(b" ")
    version = _VERSION.match(last)
    if version is None or not _METHOD.match(method):
        return None
    return method.decode("ascii"), target.strip(b" ").decode("latin-1"), version[1].decode("ascii")


def old_request(raw: bytes, offset: int) -> RequestHead | None:
    """Read an HTTP/0.9 request: one line, ``GET`` and a target."""
    line = _OLD_REQUEST.match(raw)
    if line is None:
        return None
    target = line[2].decode("ascii")
    host, port = _target_host("GET", target) or ("", 0)
    return RequestHead(
        "GET", target, "0.9", host, port, Framing.NONE, 0, "", False, offset, raw[: line.end()]
    )


def parse_response(raw: bytes, offset: int, method: str) -> ResponseHead | Malformed:
    """Read a whole response head; ``method`` is that of the request it answers."""
    line = _STATUS_LINE.match(raw)
    if line is None:
        return Malformed("not an HTTP status line", offset, raw)
    version, status = line[1].decode("ascii"), int(line[2])
    fields = parse_fields(raw)
    framing, length, ambiguous = _framing(fields, version)
    if framing is None or (framing is Framing.NONE and not values(fields, "content-length")):
        framing, ambiguous = Framing.UNTIL_CLOSE, ambiguous or framing is None
    if status == 101 or (method == "CONNECT" and 200 <= status < 300):
        framing = Framing.TUNNEL
    elif method == "HEAD" or status < 200 or status in (204, 304):
        framing = Framing.NONE
    return ResponseHead(
        status,
        version,
        method,
        framing,
        length,
        ", ".join(values(fields, "upgrade")).lower(),
        ambiguous,
        offset,
        raw,
    )


def parse_fields(raw: bytes) -> Headers:
    """Return the fields of a head or trailer section; its first line is taken for a start line.

    Folded lines are joined with a space. Behind the first `MAX_HEADERS` fields only those are kept
    that say how a message is read: servers take more than that, and would obey them.
    """
    fields: list[tuple[str, str]] = []
    for line in _FOLD.sub(" ", raw[raw.find(b"\n") + 1 :].decode("latin-1")).split("\n"):
        name, colon, value = line.partition(":")
        if colon:
            name = name.strip(" \t").lower()
            if len(fields) < MAX_HEADERS or name in _ALWAYS_KEPT:
                fields.append((name, value.strip(" \t\r")))
    return tuple(fields)


def values(fields: Headers, name: str) -> list[str]:
    """Return the values of every field of a (lower-case) name."""
    return [value for field, value in fields if field == name]


def split_authority(text: str) -> tuple[str, int]:
    """Return host and port of ``[userinfo@]host[:port]``; the port is 0 when there is none."""
    if text.isascii() and text.replace("-", "").replace(".", "").isalnum() and text[-1] != ".":
        return text.lower()[:MAX_HOST], 0  # a name, as nearly always
    text = text.rpartition("@")[2].strip().lower()
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
    else:
        host, _, port = text.partition(":")
    port = port.removeprefix(":")
    number = int(port) if port and port.isascii() and _LENGTH.match(port) else 0
    return host.removesuffix(".")[:MAX_HOST], number if number < 1 << 16 else 0


def _target_host(method: str, target: str) -> tuple[str, int] | None:
    """Return the host that the target itself names (RFC 9112 sections 3.2.2 and 3.2.3)."""
    if method == "CONNECT":
        return split_authority(target)
    scheme, mark, rest = target.partition("://")
    if not mark or "/" in scheme:
        return None
    return split_authority(re.split(r"[/?#]", rest, maxsplit=1)[0])


def _framing(fields: Headers, version: str) -> tuple[Framing | None, int, bool]:
    """Return framing, length and ambiguity by the table above; None for a broken length."""
    lengths = {
        part.strip() for value in values(fields, "content-length") for part in value.split(",")
    }
    number = _number(lengths)
    codings = [
        part.strip().lower()
        for value in values(fields, "transfer-encoding")
        for part in value.split(",")
    ]
    by_length = (
        (None if number is None else Framing.LENGTH if number else Framing.NONE),
        number or 0,
    )
    if not codings:
        return *by_length, False
    if any("chunked" in coding for coding in codings):
        clean = codings[-1] == "chunked" and codings.count("chunked") == 1 and version != "1.0"
        return Framing.CHUNKED, 0, bool(lengths) or not clean
    if set(codings) <= {"identity", ""} or number:
        return *by_length, True
    return Framing.UNTIL_CLOSE, 0, True


def _number(lengths: set[str]) -> int | None:
    """Return the one length announced, 0 for none at all, None when there is no telling."""
    if not lengths:
        return 0
    numbers = {int(text) for text in lengths if _LENGTH.match(text) and text.isascii()}
    return numbers.pop() if len(numbers) == len(lengths) == 1 else None
