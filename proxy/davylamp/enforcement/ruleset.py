"""What the gateway asks of the kernel, as text: one nft table. Pure.

A forwarded packet of a training subnet goes through these chains:

    forward   cleared flows go to ``trusted`` or ``cleared``; of the rest only the sandboxes'
              traffic goes on
    judge     by protocol; UDP goes on only on port 53
    streams   TCP: what carries bytes is queued
    handshake what begins a connection is counted, and so are, in ``strays``, halves of one
              (:mod:`.halves`)
    opening   of a new connection the originator's first bytes are let on before any other
    trusted   TLS to trusted servers passes here, but for one packet in so many
    cleared   most bulk passes here; the rest by its first byte: ``beginning``, ``look``, or none,
              and then it passes
    beginning what may start a request is queued again (so many a second a flow), with a mark that
              says so
    carrying  bulk that looks like a beginning passes here
    look      suspects are queued again too; of the rest a sample is logged (so many a second a
              flow, once it has carried some packets)
    barred    on both ways: refused, if the endpoint is blocked, for this sandbox or for all
    after     again only that traffic, once the verdict is known
    save      what the packet's mark says is done to the flow, and the mark is cleaned

Rate limits are written ``limit rate over ... return``: a full set, or a packet that conntrack does
not know, makes such a rule *not* match, and the packet is looked at rather than missed.

DNS that this host answers itself is queued on its way in and out (:mod:`.local`). While a sandbox
is in quarantine there is one more chain, before all of these (:mod:`.quarantine`).

docs/kernel.md explains each chain and what it was measured to cost.
"""

from collections.abc import Iterable, Iterator, Sequence

from davylamp.enforcement import cleared, halves, local, quarantine, steering
from davylamp.enforcement.phrases import (
    FAMILIES,
    from_sandboxes,
    over,
    payload,
    scope,
    urgent,
)
from davylamp.enforcement.queueing import bypasses, queue
from davylamp.enforcement.spec import Features, RulesetSpec

COUNTERS = (
    "queued",
    "refused",
    "suspected",
    "triggered",
    "sampled",
    "cleared",
    "rearmed",
    "invalid",
    "early",
    "urgent",
    quarantine.COUNTER,
    *halves.COUNTERS,
)
"""The table's named counters of packets: queued for a verdict; refused by a blocked endpoint's
rule; queued because their flow is a suspect; queued for their first bytes; logged; verdicts that
cleared a flow; verdicts that re-armed one; dropped as invalid; dropped as none of its stream;
dropped for urgent data; sent from quarantine; and connections seen whole and by halves
(:mod:`.halves`)."""

_PORT_PAIR = "inet_service . inet_service"
_HEAD = "type "
"""What a chain's own line begins with, if it is on a hook; no rule does."""
_MAX_ELEMENTS = 65536
_BUCKET_LIFE = "60s"
_OPENING_LIFE, _STARTS_LIFE = "3600s", "3660s"
"""How long a connection may be open before its originator speaks and still be held to its first
byte. The sequence number outlives the connection's id, or what it tells apart would be dropped."""
_SAMPLE_CEILING = 5000
"""Packets a second that are logged at most, over all flows: it counts when the set is full."""


def nft_text(
    spec: RulesetSpec,
    features: Features,
    elements: Sequence[str] = (),
    listening: Iterable[int] = (),
) -> str:
    """Return input for ``nft -f -`` that replaces the table in one transaction.

    ``elements`` are more commands, run in the same transaction. ``listening`` are the ports of
    proxies that listen.
    """
    chains = (_chain(name, *rules) for name, rules in _chains(spec, features, listening))
    body = "".join((*_counters(spec), *_sets(spec, features), *chains))
    commands = "".join(f"{element}\n" for element in elements)
    return f"{removal_text(spec)}table inet {spec.table} {{\n{body}}}\n{commands}"


def layout_text(spec: RulesetSpec, features: Features) -> str:
    """Return the table without its rules: counters, sets and chains.

    Two rulesets with the same one may follow each other by :func:`renewal_text`.
    """
    heads = (
        _chain(name, *(rule for rule in rules if rule.startswith(_HEAD)))
        for name, rules in _chains(spec, features, ())
    )
    body = "".join((*_counters(spec), *_sets(spec, features), *heads))
    return f"table inet {spec.table} {{\n{body}}}\n"


