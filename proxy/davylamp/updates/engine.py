"""What this engine is and can do, and what of that a pack needs."""

from collections.abc import Iterator
from dataclasses import dataclass

from davylamp import __version__
from davylamp.signatures.language import EVENTS
from davylamp.signatures.model import (
    BytesCondition,
    CertificateCondition,
    CombinedCondition,
    Condition,
    EndpointCondition,
    EventCondition,
    HttpCondition,
    JsonCondition,
    LineCondition,
    NameCondition,
    TlsCondition,
)
from davylamp.signatures.pack import Pack

_WORDS = {
    JsonCondition: "json",
    NameCondition: "name",
    LineCondition: "line",
    BytesCondition: "bytes",
    HttpCondition: "http",
    TlsCondition: "tls",
    EndpointCondition: "endpoint",
    CertificateCondition: "certificate",
    CombinedCondition: "combined",
}
_SIZED = "flights"
FEATURES = frozenset(_WORDS.values()) | {_SIZED} | {f"event:{name}" for name in EVENTS}
"""The conditions that this engine knows, and the events that it notices."""


@dataclass(frozen=True, slots=True)
class Engine:
    """The engine that is to run a pack."""

    version: str = __version__
    features: frozenset[str] = FEATURES


def features_of(pack: Pack) -> frozenset[str]:
    """Return what an engine must be able to do to run a pack."""
    return frozenset(word for one in pack.signatures.values() for word in _features(one.condition))


def _features(condition: Condition) -> Iterator[str]:
    if isinstance(condition, EventCondition):
        yield f"event:{condition.event}"
        return
    yield _WORDS[type(condition)]
    if isinstance(condition, CombinedCondition):
        if next(condition.sized(), None) is not None:
            yield _SIZED
        for leaf in condition.leaves():
            yield from _features(leaf.condition)
