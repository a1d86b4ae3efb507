"""What this gateway's kernel refuses because all gateways do; knows the sets, not the store.

Strategy for quarantines. They are of a lifecycle, and kernels know addresses. An address is in
quarantine while lineage says that the lifecycle holds it, and not a moment longer: every change of
lineage that concerns it is looked at, and all of them are gone through now and then. What lineage
cannot say leaves an address as it is.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
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
_LONGEST = 366 * 86_400.0
_NEAR = 1.0
"""Two ends that are nearer than so many seconds are one."""

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
        self._refusing = False

    def begin(self) -> None:
        """Take over what the kernel kept over a restart."""
        now = self._clock()
        self._confined = {key: now + left for key, left in self._sets.confined().items()}
        self._guarding = bool(self._confined)

    # -- endpoints --------------------------------------------------------------------------

    def endpoints(self, blocks: Iterable[EndpointBlock]) -> None:
        """Refuse endpoints, or do so no longer, in the order given."""
        known = [(endpoint, one) for one in blocks if (endpoint := _endpoint_of(one)) is not None]
        if not known:
            return
        now = self._clock()
        try:
            standing = self._sets.refused()
            for endpoint, block in known:
                self._endpoint(endpoint, block, standing, now)
            self._lift({endpoint: one.released for endpoint, one in known if one.released}, now)
        except KernelError:
            logger.exception("the kernel refused what concerns shared verdicts")

    def _endpoint(
        self,
        endpoint: Endpoint,
        block: EndpointBlock,
        standing: dict[Endpoint, float],
        now: float,
    ) -> None:
        if block.released:
            if standing.pop(endpoint, None) is not None:
                self._sets.admit(endpoint)
            return
        left = min(block.until - now, _LONGEST)
        already = abs(standing.get(endpoint, 0.0) - left) < _NEAR
        if left > 0 and not already and self._takes(block, endpoint):
            self._sets.refuse(endpoint, left)
            standing[endpoint] = left

    def _takes(self, block: EndpointBlock, endpoint: Endpoint) -> bool:
        if not self._refuses:
            return False
        return bool(block.by) or (self._shares and not self._spared.covers(endpoint))

    def _lift(self, released: Mapping[Endpoint, float], now: float) -> None:
        """Lift what keeps single sandboxes from endpoints since before these were released."""
        if not released:
            return
        for one in self._sets.blocked():
            began = now + one.seconds - self._block_seconds
            if began <= released.get(one.block.endpoint, 0.0):
                self._sets.unblock(one.block)

    # -- quarantines ------------------------------------------------------------------------

    def quarantine(self, quarantine: Quarantine, held: Iterable[str]) -> None:
        """Learn of a quarantine, or of its end; :meth:`settle` carries it out.

        ``held`` are the addresses that the lifecycle holds or has held.
        """
        name = quarantine.lifecycle_id
        self._quarantines.pop(name, None)
        if quarantine.stands(self._clock()):
            addresses = list(filter(_is_address, (*quarantine.addresses, *held)))[:_ADDRESSES]
            self._quarantines[name] = quarantine, set(addresses)
            while len(self._quarantines) > _QUARANTINES:
                del self._quarantines[next(iter(self._quarantines))]

    def heard(self, change: lineage.Change) -> None:
        """Look at what a change of lineage means for quarantines; it is in the table already."""
        if not isinstance(change, lineage.BindingChange) or not self._quarantines:
            return
        binding = change.binding
        if not _is_address(binding.ip):
            return
        concerned = ip_address(binding.ip).packed in self._confined
        for name in binding.lifecycles:
            known = self._quarantines.get(name)
            if known is not None and len(known[1]) < _ADDRESSES:
                known[1].add(binding.ip)
                concerned = True
        if concerned:
            self.settle()

    def settle(self) -> None:
        """Have exactly those addresses in quarantine that should be, as far as lineage knows."""
        if not self._confines or self._table.fresh_at == float("-inf"):
            return
        now = self._clock()
        try:
            self._confine(self._wanted(now), now)
            self._refusing = False
        except KernelError as error:
            if not self._refusing:
                logger.error("the kernel refuses a quarantine: %s", error)  # noqa: TRY400 - its own words
            self._refusing = True

    def _confine(self, wanted: dict[bytes, float], now: float) -> None:
        if wanted and not self._guarding:
            self._guard(True)
            self._guarding = True
        for address, until in wanted.items():
            if abs(self._confined.get(address, 0.0) - until) > _NEAR:
                self._sets.confine(address, min(until - now, _LONGEST))
                self._confined[address] = until
        for address in self._confined.keys() - wanted.keys():
            self._sets.free(address)
            del self._confined[address]
        if self._guarding and not wanted:
            self._guard(False)
            self._guarding = False

    def _wanted(self, now: float) -> dict[bytes, float]:
        """Return the addresses that lifecycles in quarantine hold now, and until when.

        An address that two of them may have had, and nobody knows more of, waits for both.
        """
        wanted: dict[bytes, float] = {}
        over = [name for name, (one, _) in self._quarantines.items() if not one.stands(now)]
        for name in over:
            del self._quarantines[name]
        for quarantine, addresses in self._quarantines.values():
            for ip in addresses:
                packed = ip_address(ip).packed
                if self._holds(quarantine.lifecycle_id, ip, now, stands=packed in self._confined):
                    wanted[packed] = max(wanted.get(packed, 0.0), quarantine.until)
        return wanted

    def _holds(self, lifecycle_id: str, ip: str, now: float, *, stands: bool) -> bool:
        """Tell whether a lifecycle holds an address; where nobody can say, it is as it ``stands``.

        The table forgets addresses that were silent for long, and a store may lose what it had.
        """
        holder = self._table.attribute(ip, now).binding
        if holder is None:
            return stands and not self._table.knows(ip, now)
        return lifecycle_id in holder.lifecycles and holder.covers(now)


def _endpoint_of(block: EndpointBlock) -> Endpoint | None:
    try:
        return parse_endpoint(block.endpoint)
    except ConfigError as error:  # somebody else wrote it
        logger.warning("a shared verdict is passed over: %s", error)
        return None


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:  # somebody else wrote it
        return False
    return True