def renewal_text(spec: RulesetSpec, features: Features, listening: Iterable[int] = ()) -> str:
    """Return input for ``nft -f -`` that changes a table's rules and nothing else of it.

    What the sets hold stays, and so does what waits in queues: the kernel drops all of that when a
    chain leaves its hook, as it does with a table that is replaced.
    """
    chains = tuple(_chains(spec, features, listening))
    flushed = "".join(f"flush chain inet {spec.table} {name}\n" for name, _ in chains)
    body = "".join(_chain(name, *rules) for name, rules in chains)
    return f"{layout_text(spec, features)}{flushed}table inet {spec.table} {{\n{body}}}\n"


def removal_text(spec: RulesetSpec) -> str:
    """Return input for ``nft -f -`` that removes the table whether it is there or not."""
    return f"table inet {spec.table}\ndelete table inet {spec.table}\n"


def proxies_text(spec: RulesetSpec, features: Features, listening: Iterable[int]) -> str:
    """Return input for ``nft -f -`` that spreads new connections over other proxies than before."""
    assert spec.steering is not None
    rules = steering.proxies(spec, spec.steering, features, listening)
    chain = f"inet {spec.table} proxies"
    added = "".join(f"add rule {chain} {rule}\n" for rule in rules)
    return f"flush chain {chain}\n{added}"


def _has_triggers(features: Features) -> bool:
    return features.inner_header and features.flow_limits


def _knows_starts(spec: RulesetSpec, features: Features) -> bool:
    return spec.drop_invalid and features.inner_header and features.flow_limits


