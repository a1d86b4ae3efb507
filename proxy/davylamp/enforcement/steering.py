"""The rules that lead TLS and HTTP to the proxies, and refuse what would go around them. Pure text.

A packet that opens a connection from a sandbox goes through these chains, others hardly do:

    steer     nat prerouting; the sandboxes' traffic to ``way``
    way       the gateway's own services and exempt networks pass; DNS to a foreign resolver gets
              another destination, if so set; what is blocked goes on, to be refused; endpoints that
              were opened before, and the ports of TLS and HTTP, go to ``proxies`` unless the
              address was given to this very sandbox for a trusted name
    proxies   to a port that a proxy listens on; the one chain that changes while we run
    guard     filter input: nobody reaches those ports but by way of ``proxies``
    around    from ``judge``: QUIC, foreign resolvers, and DNS inside TLS are refused
    answers   from ``datagrams``: nobody but a resolver answers as one

docs/interception.md says what each is for.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, collapse_addresses

from davylamp.enforcement.phrases import FAMILIES
from davylamp.enforcement.spec import ExceptionPolicy, Features, Network, RulesetSpec, SteeringSpec

COUNTERS = ("proxied", "unled", "quic", "foreign_dns", "false_answers")
"""Named counters of packets: connections led to a proxy; refused at a proxy's port because nobody
led them there; refused on UDP port 443; refused (or led elsewhere) as foreign DNS; dropped as
answers that no resolver gave."""

_ELEMENTS = 262_144
"""A thousand sandboxes with some hundred addresses each."""


def sets(steering: SteeringSpec) -> Iterator[str]:
    """Yield the sets that steer."""
    for version, _, address in FAMILIES:
        ends = f"{address} . {address}"
        for name, key in (
            ("trusted", ends),
            ("shared", address),
            ("bound", f"{ends} . mark"),
            ("opened", f"{ends} . inet_service"),
        ):
            yield f"  set {name}{version} {{ type {key}; flags timeout; size {_ELEMENTS}; }}\n"
        yield _fixed(f"resolvers{version}", address, _of(steering.resolvers, version))
        yield _fixed(f"exempt{version}", address, _of(steering.exempt, version))


def way(steering: SteeringSpec, features: Features) -> Iterator[str]:
    """Yield the rules for a connection that a sandbox opens."""
    if features.own_addresses:
        yield "fib daddr type local return"
    if steering.redirects_dns:
        yield from _other_resolver(steering)
    for version, ip, _ in FAMILIES:
        yield f"{ip} daddr @exempt{version} return"
        yield f"{ip} saddr . {ip} daddr . meta l4proto . th dport @blocked{version} return"
        yield f"{ip} daddr . meta l4proto . th dport @endpoints{version} return"
        yield f"{ip} saddr . {ip} daddr . tcp dport @opened{version} goto proxies"
    ports = ", ".join(map(str, sorted(steering.ports)))
    yield f"tcp dport != {{ {ports} }} return"
    for version, ip, _ in FAMILIES:
        yield f"{ip} saddr . {ip} daddr @trusted{version} return"
        yield f"{ip} daddr @shared{version} return"
    yield "goto proxies"


def proxies(
    spec: RulesetSpec, steering: SteeringSpec, features: Features, listening: Iterable[int]
) -> Iterator[str]:
    """Yield the rules that spread connections over the proxies that listen.

    Where none does the exception policy speaks: a port where nobody listens refuses, or the
    connection takes the kernel's road and is judged as far as it can be read.
    """
    ports = sorted(listening)
    if not ports and spec.exception_policy is ExceptionPolicy.FAIL_OPEN:
        return
    ports = ports or [steering.first_port]
    target = f":{ports[0]}"
    if len(ports) > 1 and features.random:
        places = ", ".join(f"{at} : {port}" for at, port in enumerate(ports))
        target = f":numgen inc mod {len(ports)} map {{ {places} }}"
    yield f"meta l4proto tcp counter name proxied redirect to {target}"


def guard(steering: SteeringSpec) -> Iterator[str]:
    """Yield the rules that keep everybody else away from the proxies' ports."""
    yield "type filter hook input priority filter; policy accept;"
    ports = f"{steering.first_port}-{steering.last_port}"
    yield (f"tcp dport {ports} ct status & dnat == 0 counter name unled reject with tcp reset")


def around(steering: SteeringSpec) -> Iterator[str]:
    """Yield the rules that refuse what would go around the proxies."""
    if steering.refuses_quic:
        yield "udp dport 443 counter name quic goto deny"
    if not steering.refuses_dns:
        return
    for version, ip, _ in FAMILIES:
        foreign = f"{ip} daddr != @resolvers{version}"
        for port in (53, 853):
            both = f"meta l4proto {{ tcp, udp }} th dport {port} {foreign}"
            yield f"ct direction original {both} counter name foreign_dns goto deny"


def deny() -> Iterator[str]:
    """Yield the rules that refuse in the way that each protocol's clients understand at once."""
    yield "meta l4proto tcp reject with tcp reset"
    yield "reject with icmpx type port-unreachable"


def answers(spec: RulesetSpec) -> Iterator[str]:
    """Yield the rules that drop answers in a resolver's name which did not come from its side."""
    if not spec.sandbox_interfaces:
        return
    names = ", ".join(f'"{name}"' for name in spec.sandbox_interfaces)
    for version, ip, _ in FAMILIES:
        yield (
            f"udp sport 53 iifname {{ {names} }} {ip} saddr @resolvers{version} "
            "counter name false_answers drop"
        )


def _other_resolver(steering: SteeringSpec) -> Iterator[str]:
    for version, ip, _ in FAMILIES:
        known = _of(steering.resolvers, version)
        if known:
            first = next(iter(known)).network_address
            yield (
                f"meta l4proto {{ tcp, udp }} th dport 53 {ip} daddr != @resolvers{version} "
                f"counter name foreign_dns dnat {ip} to {first}"
            )


def _of(networks: Iterable[Network], version: int) -> list[Network]:
    return [one for one in networks if isinstance(one, IPv4Network) is (version == 4)]


def _fixed(name: str, address: str, networks: list[Network]) -> str:
    if not networks:
        return f"  set {name} {{ type {address}; flags interval; }}\n"
    merged = ", ".join(map(str, collapse_addresses(networks)))  # type: ignore[type-var]
    return f"  set {name} {{ type {address}; flags interval; elements = {{ {merged} }} }}\n"
