r"""JSON behind base64 or a single-byte exclusive or, in a stream that is otherwise opaque.

Strategy: the first `LOOK` bytes decide, once. They are JSON in armour if, unwrapped, they are the
beginning of an object, or of an array of objects, with a quoted first key that is a word, behind at
most a byte-order mark and eight blanks; for exclusive or that needs no search, since the first byte
of the stream against each of those that JSON may begin with is the key. After that every byte is
unwrapped as it comes and handed on as one decoded stream: where messages end is for the reader
behind it.

    state      first bytes                                      goes to
    undecided  base64 digits that decode to JSON so far         base64, when there are 24
    undecided  one key unwraps all of them to JSON so far       xor, when there are 24
    undecided  anything else                                    done
    base64     digits, padding, line ends                       base64
    base64     any other byte                                   done
    xor        any byte                                         xor

Both alphabets of base64 are read, padded or not, several texts on a line or one over several
(lines of 64 and 76 digits are taken for wrapped ones; any other line end is handed on). A key of
zero is no armour. Longer keys and keys that move are not tried.

Cost: a stream without armour is settled by its first two bytes as a rule and by 24 at most, in
about a microsecond a look; one with it costs a table look-up or a base64 decoding for each byte.
Random bytes pass with a probability under 1e-12, text less: two letters never differ as a brace
and a quote do. What passes is read as JSON like any other; nothing is judged by its armour.

Sources: RFC 4648 sections 4 and 5 (alphabets), RFC 2045 section 6.8 and RFC 7468 section 2 (line
lengths), RFC 8259 section 2 (how JSON begins).
"""

import binascii
import re
from enum import StrEnum

import msgspec

LOOK = 24
"""Bytes that are looked at before deciding; the shortest request to a pool has some 30."""

_WRAPPED = frozenset({64, 76})
_DIGITS = re.compile(rb"[A-Za-z0-9+/]*\Z")
_TEXT = re.compile(rb"[A-Za-z0-9+/=]*")
_GROUPS = re.compile(rb"(?:[^=]{4})+|.{4}")
_JSON = re.compile(  # an object, or an array of them, up to anywhere behind its first key;
    # a byte-order mark and white space may come before it
    rb"(?:\xef\xbb?\xbf?)?[ \t\r\n]{0,8}(?:\[[ \t\r\n]{0,4})?(?:\{[ \t\r\n]{0,4}"
    rb"(?:\"[\w.\\-]*(?:\"[ \t\r\n]*(?::[ -~\t\r\n]*)?)?)?)?\Z"
)
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_BEGINNINGS = b"{[ \t\r\n\xef"
_TABLES = tuple(bytes(byte ^ key for byte in range(256)) for key in range(256))


class Armour(StrEnum):
    """How the JSON was wrapped."""

    BASE64 = "base64"
    XOR = "xor"


class Unarmoured(msgspec.Struct, frozen=True):
    """Decoded bytes that continue the decoded stream.

    ``offset`` and ``end`` count the raw stream's bytes that they came of, ``key`` is the byte that
    exclusive or was done with, 0 for base64.
    """

    kind: Armour
    data: bytes
    offset: int
    end: int
    key: int = 0


class Unarmourer:
    """Unwraps one direction from its first byte; never raises, holds at most `LOOK` bytes."""

    __slots__ = ("_held", "_line", "_offset", "_raw", "done", "key", "kind")

    def __init__(self) -> None:
        self.done = False  # there is no armour, or no longer
        self.kind: Armour | None = None
        self.key = 0
        self._held = b""  # undecided bytes, or base64 digits short of four
        self._raw = 0  # bytes of the stream that _held stands for
        self._offset = 0  # of the stream, of the next byte that is fed
        self._line = 0  # digits in the present line

    @property
    def held(self) -> int:
        """Bytes kept for the next call."""
        return len(self._held)

    def feed(self, data: bytes) -> Unarmoured | None:
        """Take the next bytes of the stream; return what they unwrap to, if anything."""
        if self.done or not data:
            return None
        start = self._offset - self._raw
        self._offset += len(data)
        if self.kind is None:
            data, self._held = self._held + data, b""
            self._raw = 0
            if not self._decide(data):
                return None
        plain = self._unwrap(data)
        if not plain:
            return None
        end = self._offset - self._raw
        return Unarmoured(self.kind or Armour.XOR, plain, start, end, self.key)

    def _decide(self, data: bytes) -> bool:
        """Judge the first bytes; keep them if they are too few."""
        head = data[:LOOK]
        is_base64, key = _is_base64(head), _key(head)
        if not is_base64 and not key:
            self.done = True
        elif len(head) < LOOK:
            self._held, self._raw = data, len(data)
        elif is_base64:
            self.kind = Armour.BASE64
        else:
            self.kind, self.key = Armour.XOR, key
        return self.kind is not None

    def _unwrap(self, data: bytes) -> bytes:
        if self.kind is Armour.XOR:
            return data.translate(_TABLES[self.key])
        found = bytearray()
        first, *lines = data.translate(_URL_SAFE).split(b"\n")
        self._digits(first, found)
        for line in lines:
            if self.done:
                break
            self._end_line(found)
            if line and not self.done:
                self._digits(line, found)
        if self.done:
            self._held = b""
        self._raw = len(self._held)
        return bytes(found)

    def _digits(self, text: bytes, found: bytearray) -> None:
        """Decode as many digits of a line as there are in whole groups of four."""
        text = text.replace(b"\r", b"")
        if not text:
            return
        good = _TEXT.match(text)
        size = good.end() if good else 0
        self._line += size
        held = self._held + text[:size]
        whole = len(held) - len(held) % 4
        self._held = held[whole:]
        self._decode(held[:whole], found)
        self.done = self.done or size < len(text)

    def _end_line(self, found: bytearray) -> None:
        if self._held:
            text, self._held = self._held, b""
            self._decode(text.ljust(4, b"="), found)
        if not self.done and self._line not in _WRAPPED:
            found += b"\n"
        self._line = 0

    def _decode(self, text: bytes, found: bytearray) -> None:
        """Decode groups of four, a padded one by itself."""
        try:
            for groups in _GROUPS.findall(text):
                found += binascii.a2b_base64(groups, strict_mode=True)
        except binascii.Error:
            self.done = True


def _is_base64(head: bytes) -> bool:
    head = head.translate(_URL_SAFE)
    if not _DIGITS.match(head):
        return False
    return _JSON.match(binascii.a2b_base64(head[: len(head) - len(head) % 4])) is not None


def _key(head: bytes) -> int:
    """Return the key under which the bytes are JSON so far, 0 if there is none."""
    for first in _BEGINNINGS:
        key = head[0] ^ first
        if key and _JSON.match(head.translate(_TABLES[key])):
            return key
    return 0
