"""A direction's first bytes against the pack's conditions on them.

Nearly every stream is settled by its first four bytes: no literal begins so. Of the others the
first `MAX_WITHIN` bytes are kept, until each condition is decided.
"""

from typing import TYPE_CHECKING

from davylamp.flow import Direction
from davylamp.inspection.context import Context
from davylamp.signatures.language import MAX_WITHIN, MIN_ANCHOR
from davylamp.signatures.texts import StartIndex

if TYPE_CHECKING:
    from davylamp.signatures.model import BytesCondition, Signature


class Start:
    """Watches one direction of one layer, from its first byte on."""

    __slots__ = (
        "_checked",
        "_context",
        "_data",
        "_direction",
        "_index",
        "_layers",
        "_offset",
        "_open",
    )

    def __init__(
        self, context: Context, index: StartIndex, direction: Direction, layers: tuple[str, ...]
    ) -> None:
        self._context = context
        self._index = index
        self._direction = direction
        self._layers = layers
        self._offset = -1  # of the stream, of the first byte
        self._data = b""
        self._checked = 0  # the longest literal's length that was looked up
        self._open: list[tuple[Signature, BytesCondition]] = []

    @property
    def held(self) -> int:
        """Bytes that are kept."""
        return len(self._data)

    def observe(self, data: bytes, offset: int) -> bool:
        """Take the next bytes; tell whether more may decide anything."""
        if self._offset < 0:
            self._offset = offset
        self._data += data[: MAX_WITHIN - len(self._data)]
        known = self._data
        if len(known) < MIN_ANCHOR:
            return True
        starts = self._index
        waiting = False
        for length in starts.lengths(known):
            if length > len(known):
                waiting = True
                break
            if length > self._checked:
                self._checked = length
                self._open += starts.begun(known[:length], self._direction)
        if self._open:
            self._judge(known)
        return waiting or bool(self._open)

    def _judge(self, known: bytes) -> None:
        left: list[tuple[Signature, BytesCondition]] = []
        told: set[str] = set()
        for signature, condition in self._open:
            verdict = condition.judge(known)
            if verdict is None:
                left.append((signature, condition))
            elif verdict and signature.id not in told:
                told.add(signature.id)
                text = known[: condition.end(known)]
                self._context.met((signature,), self._direction, self._offset, text, self._layers)
        self._open = left
