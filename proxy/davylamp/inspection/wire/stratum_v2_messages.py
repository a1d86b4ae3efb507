"""The bodies of Stratum V2's messages: layouts, and what their values must be like.

Strategy: a layout is a string with a letter for each field, read left to right; a body belongs to
a layout only if the fields take it to its last byte. The letters are the data types of
sv2-spec 03-Protocol-Overview.md section 3.1 (little-endian throughout):

    B BOOL, U8   H U16   I U32   Q U64   F F32   U U256   S STR0_255   P B0_32   T B0_255
    K B0_64K     O OPTION[U32]   M SEQ0_255[U256]   C SEQ0_64K[U32]

Sources: sv2-spec 03-Protocol-Overview.md section 3.6 (common messages), 05-Mining-Protocol.md
sections 5.3.2 to 5.3.22 (mining), 08-Message-Types.md (numbers). Older layouts, which pools still
send: OpenExtendedMiningChannel.Success without group_channel_id, NewMiningJob under 0x1e.
"""

import math
import struct
from collections.abc import Callable

import msgspec

from davylamp.inspection.wire.reader import Cursor

type Value = int | float | bytes
type Values = tuple[Value, ...]

_EARLIEST = 1_577_836_800  # 2020 in seconds since 1970, before which nobody spoke this
_MOST_HASHES = 1e24  # a second; the whole network does 1e21
_VERSION = 2  # the only one there is


class Layout(msgspec.Struct, frozen=True):
    """A message's name, fields (``older`` ones too), and whether its values are evidence."""

    name: str
    fields: str
    fits: Callable[[Values], bool]
    conclusive: bool = False
    older: str = ""

    def parse(self, body: bytes) -> Values | None:
        """Return a body's values; None unless the layout takes it whole and the values fit."""
        values = _parsed(self.fields, body)
        if values is None and self.older:
            values = _parsed(self.older, body)
        return values if values is not None and self.fits(values) else None

    def bounds(self) -> tuple[int, int]:
        """Return the least and the most bytes that a body can have."""
        sizes = [_SIZES[field] for field in self.fields]
        least = sum(_SIZES[field][0] for field in self.older or self.fields)
        return min(least, sum(size[0] for size in sizes)), sum(size[1] for size in sizes)


def _parsed(fields: str, body: bytes) -> Values | None:
    cursor = Cursor(body)
    try:
        values = tuple(_READ[field](cursor) for field in fields)
    except EOFError:
        return None
    return None if cursor.left else values


def _number(size: int) -> Callable[[Cursor], Value]:
    return lambda cursor: int.from_bytes(cursor.take(size), "little")


def _array(prefix: int, most: int, size: int = 1) -> Callable[[Cursor], Value]:
    """Return a reader of a counted array of fixed-size elements, as the elements' bytes."""

    def read(cursor: Cursor) -> bytes:
        count = int.from_bytes(cursor.take(prefix), "little")
        if count > most:
            raise EOFError
        return cursor.take(count * size)

    return read


def _float(cursor: Cursor) -> float:
    value: float = struct.unpack("<f", cursor.take(4))[0]
    return value


_READ: dict[str, Callable[[Cursor], Value]] = {
    "B": _number(1),
    "H": _number(2),
    "I": _number(4),
    "Q": _number(8),
    "F": _float,
    "U": lambda cursor: cursor.take(32),
    "S": _array(1, 255),
    "T": _array(1, 255),
    "P": _array(1, 32),
    "K": _array(2, 0xFFFF),
    "O": _array(1, 1, 4),
    "M": _array(1, 255, 32),
    "C": _array(2, 0xFFFF, 4),
}
_SIZES = {
    "B": (1, 1),
    "H": (2, 2),
    "I": (4, 4),
    "Q": (8, 8),
    "F": (4, 4),
    "U": (32, 32),
    "S": (1, 256),
    "T": (1, 256),
    "P": (1, 33),
    "K": (2, 2 + 0xFFFF),
    "O": (1, 5),
    "M": (1, 1 + 255 * 32),
    "C": (2, 2 + 0xFFFF * 4),
}


def _is_text(value: Value) -> bool:
    """Say whether a string is text without control characters (the empty one is)."""
    assert isinstance(value, bytes)
    try:
        return value.decode().isprintable()
    except UnicodeDecodeError:
        return False


def _is_time(value: Value) -> bool:
    """Say whether a block time lies after 2020; a missing one does."""
    if isinstance(value, bytes):
        value = int.from_bytes(value, "little") if value else _EARLIEST
    return value >= _EARLIEST


