"""What a draft says that is not out yet: whoever signs it should know what.

Nothing of it is trusted: it comes from the machine that the repository is on.
"""

from collections.abc import Iterator
from typing import Any

from tuf.api.metadata import Metadata, Role, Root, TargetFile, Targets

_TOLD = frozenset({"version", "expires", "targets", "roles", "keys"})
_SHOWN = 12
"""Digits of a key's id, by which `rotate --revoke` takes it too."""


def told(draft: Metadata[Any], before: Metadata[Any] | None) -> Iterator[str]:
    """Yield lines: what the draft is, and in what it differs from the one that is out."""
    signed = draft.signed
    yield f"{signed.type} {signed.version}, good until {signed.expires:%Y-%m-%d}:"
    old = before.signed if before is not None else None
    match signed:
        case Targets():
            changes = list(_packs(signed, old.targets if old is not None else {}))
        case Root():
            changes = list(_roles(signed, old))
        case _:
            changes = []
    if old is not None:
        others = sorted(_others(signed.to_dict(), old.to_dict()))
        changes += [f"and what davylamp does not use: {', '.join(others)}"] if others else []
    yield from (f"  {line}" for line in changes or ["nothing but its expiry"])


def _packs(draft: Targets, before: dict[str, TargetFile]) -> Iterator[str]:
    for path, target in draft.targets.items():
        if before.get(path) != target:
            custom = target.custom if isinstance(target.custom, dict) else {}
            yield (
                f"{_plain(path)}: version {_plain(custom.get('version'))}, "
                f"number {_plain(custom.get('number'))}, {target.length:,} bytes, "
                f"SHA-256 {_plain(target.hashes.get('sha256'))}"
            )
    yield from (f"{_plain(path)}: gone" for path in before.keys() - draft.targets.keys())


def _roles(draft: Root, before: Root | None) -> Iterator[str]:
    for name, role in draft.roles.items():
        old = before.roles.get(name) if before is not None else None
        if old != role:
            yield f"{name}: {role.threshold} of {_keys(role, old)}"


def _keys(role: Role, before: Role | None) -> str:
    had = before.keyids if before is not None else []
    kept = [f"{_plain(one[:_SHOWN])}{'' if one in had else ' (new)'}" for one in role.keyids]
    gone = [f"{_plain(one[:_SHOWN])} (gone)" for one in had if one not in role.keyids]
    return ", ".join(kept + gone)


def _others(draft: dict[str, Any], before: dict[str, Any]) -> Iterator[str]:
    for name in draft.keys() | before.keys():
        if name not in _TOLD and draft.get(name) != before.get(name):
            yield _plain(name)


def _plain(value: object) -> str:
    """Return a value so that a terminal shows it and does nothing else."""
    return ascii(str(value))[1:-1]
