"""How often an address has shown a credential that is none."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

BURST = 10
"""Failures that an address may have at once."""
SECONDS_EACH = 6.0
"""After so many seconds one more is allowed."""
CAPACITY = 1024
_PREFIX = 64


@dataclass(frozen=True, slots=True)
class _Bucket:
    level: float
    at: float


class Failures:
    """A leaky bucket for each address; ``clock`` counts seconds.

    IPv6 addresses count by their /64, which one host has whole. At most ``CAPACITY`` addresses are
    remembered, the one that failed longest ago forgotten first.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def add(self, address: str) -> float:
        """Count a failure; return 0, or after how many seconds the address may fail again."""
        key, now = _key(address), self._clock()
        known = self._buckets.pop(key, _Bucket(0.0, now))
        level = max(0.0, known.level - (now - known.at) / SECONDS_EACH)
        over = level + 1 > BURST
        # What is over is not added: who keeps on trying is let in again as soon as one who waits.
        self._buckets[key] = _Bucket(level if over else level + 1, now)
        while len(self._buckets) > CAPACITY:
            self._buckets.popitem(last=False)
        return (level + 1 - BURST) * SECONDS_EACH if over else 0.0


def _key(address: str) -> str:
    try:
        read = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(read, IPv6Address) and read.ipv4_mapped is None:
        return str(ip_network((int(read), _PREFIX), strict=False))
    return str(read)
