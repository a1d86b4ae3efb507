r"""Stratum V2 in the clear: frames whose bodies parse exactly as the mining protocol's messages.

Strategy: a stream is read from a frame's start, and a frame is believed only when everything about
it fits: an extension type of 0 (the channel bit aside), a type that this side sends, a length that
the type's layout can have, a body that the layout takes to its last byte, and values that a miner
or pool would send. The first frame that does not fit ends the reading, unless a conclusive one
came before: then it is stepped over, since extensions and newer messages exist.

    state     next                                            goes to
    header    6 bytes: extension u16, type u8, length u24     body
    header    no such message from this side                  done (Malformed), or skip
    body      length bytes that parse and fit                 header (a message)
    body      length bytes that do not                        done (Malformed), or header
    skip      length bytes                                    header

How strong a message is. Extension, type and length pin 47 bits where a layout has one length, and
where it has many the lengths inside must agree with it. ``conclusive`` messages pin more by their
values, so that random bytes begin with one with a probability below 2^-50:

    conclusive                                   also pinned
    SetupConnection                              protocol, versions around 2, five texts: 2^-80
    OpenStandardMiningChannel, ...Extended...    a user in text, a finite hash rate: 2^-56
    SubmitSharesStandard                         version bits 001, time since 2020: 2^-50.7
    SubmitSharesExtended                         the same, extranonce size: 2^-54
    NewMiningJob, NewExtendedMiningJob           version bits, time or its absence: 2^-58
    SetNewPrevHash                               time since 2020, compact target: 2^-51.7

No text begins so: its third byte would have to be a control character or a blank, after a NUL.
Other binary protocols begin with zeros too, and small numbers. The rest, such as
SetupConnection.Success with 12 bytes that are mostly zeros, is supporting evidence only.

Sources: stratum-mining/sv2-spec 03-Protocol-Overview.md section 3.2 (framing) and 3.4 (unknown
extensions are ignored), and those of `stratum_v2_messages`. The encrypted form is `noise_shape`.
"""

from enum import StrEnum

import msgspec

from davylamp.inspection.wire.reader import Malformed, printable
from davylamp.inspection.wire.stratum_v2_messages import (
    CLIENT,
    ERRORS,
    OPENINGS,
    RECONNECT,
    SERVER,
    SETUP_CONNECTION,
    Layout,
    Values,
)

MAX_FRAME = 1 << 17
"""Bytes in a body that is read; a job holds two coinbase halves of at most 65,535."""


class Protocol(StrEnum):
    """What a connection is set up for (section 3.6.1); all four belong to mining."""

    MINING = "mining"
    JOB_DECLARATION = "job-declaration"
    TEMPLATE_DISTRIBUTION = "template-distribution"
    JOB_DISTRIBUTION = "job-distribution"


_PROTOCOLS = tuple(Protocol)


class Sv2Message(msgspec.Struct, frozen=True):
    """One message; ``offset`` and ``end`` count bytes of the direction's stream.

    ``conclusive`` is explained above. ``protocol``, ``host``, ``port`` and ``device`` (vendor,
    hardware, firmware, device id) are SetupConnection's, host and port also Reconnect's; ``user``
    is an open request's, to be redacted like any account; ``error`` is an error's code. What does
    not apply is empty. Text is printable.
    """

    name: str
    type: int
    offset: int
    end: int
    conclusive: bool
    protocol: str = ""
    host: str = ""
    port: int = 0
    device: tuple[str, ...] = ()
    user: str = ""
    error: str = ""


