"""Our rules in FORWARD of iptables' mangle table, for kernels without nft's queue.

They are known by their comment; nothing without it is touched. ``iptables`` may be the legacy
program or the one over nf_tables: where the first cannot do it, the legacy one is tried.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path

from davylamp.enforcement.programs import run
from davylamp.errors import KernelError

FAMILIES = ("iptables", "ip6tables")

_TABLE = ("-t", "mangle")
_LEGACY_TABLES = {
    "iptables": Path("/proc/thread-self/net/ip_tables_names"),
    "ip6tables": Path("/proc/thread-self/net/ip6_tables_names"),
}


def put_first(family: str, rules: Sequence[tuple[str, ...]], comment: str) -> str:
    """Make rules the first of FORWARD, in order, and the only ones with our comment.

    Returns the program used. First, because an ACCEPT before them would let packets by unjudged.
    New ones are in before the old go, so that a restart opens no gap. Raises KernelError where no
    program can do it.
    """
    refusals: list[str] = []
    for program in (family, f"{family}-legacy"):
        try:
            for rule in reversed(rules):
                run((program, "-w", *_TABLE, "-I", "FORWARD", *rule))
        except KernelError as error:
            refusals.append(str(error))
            continue
        ours = [at for at, found in enumerate(_listed(program), 1) if comment in found]
        for number in reversed(ours[len(rules) :]):
            run((program, "-w", *_TABLE, "-D", "FORWARD", str(number)))
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


def _programs_in_use(family: str) -> tuple[str, ...]:
    # Asking legacy iptables anything would create its tables; so only where they are.
    try:
        legacy = "mangle" in _LEGACY_TABLES[family].read_text().split()
    except OSError:
        legacy = False
    return (family, f"{family}-legacy") if legacy else (family,)


def _listed(program: str) -> list[list[str]]:
    """Return the rules of FORWARD in words; none where the program has nothing to say."""
    try:
        answer = run((program, "-w", *_TABLE, "-S", "FORWARD"))
    except KernelError:
        return []
    rules = (shlex.split(line) for line in answer.splitlines())
    return [rule for rule in rules if rule[:1] == ["-A"]]
