"""What this gateway's kernel refuses because all gateways do; knows the sets, not the store.

Strategy for quarantines. They are of a lifecycle, and kernels know addresses. An address is in
quarantine while lineage says that the lifecycle holds it, and not a moment longer: every change of
lineage to it is looked at, and all of them are gone through now and then. What lineage cannot say
leaves an address as it is.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address

from davylamp.attribution import model as lineage
from davylamp.attribution.table import LineageTable
from davylamp.blocks.model import EndpointBlock, Quarantine, parse_endpoint
from davylamp.blocks.spared import Spared
from davylamp.decision import Endpoint
from davylamp.enforcement.nftset import KernelSets
from davylamp.errors import ConfigError, KernelError

_QUARANTINES = 10_000
_ADDRESSES = 64

logger = logging.getLogger(__name__)


class Warden:
    """Carries shared blocks out in the kernel's sets.

    ``refuses`` says that this gateway refuses anything at all, ``shares`` that what other gateways
    judged counts here; what a person asked for counts wherever anything is refused. ``guard`` is
    called with whether anybody is in quarantine, whenever that changes. ``block_seconds`` is how
    long the blocks of single sandboxes last here.
    """

    def __init__(  # noqa: PLR0913 - what it refuses, and what tells it
        self,
        sets: KernelSets,
        spared: Spared,
        table: LineageTable,
        *,
        refuses: bool,
        shares: bool,
        confines: bool,
        block_seconds: float,
        guard: Callable[[bool], None],
        clock: Callable[[], float],
    ) -> None:
        self._sets = sets
        self._spared = spared
        self._table = table
        self._refuses = refuses
        self._shares = shares
        self._confines = confines
        self._block_seconds = block_seconds
        self._guard = guard
        self._clock = clock
        self._quarantines: dict[str, tuple[Quarantine, set[str]]] = {}
        self._confined: dict[bytes, float] = {}
        self._guarding = False

    def begin(self) -> None:
        """Take over what the kernel kept over a restart."""
        now = self._clock()
        self._confined = {key: now + left for key, left in self._sets.confined().items()}
        self._guarding = bool(self._confined)

    def endpoint(self, block: EndpointBlock) -> None:
        """Refuse an endpoint, or do so no longer."""
        now = self._clock()
        try:
            endpoint = parse_endpoint(block.endpoint)
        except ConfigError as error:  # somebody else wrote it
            logger.warning("a shared verdict is passed over: %s", error)
            return
        with _kernel(block.endpoint):
            if block.released:
                self._admit(endpoint, block.released)
            elif block.stands(now) and self._takes(block, endpoint):
                self._sets.refuse(endpoint, block.until - now)

    def quarantine(self, quarantine: Quarantine, held: Iterable[str]) -> None:
        """Learn of a quarantine, or of its end; :meth:`settle` carries it out.

        ``held`` are the addresses that the lifecycle holds or has held.
        """
        name = quarantine.lifecycle_id
        self._quarantines.pop(name, None)
        if quarantine.stands(self._clock()):
            addresses = [*quarantine.addresses, *held][:_ADDRESSES]
            self._quarantines[name] = quarantine, set(addresses)
            while len(self._quarantines) > _QUARANTINES:
                del self._quarantines[next(iter(self._quarantines))]

    def heard(self, change: lineage.Change) -> None:
        """Look at what a change of lineage means for quarantines; it is in the table already."""
        if not isinstance(change, lineage.BindingChange) or not self._quarantines:
            return
        binding = change.binding
        for name in binding.lifecycles:
            known = self._quarantines.get(name)
            if known is not None and len(known[1]) < _ADDRESSES:
                known[1].add(binding.ip)
        self.settle()

    def settle(self) -> None:
        """Have exactly those addresses in quarantine that should be, as far as lineage knows."""
        if not self._confines or self._table.fresh_at == float("-inf"):
            return
        wanted = self._wanted(self._clock())
        try:
            if wanted and not self._guarding:
                self._guard(True)
                self._guarding = True
            for address, until in wanted.items():
                if abs(self._confined.get(address, 0.0) - until) > 1.0:
                    self._sets.confine(address, until - self._clock())
            for address in self._confined.keys() - wanted.keys():
                self._sets.free(address)
            self._confined = wanted
            if self._guarding and not wanted:
                self._guard(False)
                self._guarding = False
        except KernelError:
            logger.exception("the kernel refused a quarantine")

    def _takes(self, block: EndpointBlock, endpoint: Endpoint) -> bool:
        if not self._refuses:
            return False
        return bool(block.by) or (self._shares and not self._spared.covers(endpoint))

    def _admit(self, endpoint: Endpoint, released: float) -> None:
        """Lift all blocks of an endpoint that were there when it was released."""
        self._sets.admit(endpoint)
        now = self._clock()
        for one in self._sets.blocked():
            began = now + one.seconds - self._block_seconds
            if one.block.endpoint == endpoint and began <= released:
                self._sets.unblock(one.block)

    def _wanted(self, now: float) -> dict[bytes, float]:
        wanted: dict[bytes, float] = {}
        over = [name for name, (one, _) in self._quarantines.items() if not one.stands(now)]
        for name in over:
            del self._quarantines[name]
        for quarantine, addresses in self._quarantines.values():
            for ip in addresses:
                holder = self._table.attribute(ip, now, now).binding
                if holder is None or quarantine.lifecycle_id not in holder.lifecycles:
                    continue
                if holder.covers(now):
                    wanted[ip_address(ip).packed] = quarantine.until
        return wanted


@contextmanager
def _kernel(what: str) -> Iterator[None]:
    try:
        yield
    except KernelError:
        logger.exception("the kernel refused what concerns %s", what)
