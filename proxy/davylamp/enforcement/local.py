"""The rules for DNS that this very host answers, which never comes by forward. Pure text.

    asked      input: what sandboxes ask a resolver here is queued
    answered   output: and so is what it answers them

Over TCP every segment with payload is, whatever has become of its flow: nothing of it is bulk. A
host that asks itself goes by its loopback interface, under an address that may well be one of the
sandboxes' network: that is left alone.
"""

from collections.abc import Iterator

from davylamp.enforcement.phrases import from_sandboxes, payload, to_sandboxes
from davylamp.enforcement.spec import Features, RulesetSpec


def asked(spec: RulesetSpec, features: Features) -> Iterator[str]:
    """Yield the rules for questions."""
    yield "type filter hook input priority mangle - 1; policy accept;"
    for rule in from_sandboxes(spec, "enqueue"):
        yield f'udp dport 53 iifname != "lo" {rule}'
        yield f'tcp dport 53 iifname != "lo" {payload(features, rule)}'


def answered(spec: RulesetSpec, features: Features) -> Iterator[str]:
    """Yield the rules for answers."""
    yield "type filter hook output priority mangle - 1; policy accept;"
    for rule in to_sandboxes(spec, "enqueue"):
        yield f'udp sport 53 oifname != "lo" {rule}'
        yield f'tcp sport 53 oifname != "lo" {payload(features, rule)}'
