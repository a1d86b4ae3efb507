"""Puts the ruleset into the kernel, takes it out again, and reads its counters.

What is put there outlives this process on purpose: a gateway that is killed leaves rules which do
what the exception policy says. Taking them out is a decision of the caller's.
"""

import hashlib
import json
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from davylamp.enforcement import iptables, quarantine
from davylamp.enforcement.features import detect
from davylamp.enforcement.memory import commands_that_restore
from davylamp.enforcement.nftset import KernelSets
from davylamp.enforcement.programs import nft
from davylamp.enforcement.queueing import iptables_rules
from davylamp.enforcement.ruleset import (
    layout_text,
    nft_text,
    proxies_text,
    removal_text,
    renewal_text,
)
from davylamp.enforcement.spec import Features, RulesetSpec

_ACCOUNTING = Path("/proc/sys/net/netfilter/nf_conntrack_acct")
_IPV6 = Path("/proc/thread-self/net/if_inet6")


@dataclass(frozen=True, slots=True)
class CounterValue:
    """What one named counter has seen since the ruleset was applied."""

    packets: int
    bytes: int


class Kernel:
    """The ruleset of one gateway, in the network namespace of the thread that calls."""

    def __init__(self, spec: RulesetSpec, features: Features | None = None) -> None:
        """Take the settings; ``features`` are found by trying where they are not given."""
        self.spec = spec
        self.features = features or detect()
        self._lock = threading.Lock()
        self._listening: frozenset[int] = frozenset()
        self._applied = False
        self._astray = False  # what stands there is not to be believed
        self.applied_at = 0.0
        """When the rules were put in force, in seconds since the epoch; 0 while they are not."""

    def apply(self) -> None:
        """Put the ruleset in force, in place of an earlier one of the same table name.

        Flows that were cleared stay so (their mark is on the conntrack entry), and what the sets
        hold stays for what was left of its time (:mod:`.memory`). Raises KernelError, and then
        leaves an earlier ruleset as it was.
        """
        with self._lock:
            self._apply()

    def restore(self, *, thorough: bool = True) -> bool:
        """Put the ruleset back if somebody else has taken it out; tell whether that had to be.

        What the sets held is gone then. Asked often, it need not be ``thorough``: iptables' rules
        are another program's to ask for, and mostly go with the table. Raises KernelError.
        """
        with self._lock:
            if not self._applied or (not self._astray and self._stands(thorough=thorough)):
                return False
            self.applied_at = 0.0
            self._apply()
            return True

    def _stands(self, *, thorough: bool) -> bool:
        with self.sets() as sets:
            if not sets.stand():
                return False
        if self.features.native_queue or not thorough:
            return True
        rules, comment = sum(map(len, iptables_rules(self.spec).values())), self.spec.comment
        return all(iptables.stand(family, rules, comment) for family in self._families())

    def _apply(self) -> None:
        self._put_queues()
        with self.sets() as sets:
            steering = self.spec.steering is not None
            elements = commands_that_restore(sets, self.spec.table, steering=steering)
        text = nft_text(self.spec, self.features, elements, self._listening)
        self._commit(text)

    def renew(self) -> None:
        """Put the ruleset in force over another of the same :attr:`layout`, which judges now.

        No packet meets neither, none that waits in a queue is dropped, and the sets are as they
        were: packets go from one gateway's queues to the other's. Raises KernelError as
        :meth:`apply` does; then they may be on their way to our queues already.
        """
        with self._lock:
            text = renewal_text(self.spec, self.features, self._listening)
            nft("--check", "--file", "-", stdin=text)
            self._put_queues()
            self._commit(text)

    @property
    def layout(self) -> str:
        """What two rulesets must have in common for one to :meth:`renew` the other."""
        text = layout_text(self.spec, self.features)
        return hashlib.sha256(text.encode()).hexdigest()

    def leave(self) -> None:
        """Write nothing more into chains that are to be another gateway's."""
        with self._lock:
            self._applied = False

    def reclaim(self) -> None:
        """Have :meth:`restore` put the ruleset in force, whatever stands in its place now."""
        with self._lock:
            self._applied = self._astray = True
            self.applied_at = 0.0

    def lead_to(self, listening: frozenset[int]) -> None:
        """Lead new connections to these proxies from now on, or as soon as there is a ruleset."""
        with self._lock:
            self._listening = listening
            if self._applied:
                nft("--file", "-", stdin=proxies_text(self.spec, self.features, listening))

    def guard(self, *, on: bool) -> None:
        """Have what addresses in quarantine send dropped, or stop looking for it."""
        table = self.spec.table
        commands = quarantine.guarding(table) if on else quarantine.unguarding(table)
        with self._lock:
            nft("--file", "-", stdin="".join(f"{one}\n" for one in commands))

    def remove(self) -> None:
        """Take everything out; again does nothing. Conntrack marks stay, and mean nothing."""
        with self._lock:
            self._applied = False
            nft("--file", "-", stdin=removal_text(self.spec))
            self._remove_iptables()

    def counters(self) -> dict[str, CounterValue]:
        """Return the table's named counters (:data:`.ruleset.COUNTERS`)."""
        answer = nft("--json", "list", "counters", "table", "inet", self.spec.table)
        listed = (item["counter"] for item in json.loads(answer)["nftables"] if "counter" in item)
        return {one["name"]: CounterValue(one["packets"], one["bytes"]) for one in listed}

    def sets(self) -> KernelSets:
        """Open the table's sets, for blocking while packets run."""
        return KernelSets(self.spec.table)

    def _put_queues(self) -> None:
        self._account()
        if not self.features.native_queue:
            for family in self._families():
                iptables.put_first(family, iptables_rules(self.spec), self.spec.comment)

    def _commit(self, text: str) -> None:
        nft("--file", "-", stdin=text)
        self._applied, self._astray = True, False
        self.applied_at = time.time()
        if self.features.native_queue:
            self._remove_iptables()

    def _account(self) -> None:
        """Have conntrack count packets; flows it does not count are sampled from the start."""
        try:
            _ACCOUNTING.write_text("1\n")
        except OSError:
            return

    def _families(self) -> tuple[str, ...]:
        return iptables.FAMILIES if _IPV6.exists() else iptables.FAMILIES[:1]

    def _remove_iptables(self) -> None:
        for family in iptables.FAMILIES:
            iptables.remove(family, self.spec.comment)
