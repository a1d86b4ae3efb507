"""The SSH identification string, from either side, on any port.

Strategy: read lines, discard those a server may send first, answer at the banner's newline. The
limits are OpenSSH's (kex_exchange_identification), not the RFC's 255 characters, because what
OpenSSH accepts is a working SSH connection:

    bytes of a line                    answer
    "SSH-" version "-" software ... LF the banner (CR before LF is optional)
    any other line, from a server      skipped, at most 1,024 of them (RFC 4253 allows them)
    any other line, from a client      malformed: servers close the connection
    NUL, or CR without LF              malformed: so does OpenSSH
    8,192 bytes without LF             malformed

Source: RFC 4253 sections 4.2 and 5.1. Once a server's stream starts with other lines, ``None``
can last for many lines: a caller that wants to know early looks at the client's side.
"""

import re

import msgspec

from davylamp.inspection.wire.reader import Malformed, printable

MAX_LINE = 8192
MAX_LINES = 1024
MAX_TEXT = 255
"""Characters of the software and comments that are kept (the RFC's limit for the whole line)."""

_PREFIX = b"SSH-"
_LONE_CR = re.compile(rb"\r[^\r\n]")


class SshBanner(msgspec.Struct, frozen=True):
    """An identification string: ``SSH-<version>-<software> <comments>``, printable and cut."""

    version: str
    software: str
    comments: str


type BannerResult = SshBanner | Malformed | None
"""None: more bytes are needed. Malformed: this is not SSH and never will be."""


class SshBannerReader:
    """Reads one side's stream up to its identification string; holds at most one line."""

    __slots__ = ("_from_server", "_line", "_lines", "_offset", "result")

    def __init__(self, *, from_server: bool) -> None:
        self.result: BannerResult = None
        self._from_server = from_server
        self._line = bytearray()
        self._lines = 0
        self._offset = 0  # of the stream, of _line[0]

    def feed(self, data: bytes) -> BannerResult:
        """Take the next bytes of the stream; return the result when there is one."""
        if self.result is not None:
            return self.result
        at = 0
        while at < len(data) and self.result is None:
            end = data.find(b"\n", at, at + MAX_LINE + 1) + 1 or min(len(data), at + MAX_LINE + 1)
            self._line += data[at:end]
            at = end
            self.result = self._judge()
        if isinstance(self.result, Malformed):
            self.result = msgspec.structs.replace(self.result, rest=self.result.rest + data[at:])
        if self.result is not None:
            self._line.clear()
        return self.result

    def _judge(self) -> BannerResult:
        """Judge the line so far, and start the next one if it is whole and not the banner."""
        line = self._line
        if reason := self._refusal():
            return Malformed(reason, self._offset, bytes(line))
        if not line.endswith(b"\n"):
            return None
        if line.startswith(_PREFIX):
            return _banner(bytes(line)) or Malformed("no SSH version", self._offset, bytes(line))
        self._offset += len(line)
        self._lines += 1
        line.clear()
        return None

    def _refusal(self) -> str:
        line = self._line
        if not self._from_server and line[:4] != _PREFIX[: len(line)]:
            return "not an SSH client"
        if b"\0" in line:
            return "NUL in a line"
        if _LONE_CR.search(line):
            return "CR without LF"
        if len(line) > MAX_LINE:
            return "line too long"
        if self._lines >= MAX_LINES:
            return "too many lines before the banner"
        return ""


def _banner(line: bytes) -> SshBanner | None:
    text = line.rstrip(b"\r\n")[len(_PREFIX) :]
    version, dash, rest = text.partition(b"-")
    if not dash or not version or not rest:
        return None
    software, _, comments = rest.partition(b" ")
    return SshBanner(*(printable(part[:MAX_TEXT]) for part in (version, software, comments)))
