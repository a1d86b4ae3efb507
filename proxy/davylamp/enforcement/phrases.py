"""Parts of rules that more than one file of rules writes. Pure text."""

from davylamp.enforcement.spec import Features, Rate

FAMILIES = ((4, "ip", "ipv4_addr"), (6, "ip6", "ipv6_addr"))
"""Of both versions of IP: the number, nft's word, and its type of an address."""


def payload(features: Features, then: str) -> str:
    """Return the rule that takes a packet with payload on."""
    # The first payload byte is always >= 0, but a packet without one does not match. Where the
    # kernel cannot see payload, every segment goes on: dearer, and misses nothing.
    return f"@ih,0,8 >= 0 {then}" if features.inner_header else then


def over(set_name: str, rate: Rate) -> str:
    """Return what matches where a flow, in one direction, is faster than a rate."""
    limit = f"limit rate over {rate.per_second}/second burst {rate.burst} packets"
    return f"update @{set_name} {{ ct id . ct direction {limit} }}"
