"""What an address's next holder must not inherit: blocks that the last one brought upon itself.

Strategy. The kernel's blocks of single sandboxes are of addresses, and what earned them is of a
lifecycle. The kernel says when each block began, lineage who held the address then. Where that is
sure, and that hold has ended, the block is lifted; whoever comes next is judged by what it does.
All else stays for its time: blocks of nobody's name, or of one that is only likely, and every
endpoint that is refused to all. Nothing need be remembered but which addresses changed hands.

To lift one lets nothing through: what mines is judged again by its first bytes.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from davylamp.attribution.model import Binding, BindingChange, Change
from davylamp.attribution.table import LineageTable
from davylamp.enforcement.nftset import Blocked, KernelSets
from davylamp.errors import KernelError
from davylamp.flow import format_address

_LOOK_SECONDS = 0.5
_ALL_SECONDS = 60.0
"""After so long all addresses are looked at: lineage may have been loaded anew."""
_REST = 20
"""So many times as long as a look took nothing is looked at, however much changes."""
_CHANGED = 65_536
_JITTER = 0.05
"""So many seconds before a hold's end whose a block is is not sure: the kernel counts in ticks, and
it takes time to ask it."""
_AHEAD = 60.0

logger = logging.getLogger(__name__)


class Succession:
    """Lifts such blocks: tell it what is ``heard`` of lineage, and ``run()`` it.

    ``block_seconds`` is how long a block lasts. ``clock`` gives seconds since the epoch.
    """

    def __init__(
        self,
        sets: KernelSets,
        table: LineageTable,
        *,
        block_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self._sets = sets
        self._table = table
        self._block_seconds = block_seconds
        self._clock = clock
        self._changed: dict[str, float] = {}
        self._all_at = float("-inf")

    def heard(self, change: Change) -> None:
        """Note which address a change is about; the table has it already."""
        if not isinstance(change, BindingChange):
            return
        if len(self._changed) >= _CHANGED:
            self._all_at = float("-inf")
            self._changed.clear()
        now = self._clock()
        ends = min(change.binding.valid_to or now, now + _AHEAD)  # by another host's clock
        self._changed[change.binding.ip] = max(now, ends)

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            began = time.monotonic()
            self.look()
            taken = time.monotonic() - began
            await asyncio.sleep(max(_LOOK_SECONDS, taken * _REST))

    def look(self) -> None:
        """Lift what is to be lifted by what lineage knows now."""
        everywhere = self._clock() - self._all_at >= _ALL_SECONDS
        if self._table.fresh_at == float("-inf") or not (everywhere or self._changed):
            return
        began = self._clock()
        try:
            blocked = self._sets.blocked()
            # Only now: a block that seems to have begun too late stays, too early is another's.
            now = self._clock()
            self._lift(blocked, None if everywhere else self._changed.keys(), now)
        except KernelError:
            logger.exception("the kernel refused to lift the blocks of addresses used again")
            return
        if now - began > _JITTER:
            return  # when blocks began is known no better than that: again, at the next look
        if everywhere:
            self._all_at = now
        fresh = self._table.fresh_at
        # Until lineage is known up to then, a block of that moment has no sure name.
        self._changed = {ip: at for ip, at in self._changed.items() if at > fresh}

    def _lift(self, blocked: Iterable[Blocked], only: Iterable[str] | None, now: float) -> None:
        wanted = None if only is None else frozenset(only)
        for one in blocked:
            ip = format_address(one.block.orig_addr)
            if wanted is not None and ip not in wanted:
                continue
            gone = self._gone(ip, now + one.seconds - self._block_seconds, now)
            if gone is not None and self._sets.unblock(one.block):
                who = gone.container or gone.lifecycle_id
                logger.info("%s may reach %s again: %s is gone", ip, one.block.endpoint, who)

    def _gone(self, ip: str, began: float, now: float) -> Binding | None:
        """Return who surely held an address when its block began, and holds it no longer."""
        then = self._table.attribute(ip, began)
        holder = then.binding
        if holder is None or not then.grade.certain() or holder.valid_to is None:
            return None
        if not began + _JITTER < holder.valid_to <= now:
            return None
        heir = self._table.attribute(ip, now).binding
        if heir is not None and heir.valid_to is None:
            same = not set(heir.lifecycles).isdisjoint(holder.lifecycles)
            return None if same else holder
        return holder
