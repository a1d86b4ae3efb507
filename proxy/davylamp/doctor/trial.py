"""What the kernel lets a gateway do, found by doing it: run inside a throw-away namespace.

``python -m davylamp.doctor.trial`` prints one JSON object: name of the trial to what came of it.
It changes the network namespace that it runs in, which is why nothing but :func:`run_apart`
starts it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from davylamp.capture.nflog import NfLog
from davylamp.capture.nfqueue import NfQueue
from davylamp.enforcement import iptables
from davylamp.enforcement.features import detect, refusal
from davylamp.enforcement.kernel import Kernel
from davylamp.enforcement.programs import nft, run
from davylamp.enforcement.queueing import iptables_rules
from davylamp.enforcement.reset import ResetSender
from davylamp.enforcement.spec import RulesetSpec, SteeringSpec
from davylamp.errors import KernelError
from davylamp.lab.namespaces import privileged

_ACCOUNTING = Path("/proc/sys/net/netfilter/nf_conntrack_acct")
_SPEC = RulesetSpec(sandbox_interfaces=("dl-doctor",))
_NETWORK = Path("/proc/self/ns/net")
_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a trial succeeded, and what there is to say about it."""

    ok: bool
    said: str


def run_apart() -> Mapping[str, Outcome]:
    """Run every trial in a network namespace of its own; raise KernelError where there is none.

    Without privilege a user namespace goes around it. Nothing of this host is changed.
    """
    apart = ("unshare", "-n") if privileged() else ("unshare", "-Urnm")
    argv = (*apart, "--", sys.executable, "-m", "davylamp.doctor.trial")
    try:
        done = subprocess.run(  # noqa: S603 - ourselves
            argv, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KernelError(f"cannot try the kernel apart from the host: {error}") from error
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise KernelError(f"cannot try the kernel apart from the host: {said[0]}")
    return {name: Outcome(**outcome) for name, outcome in json.loads(done.stdout).items()}


def _nft() -> str:
    said = nft("--version").strip()
    detect()
    return said


def _rule(rule: str) -> Callable[[], str]:
    def attempt() -> str:
        if failure := refusal(rule):
            raise KernelError(failure)
        return "the kernel takes the rule"

    return attempt


def _flow_limits() -> str:
    if not detect().flow_limits:
        raise KernelError("the kernel refuses a dynamic set keyed on ct id with a limit")
    return "the kernel takes the set and the rule"


def _nfqueue_target(family: str) -> Callable[[], str]:
    def attempt() -> str:
        program = iptables.put_first(family, iptables_rules(_SPEC), _SPEC.comment)
        iptables.remove(family, _SPEC.comment)
        return run((program, "--version")).strip()

    return attempt


def _ruleset(spec: RulesetSpec) -> Callable[[], str]:
    def attempt() -> str:
        kernel = Kernel(spec)
        kernel.apply()
        with kernel.sets() as sets:
            sets.blocked()
        kernel.counters()
        kernel.remove()
        return "the whole ruleset went in and came out"

    return attempt


def _queue() -> str:
    with NfQueue(0) as queue:
        queue.receive()
    return "bound, with copies of whole packets"


def _log() -> str:
    with NfLog(_SPEC.sample_group) as log:
        log.receive()
    return f"bound group {_SPEC.sample_group}"


def _raw_sockets() -> str:
    with ResetSender():
        return "opened"


def _accounting() -> str:
    try:
        _ACCOUNTING.write_text("1\n")
    except OSError as error:
        raise KernelError(f"{_ACCOUNTING}: {error.strerror}") from error
    return "can be switched on"


TRIALS: Mapping[str, Callable[[], str]] = {
    "nft": _nft,
    "nft_queue": _rule("queue flags bypass to 0-1"),
    "nft_payload": _rule("@ih,0,8 >= 0 accept"),
    "nft_flow_limits": _flow_limits,
    "nft_random": _rule("numgen random mod 16 != 0 return"),
    "iptables_nfqueue": _nfqueue_target("iptables"),
    "ip6tables_nfqueue": _nfqueue_target("ip6tables"),
    "ruleset": _ruleset(_SPEC),
    "steering": _ruleset(replace(_SPEC, steering=SteeringSpec(19080))),
    "nfqueue": _queue,
    "nflog": _log,
    "raw_sockets": _raw_sockets,
    "accounting": _accounting,
}


def _outcome(attempt: Callable[[], str]) -> Outcome:
    try:
        return Outcome(ok=True, said=attempt())
    except (KernelError, OSError) as error:
        return Outcome(ok=False, said=str(error))


def main() -> None:
    """Try everything here and print what came of it."""
    if _NETWORK.readlink() == _parents_network():
        sys.exit("refusing to try anything in the host's own network namespace")
    outcomes = {name: asdict(_outcome(attempt)) for name, attempt in TRIALS.items()}
    sys.stdout.write(json.dumps(outcomes))


def _parents_network() -> Path | None:
    try:
        return Path(f"/proc/{os.getppid()}/ns/net").readlink()
    except OSError:  # a parent outside our user namespace cannot be read: then we are apart
        return None


if __name__ == "__main__":
    main()
