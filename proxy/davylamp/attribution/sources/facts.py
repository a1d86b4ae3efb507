"""What a container's labels and environment say of it, trimmed to what the store takes.

Whoever creates a container writes both, so any text is to be expected, and a binding that lacks a
part of a label is better than none.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from davylamp.attribution.model import (
    LABEL_PREFIX,
    LABELS,
    LABELS_LIMIT,
    TEXT_LIMIT,
    Binding,
    with_labels,
)

ENGINE_LABEL = "davylamp.engine"
"""Which engine a binding is of: several may share a store, and each puts right only its own."""
TRACEPARENT = "TRACEPARENT"
"""The environment variable that carries a W3C trace context into a process."""
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{0,400})?")
_RESERVED = 1


def plain(text: str) -> str:
    """Return the text as the store takes it: printable, and no longer than it may be."""
    start = text[: 4 * TEXT_LIMIT]
    return "".join(each for each in start if each.isprintable())[:TEXT_LIMIT]


def epoch(text: str | None) -> float:
    """Return RFC 3339 as seconds since the epoch, 0 where it is none or the year 1."""
    try:
        return max(0.0, datetime.fromisoformat(text or "").timestamp())
    except (ValueError, OverflowError):
        return 0.0


def label_names(changed: Mapping[str, str]) -> dict[str, str]:
    """Return which label each field is read from."""
    return {field: changed.get(field, LABEL_PREFIX + field) for field in LABELS}


def described(
    binding: Binding,
    labels: Mapping[str, str],
    names: Mapping[str, str],
    environment: Iterable[str] = (),
) -> Binding:
    """Return the binding with what labels, by those names, and the environment say.

    Where there are too many labels, those that name a field are kept, and then by name.
    """
    wanted = set(names.values())
    fit = (name for name in labels if name and plain(name) == name)
    kept = sorted(fit, key=lambda name: (name not in wanted, name))[: LABELS_LIMIT - _RESERVED]
    short = {name: plain(labels[name]) for name in kept}
    filled = with_labels(binding, short, names)
    if _TRACEPARENT.fullmatch(filled.traceparent):
        return filled
    return msgspec.structs.replace(filled, traceparent=_carried(environment))


def _carried(environment: Iterable[str]) -> str:
    for each in environment:
        name, _, value = each.partition("=")
        if name == TRACEPARENT and _TRACEPARENT.fullmatch(value):
            return value
    return ""
