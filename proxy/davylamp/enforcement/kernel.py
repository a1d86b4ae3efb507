"""Puts the ruleset into the kernel, takes it out again, and reads its counters.

What is put there outlives this process on purpose: a gateway that is killed leaves rules which do
what the exception policy says. Taking them out is a decision of the caller's.
"""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from davylamp.enforcement.features import detect
from davylamp.enforcement.nftset import Blocked, KernelSets
from davylamp.enforcement.programs import nft, run
from davylamp.enforcement.ruleset import iptables_rule, nft_text, removal_text
from davylamp.enforcement.spec import Features, RulesetSpec
from davylamp.errors import KernelError
from davylamp.flow import format_address

_ACCOUNTING = Path("/proc/sys/net/netfilter/nf_conntrack_acct")
_IPV6 = Path("/proc/thread-self/net/if_inet6")
_LEGACY_TABLES = {
    "iptables": Path("/proc/thread-self/net/ip_tables_names"),
    "ip6tables": Path("/proc/thread-self/net/ip6_tables_names"),
}
_CHAIN = ("-t", "mangle")


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

    def apply(self) -> None:
        """Put the ruleset in force, in place of an earlier one of the same table name.

        Flows that were cleared stay so (their mark is on the conntrack entry), and endpoints that
        were blocked stay so for what was left of their time. Raises KernelError, and then leaves
        an earlier ruleset as it was.
        """
        self._account()
        if not self.features.native_queue:
            for program in self._families():
                _insert(program, iptables_rule(self.spec), self.spec.comment)
        elements = tuple(_restore(self.spec.table, found) for found in self._still_blocked())
        nft("--file", "-", stdin=nft_text(self.spec, self.features, elements))
        if self.features.native_queue:
            self._remove_iptables()

    def remove(self) -> None:
        """Take everything out; again does nothing. Conntrack marks stay, and mean nothing."""
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

    def _account(self) -> None:
        """Have conntrack count packets; flows it does not count are sampled from the start."""
        try:
            _ACCOUNTING.write_text("1\n")
        except OSError:
            return

    def _families(self) -> tuple[str, ...]:
        return ("iptables", "ip6tables") if _IPV6.exists() else ("iptables",)

    def _still_blocked(self) -> list[Blocked]:
        with self.sets() as sets:
            try:
                return sets.blocked()
            except KernelError:  # the table is not there: nothing was blocked
                return []

    def _remove_iptables(self) -> None:
        for family in _LEGACY_TABLES:
            for program in _variants(family):
                for rule in _ours(program, self.spec.comment):
                    run((program, "-w", *_CHAIN, "-D", *rule))


def _insert(family: str, rule: tuple[str, ...], comment: str) -> None:
    """Make one rule the first of FORWARD, and the only one of ours; raise KernelError if neither.

    First, because an ACCEPT before it would let packets by unjudged. The new rule is in before an
    old one goes, so that a restart opens no gap.
    """
    refusals: list[str] = []
    for program in (family, f"{family}-legacy"):
        try:
            run((program, "-w", *_CHAIN, "-I", "FORWARD", *rule))
        except KernelError as error:
            refusals.append(str(error))
            continue
        for number in reversed(_positions(program, comment)[1:]):
            run((program, "-w", *_CHAIN, "-D", "FORWARD", str(number)))
        return
    raise KernelError(
        f"the kernel has neither nft's queue statement nor {family}'s NFQUEUE target "
        f"({'; '.join(refusals)}); run: apt-get install iptables, and see `davylamp doctor`"
    )


def _variants(family: str) -> tuple[str, ...]:
    # Asking legacy iptables anything would create its tables; so only where they are.
    try:
        legacy = "mangle" in _LEGACY_TABLES[family].read_text().split()
    except OSError:
        legacy = False
    return (family, f"{family}-legacy") if legacy else (family,)


def _listed(program: str) -> list[list[str]]:
    """Return the rules of mangle FORWARD in words; none where the program has nothing to say."""
    try:
        answer = run((program, "-w", *_CHAIN, "-S", "FORWARD"))
    except KernelError:
        return []
    rules = (shlex.split(line) for line in answer.splitlines())
    return [rule for rule in rules if rule[:1] == ["-A"]]


def _ours(program: str, comment: str) -> list[list[str]]:
    return [rule[1:] for rule in _listed(program) if comment in rule]


def _positions(program: str, comment: str) -> list[int]:
    return [number for number, rule in enumerate(_listed(program), 1) if comment in rule]


def _restore(table: str, found: Blocked) -> str:
    block = found.block
    name = "blocked4" if len(block.orig_addr) == 4 else "blocked6"
    ends = f"{format_address(block.orig_addr)} . {format_address(block.resp_addr)}"
    key = f"{ends} . {block.proto.value} . {block.resp_port}"
    seconds = max(1, round(found.seconds))
    return f"add element inet {table} {name} {{ {key} timeout {seconds}s }}"
