"""Reading one thing at the very start of a stream, in whatever pieces it comes.

Strategy: a parser is a pure function of the bytes so far. It answers with its result, with
`Malformed`, or with the least number of bytes at which its answer may be another; until they are
there it is not called again. So a parser that asks for what it needs costs no more than the bytes
it reads, and one that asks for no more than that answers alike however they are split.
"""

from abc import ABC, abstractmethod

import msgspec

from davylamp.inspection.wire.reader import Malformed

type Parsed[T] = T | Malformed | int
"""A result, a refusal, or how many bytes of the stream are needed before trying again."""


class PrefixReader[T: msgspec.Struct](ABC):
    """Feeds `parse` until it answers; holds at most ``LIMIT`` bytes between calls.

    Once there is a result, ``feed`` returns it again and reads nothing: the bytes that follow
    belong to whatever the caller reads next, from the result's ``rest`` on.
    """

    __slots__ = ("_buffer", "_need", "result")
    LIMIT: int

    def __init__(self) -> None:
        self.result: T | Malformed | None = None
        self._buffer = bytearray()
        self._need = 1

    @property
    def held(self) -> int:
        """Bytes kept for the next call."""
        return len(self._buffer)

    def feed(self, data: bytes) -> T | Malformed | None:
        """Take the next bytes of the stream; return the result when there is one."""
        if self.result is not None:
            return self.result
        self._buffer += data
        if len(self._buffer) < self._need:
            return None
        parsed = self.parse(bytes(self._buffer))
        if isinstance(parsed, int):
            if parsed <= self.LIMIT:
                self._need = max(parsed, len(self._buffer) + 1)
                return None
            parsed = Malformed("longer than we read", 0, bytes(self._buffer))
        self.result = parsed
        self._buffer.clear()
        return parsed

    @abstractmethod
    def parse(self, data: bytes) -> Parsed[T]:
        """Read the stream's first bytes, at least as many as were asked for last."""
