"""What the table's sets hold, as commands that put it into the table that replaces it.

A gateway that starts again must not forget whom it refuses, nor which addresses its sandboxes were
given for trusted names: programs do not ask again because we were away.
"""

import sys
from collections.abc import Mapping
from types import MappingProxyType

from davylamp.enforcement import quarantine
from davylamp.enforcement.nftset import Element, KernelSets
from davylamp.errors import KernelError
from davylamp.flow import format_address

_FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "blocked": ("address", "address", "proto", "port"),
        "endpoints": ("address", "proto", "port"),
        "suspects": ("address", "address", "port", "port"),
        "quarantined": ("address",),
        "trusted": ("address", "address"),
        "shared": ("address",),
        "bound": ("address", "address", "mark"),
        "opened": ("address", "address", "port"),
    }
)
_ALWAYS = ("blocked", "endpoints", "suspects", "quarantined")
_VERSIONS = ((4, 4), (6, 16))


def commands_that_restore(sets: KernelSets, table: str, *, steering: bool) -> tuple[str, ...]:
    """Return nft commands for all that a table's sets hold, each for what is left of its time.

    Where there is no such table, there is nothing. ``steering`` says whether the new table has the
    sets that steer.
    """
    names = _FIELDS if steering else _ALWAYS
    found: list[str] = []
    for name in names:
        for version, size in _VERSIONS:
            restored = _restored(sets, table, f"{name}{version}", _FIELDS[name], size)
            if restored and name == "quarantined":
                found += quarantine.guarding(table)
            found += restored
    return tuple(found)


def _restored(
    sets: KernelSets, table: str, name: str, fields: tuple[str, ...], size: int
) -> list[str]:
    try:
        elements = sets.elements(name)
    except KernelError:  # no table, or one without this set: nothing was in it
        return []
    keys = ((_key(element, fields, size), element.seconds) for element in elements)
    return [
        f"add element inet {table} {name} {{ {key} timeout {max(1, round(seconds * 1000))}ms }}"
        for key, seconds in keys
        if key
    ]


def _key(element: Element, fields: tuple[str, ...], size: int) -> str:
    """Return an element's key as nft reads it; nothing where it has not the size that it must."""
    key, at, words = element.key, 0, list[str]()
    if len(key) != sum(size if one == "address" else 4 for one in fields):
        return ""
    for one in fields:
        part = key[at : at + (size if one == "address" else 4)]
        at += len(part)
        match one:
            case "address":
                words.append(format_address(part))
            case "proto":
                words.append(str(part[0]))
            case "port":
                words.append(str(int.from_bytes(part[:2], "big")))
            case _:
                words.append(hex(int.from_bytes(part, sys.byteorder)))
    return " . ".join(words)
