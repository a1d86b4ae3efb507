"""How a packet gets into a queue: by nft's own statement, or by iptables where there is none. Pure.

Where the kernel has no queue statement nft marks the packet, and rules in iptables' mangle table,
which has the next hook, queue what is so marked.
"""

from davylamp.enforcement.spec import ExceptionPolicy, Features, RulesetSpec


def bypasses(spec: RulesetSpec) -> bool:
    """Tell whether what is not judged yet passes where nobody listens to the queue."""
    return spec.exception_policy is ExceptionPolicy.FAIL_OPEN


def queue(spec: RulesetSpec, features: Features, *, bypass: bool) -> str:
    """Return the statement that ends a chain with the packet in a queue."""
    if features.native_queue:
        first, last = spec.first_queue, spec.last_queue
        numbers = f"{first}-{last}" if spec.queues > 1 else f"{first}"
        return f"queue {'flags bypass ' if bypass else ''}to {numbers}"
    # iptables' mangle table has the next hook; accept ends this one.
    return f"meta mark set meta mark | {spec.marks.queue:#010x} accept"


def iptables_rules(spec: RulesetSpec) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Return the rules that stand in for nft's queue statements, without command, by their chain.

    They belong first in these chains of the mangle table, of ``iptables`` and ``ip6tables`` alike.
    """
    marks = spec.marks
    recalled = f"{marks.queue | marks.triggered:#x}/{marks.mask:#x}"
    recall = _iptables_rule(spec, recalled, bypass=True)
    unjudged = _iptables_rule(spec, f"{marks.queue:#x}/{marks.queue:#x}", bypass=bypasses(spec))
    return {"FORWARD": (recall, unjudged), "INPUT": (unjudged,), "OUTPUT": (unjudged,)}


def _iptables_rule(spec: RulesetSpec, mark: str, *, bypass: bool) -> tuple[str, ...]:
    rule = ("-m", "mark", "--mark", mark, "-m", "comment", "--comment")
    if spec.queues > 1:
        queues = ("--queue-balance", f"{spec.first_queue}:{spec.last_queue}")
    else:
        queues = ("--queue-num", str(spec.first_queue))
    bypassed = ("--queue-bypass",) if bypass else ()
    return (*rule, spec.comment, "-j", "NFQUEUE", *queues, *bypassed)