class Sv2Reader:
    """Reads one direction; never raises, holds at most `MAX_FRAME` bytes and a header."""

    __slots__ = ("_buffer", "_layouts", "_need", "_offset", "_skip", "done", "established")

    def __init__(self, *, from_client: bool) -> None:
        self.done = False
        self.established = False  # a conclusive message was read
        self._layouts = CLIENT if from_client else SERVER
        self._buffer = bytearray()
        self._offset = 0  # of the stream, of _buffer[0]
        self._need = 1  # bytes of the frame before it can be judged again
        self._skip = 0  # bytes of a frame that is stepped over

    @property
    def partial(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._buffer or self._skip)

    @property
    def held(self) -> int:
        """Bytes kept for the next call."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Sv2Message | Malformed]:
        """Take the next bytes of the stream; return the messages that they complete."""
        if self.done:
            return []
        if self._skip:
            size = min(self._skip, len(data))
            self._skip -= size
            self._offset += size
            data = data[size:]
        self._buffer += data
        found: list[Sv2Message | Malformed] = []
        at = 0
        while len(self._buffer) - at >= self._need:
            at = self._frame(at, found)
        self._drop(at)
        return found

    def _frame(self, at: int, found: list[Sv2Message | Malformed]) -> int:
        """Judge the frame at an offset of the buffer; return where it ends, or the offset."""
        head = bytes(self._buffer[at : at + 6])
        length = int.from_bytes(head[3:], "little")
        if reason := self._refusal(head, length):
            if not self.established:
                return self._stop(reason, at, found)
            self._need = 1 if len(head) == 6 else 6
            return at + 6 + length if len(head) == 6 else at
        if len(head) < 6:
            self._need = len(head) + 1
            return at
        end = at + 6 + length
        if len(self._buffer) < end:
            self._need = end - at
            return at
        self._need = 1
        message = self._message(head[2], at, end)
        if message is not None:
            self.established = self.established or message.conclusive
            found.append(message)
        elif not self.established:
            return self._stop("not a Stratum V2 message", at, found)
        return end

    def _refusal(self, head: bytes, length: int) -> str:
        """Say why no message that this side sends has this header; empty if one may."""
        if head[0] or (len(head) > 1 and head[1] not in (0, 0x80)):
            return "not a Stratum V2 extension type"
        if len(head) > 2 and head[2] not in self._layouts:
            return "not a Stratum V2 message type"
        if len(head) == 6:
            least, most = self._layouts[head[2]].bounds()
            if not least <= length <= min(most, MAX_FRAME):
                return "not this Stratum V2 message's length"
        return ""

    def _message(self, kind: int, at: int, end: int) -> Sv2Message | None:
        layout = self._layouts[kind]
        values = layout.parse(bytes(self._buffer[at + 6 : end]))
        if values is None:
            return None
        return _described(layout, kind, values, self._offset + at, self._offset + end)

    def _stop(self, reason: str, at: int, found: list[Sv2Message | Malformed]) -> int:
        self.done = True
        found.append(Malformed(reason, self._offset + at, bytes(self._buffer[at:])))
        return len(self._buffer)

    def _drop(self, at: int) -> None:
        """Forget what was read; a frame that is stepped over may end behind what is here."""
        size = min(at, len(self._buffer))
        self._skip += at - size
        self._offset += size
        del self._buffer[:size]


def _described(layout: Layout, kind: int, values: Values, offset: int, end: int) -> Sv2Message:
    message = Sv2Message(layout.name, kind, offset, end, layout.conclusive)
    texts = tuple(printable(value) for value in values if isinstance(value, bytes))
    numbers = [value for value in values if isinstance(value, int)]
    if kind == SETUP_CONNECTION:
        return msgspec.structs.replace(
            message,
            protocol=_PROTOCOLS[numbers[0]],
            host=texts[0].lower().removesuffix("."),
            port=numbers[4],
            device=texts[1:],
        )
    if kind in OPENINGS:
        return msgspec.structs.replace(message, user=texts[0])
    if kind in ERRORS:
        return msgspec.structs.replace(message, error=texts[0])
    if kind == RECONNECT:
        host = texts[0].lower().removesuffix(".")
        return msgspec.structs.replace(message, host=host, port=numbers[0])
    return message
