"""Endpoints that no shared verdict keeps from anybody: what a site vouched for."""

import time
from collections.abc import Callable, Iterable

from davylamp.decision import Endpoint
from davylamp.enforcement.nftset import KernelSets
from davylamp.errors import KernelError
from davylamp.policy import Network, within

_KNOWN_SECONDS = 1.0
_TRUSTED = (("trusted4", 4), ("trusted6", 16), ("shared4", 4), ("shared6", 16))


class Spared:
    """The site's own networks, and where its resolvers said that trusted names are.

    The latter is asked of the kernel, where ``steering`` has put it.
    """

    def __init__(
        self,
        sets: KernelSets,
        networks: Iterable[Network],
        *,
        steering: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sets = sets
        self._networks = tuple(networks)
        self._steering = steering
        self._clock = clock
        self._known: dict[int, tuple[float, frozenset[bytes]]] = {}

    def covers(self, endpoint: Endpoint) -> bool:
        """Tell whether an endpoint is one of these."""
        return within(endpoint.address, self._networks) or (
            self._steering and endpoint.address in self._trusted(len(endpoint.address))
        )

    def _trusted(self, size: int) -> frozenset[bytes]:
        """Return the trusted addresses of a family, asked of the kernel once a second at most."""
        now = self._clock()
        asked, known = self._known.get(size, (float("-inf"), frozenset[bytes]()))
        if now - asked < _KNOWN_SECONDS:
            return known
        found: set[bytes] = set()
        for name, width in _TRUSTED:
            if width == size:
                try:
                    found.update(one.key[-size:] for one in self._sets.elements(name))
                except KernelError:  # no such set: nothing was ever trusted
                    continue
        self._known[size] = now, frozenset(found)
        return self._known[size][1]