def _chains(
    spec: RulesetSpec, features: Features, listening: Iterable[int]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield every chain's name and rules; one that is named in another's comes before that."""
    yield "enqueue", tuple(_enqueue(spec, features))
    yield "recall", tuple(_recall(spec, features))
    yield "refuse", tuple(_refuse())
    yield "barred", tuple(_barred())
    yield "sample", tuple(_sample(spec, features))
    yield "look", (*urgent(spec, cleared=True), *_look(spec))
    yield "carrying", tuple(cleared.carrying(features))
    if _has_triggers(features):
        yield "beginning", (*urgent(spec, cleared=True), *cleared.beginning(spec))
    yield "cleared", tuple(cleared.cleared(features))
    if spec.steering is not None:
        yield "trusted", tuple(cleared.trusted(features))
    if _knows_starts(spec, features):
        yield "opening", tuple(_opening(spec))
    if halves.countable(features):
        yield "handshake", (*_single_path(spec, features), *halves.handshake())
        yield "strays", (*halves.strays(), *_invalid(spec))
    yield "streams", tuple(_streams(spec, features))
    yield "datagrams", tuple(_datagrams(spec))
    yield "judge", tuple(_judge(spec))
    yield from _steering(spec, features, listening)
    yield "forward", tuple(_forward(spec))
    yield "save", tuple(_save(spec))
    yield "after", tuple(_after(spec))
    yield "asked", tuple(local.asked(spec, features))
    yield "answered", tuple(local.answered(spec, features))


def _chain(name: str, *rules: str) -> str:
    return f"  chain {name} {{\n{''.join(f'    {rule}\n' for rule in rules)}  }}\n"


def _counters(spec: RulesetSpec) -> Iterator[str]:
    for name in COUNTERS if spec.steering is None else (*COUNTERS, *steering.COUNTERS):
        yield f"  counter {name} {{ }}\n"


def _sets(spec: RulesetSpec, features: Features) -> Iterator[str]:
    size = f"size {_MAX_ELEMENTS};"
    for version, _, address in FAMILIES:
        for name, ports in (("blocked", "inet_proto . inet_service"), ("suspects", _PORT_PAIR)):
            key = f"{address} . {address} . {ports}"
            yield f"  set {name}{version} {{ type {key}; flags timeout; {size} }}\n"
        key = f"{address} . inet_proto . inet_service"
        yield f"  set endpoints{version} {{ type {key}; flags timeout; {size} }}\n"
    yield from quarantine.sets(size)
    if halves.countable(features):
        yield from halves.sets(size)
    if spec.steering is not None:
        yield from steering.sets(spec.steering)
    if features.flow_limits:
        for name in ("triggered_flows", "sampled_flows"):
            yield (
                f"  set {name} {{ typeof ct id . ct direction; flags dynamic,timeout; "
                f"timeout {_BUCKET_LIFE}; {size} }}\n"
            )
    if _knows_starts(spec, features):
        for name, key, life in (
            ("openings", "ct id", _OPENING_LIFE),
            ("starts", "ct id . tcp sequence", _STARTS_LIFE),
        ):
            flags = f"flags dynamic,timeout; timeout {life};"
            yield f"  set {name} {{ typeof {key}; {flags} {size} }}\n"


def _steering(
    spec: RulesetSpec, features: Features, listening: Iterable[int]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    if spec.steering is None:
        return
    yield "deny", tuple(steering.deny())
    yield "answers", tuple(steering.answers(spec))
    yield "around", tuple(steering.around(spec.steering))
    yield "proxies", tuple(steering.proxies(spec, spec.steering, features, listening))
    yield "way", tuple(steering.way(spec.steering, features))
    hook = "type nat hook prerouting priority dstnat; policy accept;"
    yield "steer", (hook, *from_sandboxes(spec, "way"))
    yield "guard", tuple(steering.guard(spec.steering))


def _enqueue(spec: RulesetSpec, features: Features) -> Iterator[str]:
    yield "counter name queued"
    yield queue(spec, features, bypass=bypasses(spec))


def _recall(spec: RulesetSpec, features: Features) -> Iterator[str]:
    # The flow comes back whole, at once: what follows this packet waits behind it, or the second
    # half of a message would be past before the first was judged, and bulk would be reordered.
    yield f"ct mark set ct mark & {spec.marks.others:#010x}"
    # The judge is told that it has not seen what came just before this packet.
    yield f"meta mark set meta mark & {spec.marks.others:#010x} | {spec.marks.triggered:#010x}"
    yield "counter name queued"
    # With no judge there the flow stays as it was: cleared.
    yield queue(spec, features, bypass=True)


def _refuse() -> Iterator[str]:
    yield "counter name refused"
    yield "meta l4proto tcp reject with tcp reset"
    yield "reject with icmpx type port-unreachable"


def _barred() -> Iterator[str]:
    for version, ip, _ in FAMILIES:
        for client, server, port in (("saddr", "daddr", "dport"), ("daddr", "saddr", "sport")):
            key = f"{ip} {client} . {ip} {server} . meta l4proto . th {port}"
            yield f"{key} @blocked{version} goto refuse"
        for server, port in (("daddr", "dport"), ("saddr", "sport")):
            yield f"{ip} {server} . meta l4proto . th {port} @endpoints{version} goto refuse"


def _sample(spec: RulesetSpec, features: Features) -> Iterator[str]:
    if features.flow_limits:
        yield f"{over('sampled_flows', spec.sample)} return"
    yield f"limit rate over {_SAMPLE_CEILING}/second return"
    yield "counter name sampled"
    yield (
        f"log group {spec.sample_group} snaplen {spec.sample_bytes} "
        f"queue-threshold {spec.sample_threshold}"
    )


def _look(spec: RulesetSpec) -> Iterator[str]:
    for version, ip, _ in FAMILIES:
        key = f"{ip} saddr . {ip} daddr . tcp sport . tcp dport"
        yield f"{key} @suspects{version} counter name suspected goto recall"
    yield "jump barred"
    # A flow older than the kernel's accounting counts 0 packets for ever: it is sampled at once.
    yield f"ct packets != 1-{spec.sample_after} goto sample"


def _invalid(spec: RulesetSpec) -> Iterator[str]:
    if spec.drop_invalid:
        # Its receiver would drop it as well; the judge, who cannot know, might believe it.
        yield "ct state invalid counter name invalid drop"


def _single_path(spec: RulesetSpec, features: Features) -> Iterator[str]:
    """Have both ends of a connection do without MPTCP (RFC 8684 section 3.7: they fall back).

    It says in options where in the stream bytes belong, which the judge does not read, and may send
    some of them by another connection.
    """
    if spec.drop_invalid and features.option_reset:
        yield "tcp flags & syn == syn reset tcp option mptcp"


def _streams(spec: RulesetSpec, features: Features) -> Iterator[str]:
    if halves.countable(features):
        yield "ct state invalid jump strays"
        yield "tcp flags & syn == syn ct state != invalid jump handshake"
    else:
        yield from _invalid(spec)
        yield from _single_path(spec, features)
    yield from urgent(spec)
    yield "jump barred"
    if _knows_starts(spec, features):
        # Once the originator was heard the connection is assured, and a SYN-ACK that is sent again
        # says nothing of what it sends next. A full set holds nobody to anything.
        yield (
            "ct direction reply tcp flags & (syn | ack) == syn | ack ct status & assured == 0 "
            "add @starts { ct id . tcp ackseq } add @openings { ct id }"
        )
        yield "ct direction original ct id @openings tcp flags & syn == 0 goto opening"
    yield payload(features, "goto enqueue")


def _opening(spec: RulesetSpec) -> Iterator[str]:
    # What a receiver would throw away must not be judged as the beginning of what it reads. Bytes
    # that only overtook the first ones are sent again. The judge is told that a connection begins:
    # by its ports and numbers it may look like the rest of another.
    yield (
        "ct id . tcp sequence @starts @ih,0,8 >= 0 "
        "delete @starts { ct id . tcp sequence } delete @openings { ct id } "
        f"meta mark set meta mark & {spec.marks.others:#010x} | {spec.marks.opening:#010x} "
        "goto enqueue"
    )
    yield "@ih,0,8 >= 0 counter name early drop"


def _datagrams(spec: RulesetSpec) -> Iterator[str]:
    yield "jump barred"
    if spec.steering is not None:
        yield "jump answers"
    yield "udp dport 53 goto enqueue"
    yield "udp sport 53 goto enqueue"


def _judge(spec: RulesetSpec) -> Iterator[str]:
    marks = spec.marks
    # No one before us may hand in a packet that already says it was judged.
    yield f"meta mark & {marks.mask:#010x} != 0 meta mark set meta mark & {marks.others:#010x}"
    if spec.steering is not None:
        yield "jump around"
    yield "meta l4proto tcp goto streams"
    yield "meta l4proto udp goto datagrams"


def _forward(spec: RulesetSpec) -> Iterator[str]:
    yield "type filter hook forward priority mangle - 1; policy accept;"
    # First, for most packets need no other rule of this chain: only watched flows are ever cleared.
    if spec.steering is not None:
        yield f"ct mark & {spec.marks.mask:#010x} == {spec.marks.trusted:#010x} goto trusted"
    yield f"ct mark & {spec.marks.mask:#010x} == {spec.marks.cleared:#010x} goto cleared"
    yield from scope(spec, "judge")


def _after(spec: RulesetSpec) -> Iterator[str]:
    yield "type filter hook forward priority filter; policy accept;"
    yield f"meta mark & {spec.marks.mask:#010x} == 0 accept"
    yield from scope(spec, "save")


def _save(spec: RulesetSpec) -> Iterator[str]:
    marks = spec.marks
    field, others = f"{marks.mask:#010x}", f"{marks.others:#010x}"
    yield (
        f"meta mark & {field} == {marks.cleared:#010x} counter name cleared "
        f"ct mark set ct mark & {others} | {marks.cleared:#010x}"
    )
    if spec.steering is not None:
        yield (
            f"meta mark & {field} == {marks.trusted:#010x} counter name cleared "
            f"ct mark set ct mark & {others} | {marks.trusted:#010x}"
        )
    yield (
        f"meta mark & {marks.mask ^ marks.queue:#010x} == {marks.triggered:#010x} "
        f"ct mark set ct mark & {others} | {marks.cleared:#010x}"
    )
    yield (
        f"meta mark & {field} == {marks.rearm:#010x} counter name rearmed "
        f"ct mark set ct mark & {others}"
    )
    yield f"meta mark set meta mark & {others}"
