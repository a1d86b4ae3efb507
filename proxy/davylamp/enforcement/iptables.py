"""Our rules in iptables' mangle table, for kernels without nft's queue.

They are known by their comment; nothing without it is touched. ``iptables`` may be the legacy
program or the one over nf_tables: where the first cannot do it, the legacy one is tried.
"""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from davylamp.enforcement.programs import run
from davylamp.errors import KernelError

FAMILIES = ("iptables", "ip6tables")

Rules = Sequence[tuple[str, ...]]

_TABLE = ("-t", "mangle")
_LEGACY_TABLES = {
    "iptables": Path("/proc/thread-self/net/ip_tables_names"),
    "ip6tables": Path("/proc/thread-self/net/ip6_tables_names"),
}


def put_first(family: str, chains: Mapping[str, Rules], comment: str) -> str:
    """Make rules the first of their chains, in order, and the only ones with our comment.

    Returns the program used. First, because an ACCEPT before them would let packets by unjudged.
    New ones are in before the old go, so that a restart opens no gap. Raises KernelError where no
    program can do it.
    """
    refusals: list[str] = []
    for program in (family, f"{family}-legacy"):
        try:
            for chain, rules in chains.items():
                for rule in reversed(rules):
                    run((program, "-w", *_TABLE, "-I", chain, *rule))
        except KernelError as error:
            refusals.append(str(error))
            continue
        for chain, rules in chains.items():
            _drop_older(program, chain, comment, len(rules))
        return program
    raise KernelError(
        f"the kernel has neither nft's queue statement nor {family}'s NFQUEUE target "
        f"({'; '.join(refusals)}); run: apt-get install iptables, and see `davylamp doctor`"
    )


def remove(family: str, comment: str) -> None:
    """Delete every rule with our comment; raise KernelError where one cannot be deleted."""
    for program in _programs_in_use(family):
        for rule in _listed(program):
            if comment in rule:
                run((program, "-w", *_TABLE, "-D", *rule[1:]))


def stand(family: str, rules: int, comment: str) -> bool:
    """Tell whether at least so many rules with our comment are there."""
    listed = (rule for program in _programs_in_use(family) for rule in _listed(program))
    return sum(comment in rule for rule in listed) >= rules


def _drop_older(program: str, chain: str, comment: str, new: int) -> None:
    """Delete a chain's rules with our comment, but for the first ``new`` of them."""
    of_chain = (rule for rule in _listed(program) if rule[1] == chain)
    ours = [at for at, found in enumerate(of_chain, 1) if comment in found]
    for number in reversed(ours[new:]):
        run((program, "-w", *_TABLE, "-D", chain, str(number)))


def _programs_in_use(family: str) -> tuple[str, ...]:
    # Asking legacy iptables anything would create its tables; so only where they are.
    try:
        legacy = "mangle" in _LEGACY_TABLES[family].read_text().split()
    except OSError:
        legacy = False
    return (family, f"{family}-legacy") if legacy else (family,)


def _listed(program: str) -> list[list[str]]:
    """Return the table's rules in words; none where the program has nothing to say."""
    try:
        answer = run((program, "-w", *_TABLE, "-S"))
    except KernelError:
        return []
    rules = (shlex.split(line) for line in answer.splitlines())
    return [rule for rule in rules if rule[:1] == ["-A"]]
