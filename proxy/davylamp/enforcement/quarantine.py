"""The chain that drops whatever a sandbox in quarantine sends. Pure text.

It stands in prerouting before everything else, conntrack included: so it meets new connections and
old ones, cleared or not, what the kernel would forward and what would go to this host itself, the
proxies among it. It is put there with the first quarantine and taken out after the last, for each
packet that is forwarded pays for it.
"""

from collections.abc import Iterator

CHAIN = "quarantine"
COUNTER = "quarantined"
SETS = ("quarantined4", "quarantined6")


def sets(size: str) -> Iterator[str]:
    """Yield the sets of addresses in quarantine; ``size`` is their bound, as nft writes it."""
    for name, address in zip(SETS, ("ipv4_addr", "ipv6_addr"), strict=True):
        yield f"  set {name} {{ type {address}; flags timeout; {size} }}\n"


def guarding(table: str) -> tuple[str, ...]:
    """Return the nft commands that put the chain there, whether or not it is there already."""
    chain = f"inet {table} {CHAIN}"
    four, six = SETS
    return (
        f"add chain {chain} {{ type filter hook prerouting priority raw - 10; policy accept; }}",
        f"flush chain {chain}",
        f"add rule {chain} ip saddr @{four} counter name {COUNTER} drop",
        f"add rule {chain} ip6 saddr @{six} counter name {COUNTER} drop",
    )


def unguarding(table: str) -> tuple[str, ...]:
    """Return the nft commands that take the chain out, whether or not it is there."""
    chain = f"inet {table} {CHAIN}"
    hook = "{ type filter hook prerouting priority raw - 10; policy accept; }"
    return (f"add chain {chain} {hook}", f"flush chain {chain}", f"delete chain {chain}")