def _is_version(value: Value) -> bool:
    """Say whether a block version has 001 on top, as BIP 9 asks and BIP 320 and 323 keep."""
    return isinstance(value, int) and value >> 29 == 1


def _is_compact(value: Value) -> bool:
    """Say whether a compact target has a plausible size, is not negative and not zero."""
    assert isinstance(value, int)
    return 3 <= value >> 24 <= 0x20 and 0 < value & 0xFFFFFF < 0x800000


def _setup(values: Values) -> bool:
    protocol, least, most, _, host, _, *device = values
    assert isinstance(protocol, int)
    assert isinstance(least, int)
    assert isinstance(most, int)
    named = bool(host) or any(device)
    texts = all(map(_is_text, (host, *device)))
    return protocol <= 3 and 1 <= least <= _VERSION <= most <= 15 and named and texts


def _open(values: Values) -> bool:
    user, rate = values[1], values[2]
    assert isinstance(rate, float)
    return bool(user) and _is_text(user) and math.isfinite(rate) and 0 <= rate < _MOST_HASHES


def _error(values: Values) -> bool:
    return bool(values[-1]) and _is_text(values[-1])


def _submit(values: Values) -> bool:
    return _is_time(values[4]) and _is_version(values[5])


def _job(values: Values) -> bool:
    return _is_time(values[2]) and _is_version(values[3])


def _extended_job(values: Values) -> bool:
    return _job(values) and bool(values[6]) and bool(values[7])


def _prev_hash(values: Values) -> bool:
    return _is_time(values[3]) and _is_compact(values[4])


def _any(values: Values) -> bool:
    del values
    return True


def _rate(values: Values) -> bool:
    return isinstance(values[1], float) and math.isfinite(values[1]) and values[1] >= 0


SETUP_CONNECTION, SETUP_ERROR, RECONNECT = 0x00, 0x02, 0x04
OPENINGS = frozenset({0x10, 0x13})
ERRORS = frozenset({SETUP_ERROR, 0x12, 0x17, 0x1D, 0x24})

_CLOSE = Layout("CloseChannel", "IS", lambda values: _is_text(values[1]))
_NEW_JOB = Layout("NewMiningJob", "IIOIU", _job, conclusive=True)

CLIENT = {
    SETUP_CONNECTION: Layout("SetupConnection", "BHHISHSSSS", _setup, conclusive=True),
    0x10: Layout("OpenStandardMiningChannel", "ISFU", _open, conclusive=True),
    0x13: Layout("OpenExtendedMiningChannel", "ISFUH", _open, conclusive=True),
    0x16: Layout("UpdateChannel", "IFU", _rate),
    0x18: _CLOSE,
    0x1A: Layout("SubmitSharesStandard", "IIIIII", _submit, conclusive=True),
    0x1B: Layout("SubmitSharesExtended", "IIIIIIP", _submit, conclusive=True),
    0x22: Layout("SetCustomMiningJob", "IITIUIIITIKIM", lambda values: _is_version(values[3])),
}
SERVER = {
    0x01: Layout("SetupConnection.Success", "HI", lambda values: values[0] == _VERSION),
    SETUP_ERROR: Layout("SetupConnection.Error", "IS", _error),
    0x03: Layout("ChannelEndpointChanged", "I", _any),
    RECONNECT: Layout("Reconnect", "SH", lambda values: _is_text(values[0])),
    0x11: Layout("OpenStandardMiningChannel.Success", "IIUPI", _any),
    0x12: Layout("OpenMiningChannel.Error", "IS", _error),
    0x14: Layout("OpenExtendedMiningChannel.Success", "IIUHPI", _any, older="IIUHP"),
    0x15: _NEW_JOB,
    0x17: Layout("UpdateChannel.Error", "IS", _error),
    0x18: _CLOSE,
    0x19: Layout("SetExtranoncePrefix", "IP", _any),
    0x1C: Layout("SubmitShares.Success", "IIIQ", _any),
    0x1D: Layout("SubmitShares.Error", "IIS", _error),
    0x1E: _NEW_JOB,
    0x1F: Layout("NewExtendedMiningJob", "IIOIBMKK", _extended_job, conclusive=True),
    0x20: Layout("SetNewPrevHash", "IIUII", _prev_hash, conclusive=True),
    0x21: Layout("SetTarget", "IU", _any),
    0x23: Layout("SetCustomMiningJob.Success", "III", _any),
    0x24: Layout("SetCustomMiningJob.Error", "IIS", _error),
    0x25: Layout("SetGroupChannel", "IC", _any),
}
