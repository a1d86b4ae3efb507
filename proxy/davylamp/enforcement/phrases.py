"""Parts of rules that more than one file of rules writes. Pure text."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses

from davylamp.enforcement.spec import Features, Rate, RulesetSpec, networks_of

FAMILIES = ((4, "ip", "ipv4_addr"), (6, "ip6", "ipv6_addr"))
"""Of both versions of IP: the number, nft's word, and its type of an address."""


def urgent(spec: RulesetSpec, *, cleared: bool = False) -> Iterator[str]:
    """Yield the rule against urgent data, where what no judge can read is dropped.

    Of a segment with urgent data its receiver takes one byte out of the stream (RFC 6093 section
    3.1), so that it reads another message than the judge. Hardly any program sends such. A flow
    that was ``cleared`` is so no longer.
    """
    if spec.drop_invalid:
        forget = f"ct mark set ct mark & {spec.marks.others:#010x} " if cleared else ""
        yield f"tcp flags & urg == urg counter name urgent {forget}drop"


def payload(features: Features, then: str) -> str:
    """Return the rule that takes a packet with payload on."""
    # The first payload byte is always >= 0, but a packet without one does not match. Where the
    # kernel cannot see payload, every segment goes on: dearer, and misses nothing.
    return f"@ih,0,8 >= 0 {then}" if features.inner_header else then


def over(set_name: str, rate: Rate) -> str:
    """Return what matches where a flow, in one direction, is faster than a rate."""
    limit = f"limit rate over {rate.per_second}/second burst {rate.burst} packets"
    return f"update @{set_name} {{ ct id . ct direction {limit} }}"


def scope(spec: RulesetSpec, chain: str) -> Iterator[str]:
    """Yield the rules that take the sandboxes' traffic, both ways, to a chain."""
    for there, back in zip(from_sandboxes(spec, chain), to_sandboxes(spec, chain), strict=True):
        yield there
        yield back


def to_sandboxes(spec: RulesetSpec, chain: str) -> Iterator[str]:
    """Yield the rules that take what goes to sandboxes to a chain."""
    for rule in from_sandboxes(spec, chain):
        yield rule.replace("iifname", "oifname").replace("saddr", "daddr")


def from_sandboxes(spec: RulesetSpec, chain: str) -> Iterator[str]:
    """Yield the rules that take what comes from sandboxes to a chain."""
    if spec.sandbox_interfaces:
        names = ", ".join(f'"{name}"' for name in spec.sandbox_interfaces)
        yield f"iifname {{ {names} }} goto {chain}"
    networks = networks_of(spec.sandbox_subnets)
    four = collapse_addresses(net for net in networks if isinstance(net, IPv4Network))
    six = collapse_addresses(net for net in networks if isinstance(net, IPv6Network))
    for ip, found in (("ip", map(str, four)), ("ip6", map(str, six))):
        if listed := ", ".join(found):
            yield f"{ip} saddr {{ {listed} }} goto {chain}"
