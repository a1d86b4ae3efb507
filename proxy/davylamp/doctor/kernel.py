"""From trials to findings: what an outcome means for the gateway, and the remedy."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from davylamp.doctor.finding import Area, Finding, Status
from davylamp.doctor.trial import Outcome

_KERNEL = "use a kernel with {}; distribution kernels have it"


@dataclass(frozen=True, slots=True)
class _Reading:
    """How one trial is read: what its failure means and which status that is."""

    name: str
    failure: Status
    meaning: str
    remedy: str


_READINGS: Mapping[str, _Reading] = {
    "nft": _Reading(
        "nftables",
        Status.MISSING,
        "no rule can be set: nothing would be inspected",
        "apt-get install nftables; kernel: CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET",
    ),
    "nft_payload": _Reading(
        "nft payload match (@ih)",
        Status.DEGRADED,
        "every segment of a flow that is not judged yet is queued, and cleared flows come back "
        "only by their sample",
        "use Linux 5.16 or newer, and nftables 1.0.1 or newer",
    ),
    "nft_flow_limits": _Reading(
        "nft limits a flow (ct id)",
        Status.DEGRADED,
        "the sample has one limit for all flows together, and cleared flows come back only by it",
        "apt-get install nftables (0.9.9 or newer); kernel: CONFIG_NFT_LIMIT",
    ),
    "nft_random": _Reading(
        "nft random choice (numgen)",
        Status.DEGRADED,
        "every packet of bulk is looked at to the end, which costs throughput",
        _KERNEL.format("CONFIG_NFT_NUMGEN"),
    ),
    "nfqueue": _Reading(
        "NFQUEUE",
        Status.MISSING,
        "no packet can be held for its verdict",
        _KERNEL.format("CONFIG_NETFILTER_NETLINK_QUEUE"),
    ),
    "nflog": _Reading(
        "NFLOG",
        Status.MISSING,
        "cleared flows cannot be sampled, so one that turns to mining late would be missed",
        _KERNEL.format("CONFIG_NETFILTER_NETLINK_LOG and CONFIG_NFT_LOG"),
    ),
    "raw_sockets": _Reading(
        "raw sockets",
        Status.MISSING,
        "a stopped flow's ends would hang instead of being reset",
        "run as root, or give the gateway CAP_NET_RAW",
    ),
    "steering": _Reading(
        "rules that lead TLS to proxies",
        Status.DEGRADED,
        "intercept.enabled cannot start here",
        _KERNEL.format("CONFIG_NFT_REDIR, CONFIG_NFT_NAT and CONFIG_NFT_REJECT_INET"),
    ),
    "accounting": _Reading(
        "conntrack accounting",
        Status.DEGRADED,
        "the sample cannot leave short flows out, and costs more",
        "sysctl net.netfilter.nf_conntrack_acct=1",
    ),
    "ruleset": _Reading(
        "the ruleset",
        Status.MISSING,
        "the gateway's own rules are refused",
        "see the lines above; if they are all ok, report what the kernel said",
    ),
}


def findings_of(outcomes: Mapping[str, Outcome]) -> Iterator[Finding]:
    """Yield what the trials say, in the order in which the gateway needs the things."""
    yield _finding("nft", outcomes)
    yield from _queueing(outcomes)
    for key in _READINGS:
        if key != "nft":
            yield _finding(key, outcomes)


def _finding(key: str, outcomes: Mapping[str, Outcome]) -> Finding:
    reading, outcome = _READINGS[key], outcomes[key]
    required = reading.failure is Status.MISSING
    if outcome.ok:
        return Finding(reading.name, Area.GATEWAY, Status.OK, outcome.said, required=required)
    return Finding(
        reading.name,
        Area.GATEWAY,
        reading.failure,
        outcome.said,
        reading.meaning,
        reading.remedy,
        required=required,
    )


def _queueing(outcomes: Mapping[str, Outcome]) -> Iterator[Finding]:
    """Either nft's queue statement or iptables' target will do; the findings say which it is."""
    native = outcomes["nft_queue"].ok
    families = [outcomes["iptables_nfqueue"], outcomes["ip6tables_nfqueue"]]
    fallback = all(outcome.ok for outcome in families)
    yield Finding(
        "nft queue statement",
        Area.GATEWAY,
        Status.OK if native else Status.DEGRADED,
        "the kernel takes the rule" if native else "the kernel has no such statement",
        "" if native else "iptables rules do the same; nothing is lost",
        "" if native or fallback else _KERNEL.format("CONFIG_NFT_QUEUE"),
    )
    for name, outcome in zip(("iptables", "ip6tables"), families, strict=True):
        yield _target(f"{name} NFQUEUE", outcome, native=native)


def _target(name: str, outcome: Outcome, *, native: bool) -> Finding:
    """Without nft's statement the target is required; with it, it does not matter."""
    if outcome.ok or native:
        status = Status.OK if outcome.ok else Status.DEGRADED
        meaning = "" if outcome.ok else "not needed: nft queues by itself"
        return Finding(name, Area.GATEWAY, status, outcome.said, meaning, required=not native)
    return Finding(
        name,
        Area.GATEWAY,
        Status.MISSING,
        outcome.said,
        "packets cannot be sent to the gateway",
        "apt-get install iptables; " + _KERNEL.format("CONFIG_NETFILTER_XT_TARGET_NFQUEUE"),
        required=True,
    )
