"""Lists of addresses with a port, one tab-separated line each, and what may not be on one.

Columns: address, port, scheme, grade, coins, pool, source, checked, expires. An address changes
hands, so every row says until when it is believed: after that day it is not on the list. An
address that many share (a CDN's) or nobody has is refused when the pack is loaded.
"""

from calendar import timegm
from datetime import date
from ipaddress import IPv4Address, IPv6Address, ip_address
from sys import intern

import msgspec

from davylamp.errors import PackError
from davylamp.signatures.names import CONFIDENCE, Grade, tickers
from davylamp.signatures.rows import rows
from davylamp.signatures.shared import shared_by

MAX_DAYS = 366
"""How long after it was checked an entry may be believed at most."""

_COLUMNS = (
    *("address", "port", "scheme", "grade", "coins", "pool", "source"),
    *("checked", "expires"),
)
_SCHEMES = ("tcp", "tls", "http", "https", "ws", "wss")
_MOST = 90  # by an address alone, however well it is known: who is behind it is not shown
_DAY = 86_400


class EndpointEntry(msgspec.Struct, frozen=True, gc=False):
    """One line of a list; ``expires`` counts seconds since the epoch, to the end of its day.

    (A msgspec struct, because a list may have many thousands.)
    """

    address: bytes
    port: int
    scheme: str
    grade: Grade
    coins: tuple[str, ...]
    pool: str
    source: str
    checked: str
    expires: int

    @property
    def key(self) -> bytes:
        """The packed address and the port behind it, as indexes have it."""
        return self.address + self.port.to_bytes(2, "big")

    @property
    def confidence(self) -> int:
        """How sure a match is, 0 to 100."""
        return min(CONFIDENCE[self.grade], _MOST)


def parse_endpoints(data: bytes, file: str) -> tuple[EndpointEntry, ...]:
    """Return the entries of a list; raise PackError naming the line that cannot be used."""
    seen: dict[bytes, int] = {}
    entries: list[EndpointEntry] = []
    for number, where, cells in rows(data, file, _COLUMNS):
        entry = _entry(cells, where)
        known = seen.setdefault(entry.key, number)
        if known != number:
            raise PackError(f"{where}: the endpoint is also on line {known}; keep one")
        entries.append(entry)
    return tuple(entries)


def lists_endpoints(data: bytes) -> bool:
    """Tell by its first row whether a list is one of endpoints: by its columns, or an address."""
    for line in data.split(b"\n"):
        if line and line[:1] != b"#":
            cells = line.split(b"\t", len(_COLUMNS))
            is_address = _address(cells[0].decode("utf-8", "replace")) is not None
            return is_address or len(cells) == len(_COLUMNS)
    return False


def _entry(cells: list[str], where: str) -> EndpointEntry:
    text, port, scheme, grade, coins, pool, source, checked, expires = cells
    address = _address(text)
    if address is None:
        raise PackError(
            f"{where}: {text!r} is not an address, as 192.0.2.7 or 2001:db8::7, without network or "
            "port; host names have lists of their own"
        )
    if isinstance(address, IPv6Address) and (mapped := address.ipv4_mapped):
        raise PackError(f"{where}: {text} is never seen on the wire; write {mapped}")
    if owner := shared_by(address):
        raise PackError(f"{where}: {text} is {owner}; many share it: list the pool's name instead")
    if not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 1 << 16:
        raise PackError(f"{where}: {port!r} is not a port; write a number from 1 to 65535")
    if scheme not in _SCHEMES or grade not in _GRADES:
        raise PackError(
            f"{where}: scheme is one of {', '.join(_SCHEMES)}; grade is one of {', '.join(_GRADES)}"
        )
    if not source:
        raise PackError(f"{where}: say where the endpoint is from in the column 'source'")
    first, last = _day(checked, where), _day(expires, where)
    if not 0 <= last - first <= MAX_DAYS * _DAY:
        raise PackError(f"{where}: expires must be 0 to {MAX_DAYS} days after checked")
    return EndpointEntry(
        address.packed,
        int(port),
        intern(scheme),
        _GRADES[grade],
        tickers(coins),
        intern(pool),
        intern(source),
        intern(checked),
        last + _DAY,
    )


_GRADES = {grade.value: grade for grade in Grade}


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return None if "%" in text else ip_address(text)
    except ValueError:
        return None


def _day(text: str, where: str) -> int:
    try:
        return timegm(date.fromisoformat(text).timetuple())
    except ValueError as error:
        raise PackError(f"{where}: {text!r} is not a day; write YYYY-MM-DD") from error
