r"""Alephium's miner protocol: length-prefixed binary messages, and the server speaks first.

Strategy: a stream's first message is matched by everything that is fixed in it, or not at all.
Numbers are big-endian; a blob is a u32 length and that many bytes; a message is a u32 size and
that many bytes, of which the first is the protocol's version (1) since 2024 and missing before.

    from     message  fields
    server   00 jobs        u32 count; each: u32 from, u32 to, header blob, transactions blob,
                            target blob, u32 height (only with a version)
    server   01 result      u32 from, u32 to, block hash 32 (only with a version), bool
    client   00 submission  block blob: nonce 24, header, transactions

A header without its nonce is a version byte, the number n of dependencies (2 * groups - 1, so 7),
n hashes, two more hashes, a time in milliseconds and a target of 4: 302 bytes for n = 7. Jobs
match with their first job whole (the sizes say where its parts end, and the header is checked
inside); a submission's sizes must agree with each other and its header is checked: the chance
that random bytes match either is below 2^-80. A result alone has 10 or 43 bytes that are mostly
fixed, but small, and is supporting evidence: ``conclusive`` is false.

Sources: alephium/alephium flow/src/main/scala/org/alephium/flow/mining/Message.scala (fields,
version, height, hash), alephium/cpu-miner src/messages.h (without them), alephium/docs
docs/mining/integration.md (nonce of 24 bytes, header, 16 chains).
"""

from enum import StrEnum

import msgspec

from davylamp.inspection.wire.prefix import Parsed, PrefixReader
from davylamp.inspection.wire.reader import Cursor, Malformed

MAX_MESSAGE = 1 << 22
"""Bytes that a message may claim; sixteen jobs full of transactions have some hundred thousand."""

MAX_BLOB = 1 << 16
MAX_JOBS = 256

_NONCE = 24
_EARLIEST, _LATEST = 1_577_836_800_000, 4_102_444_800_000  # 2020 and 2100, in milliseconds
_RESULT_SIZES = {10: 0, 43: 1}


class AlephiumKind(StrEnum):
    """What a message is."""

    JOBS = "jobs"
    RESULT = "result"
    SUBMISSION = "submission"


class AlephiumMessage(msgspec.Struct, frozen=True):
    """A stream's first message, as far as byte ``end``, where it was certain.

    ``versioned`` tells the newer form; ``jobs`` counts those that a jobs message announces.
    """

    kind: AlephiumKind
    versioned: bool
    conclusive: bool
    end: int
    jobs: int = 0


class AlephiumReader(PrefixReader[AlephiumMessage]):
    """Reads one direction's first message, as far as it takes to be certain."""

    __slots__ = ("_from_client",)
    LIMIT = MAX_BLOB + 2048

    def __init__(self, *, from_client: bool) -> None:
        super().__init__()
        self._from_client = from_client

    def parse(self, data: bytes) -> Parsed[AlephiumMessage]:
        """Read the stream's first bytes."""
        if data[0]:  # no message has 16 MiB
            return _no(data)
        if len(data) < 6:
            return 6
        size = int.from_bytes(data[:4], "big")
        versioned = data[4] == 1 and size != 10
        kind = data[5] if versioned else data[4]
        at = 6 if versioned else 5
        if not 10 <= size <= MAX_MESSAGE or kind > 1 or (kind and self._from_client):
            return _no(data)
        if self._from_client:
            return _submission(data, at, size + 4, versioned=versioned)
        if kind:
            return _result(data, at, size, versioned=versioned)
        return _jobs(data, at, size + 4, versioned=versioned)


def _no(data: bytes) -> Malformed:
    return Malformed("not Alephium's miner protocol", 0, data)


def _submission(data: bytes, at: int, end: int, *, versioned: bool) -> Parsed[AlephiumMessage]:
    if len(data) < at + 4:
        return at + 4
    blob = at + 4
    if blob + int.from_bytes(data[at:blob], "big") != end or end - blob > MAX_BLOB:
        return _no(data)
    header = blob + _NONCE
    if len(data) < header + 2:
        return header + 2
    size = _header_size(data, header)
    fits = size and header + size < end
    if fits and len(data) < end:
        return end
    if not fits or not _is_header(data, header, size):
        return _no(data)
    return AlephiumMessage(AlephiumKind.SUBMISSION, versioned, True, end)


def _result(data: bytes, at: int, size: int, *, versioned: bool) -> Parsed[AlephiumMessage]:
    if _RESULT_SIZES.get(size) != versioned:
        return _no(data)
    if len(data) < size + 4:
        return size + 4
    groups = int.from_bytes(data[at : at + 4], "big"), int.from_bytes(data[at + 4 : at + 8], "big")
    if max(groups) > 15 or data[size + 3] > 1:
        return _no(data)
    return AlephiumMessage(AlephiumKind.RESULT, versioned, False, size + 4)


def _jobs(data: bytes, at: int, end: int, *, versioned: bool) -> Parsed[AlephiumMessage]:
    header = at + 16
    if len(data) < header + 2:
        return header + 2
    cursor = Cursor(data, at)
    count, source, target, size = cursor.u32(), cursor.u32(), cursor.u32(), cursor.u32()
    groups = (data[header + 1] + 1) // 2
    fits = 1 <= count <= MAX_JOBS and source < groups and target < groups
    if not fits or size != _header_size(data, header) or at + 4 + count * (size + 22) > end:
        return _no(data)
    transactions = header + size
    if len(data) < transactions + 4:
        return transactions + 4
    if not _is_header(data, header, size):
        return _no(data)
    return _rest_of_job(data, transactions, end, count, versioned=versioned)


def _rest_of_job(
    data: bytes, at: int, end: int, count: int, *, versioned: bool
) -> Parsed[AlephiumMessage]:
    """Read a job's transactions and target, behind a header that was right."""
    size = int.from_bytes(data[at : at + 4], "big")
    target = at + 4 + size
    if not 1 <= size <= MAX_BLOB or target > end:
        return _no(data)
    if len(data) < target + 4:
        return target + 4
    size = int.from_bytes(data[target : target + 4], "big")
    done = target + 4 + size + (4 if versioned else 0)
    if not 1 <= size <= 33 or done > end:
        return _no(data)
    if len(data) < done:
        return done
    return AlephiumMessage(AlephiumKind.JOBS, versioned, True, done, count)


def _header_size(data: bytes, at: int) -> int:
    """Return the size of the header at an offset by its first two bytes, 0 if they are none's."""
    version, dependencies = data[at], data[at + 1]
    if version > 3 or not dependencies & 1 or dependencies > 31:
        return 0
    return 2 + 32 * (dependencies + 2) + 8 + 4


def _is_header(data: bytes, at: int, size: int) -> bool:
    """Say whether a header's time is one of this century's."""
    time = int.from_bytes(data[at + size - 12 : at + size - 4], "big")
    return _EARLIEST <= time <= _LATEST
