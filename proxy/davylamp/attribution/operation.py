"""What an operation on the store is, and the parts that several share.

An operation is a generator: it yields a batch of Redis commands and is sent their replies, in
order. It opens no connection and reads no clock, so `store.Store` and `store.AsyncStore` are two
thin loops around the same logic. Replies are as redis-py gives them for RESP2, undecoded.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from davylamp.attribution.keys import Keys, Retention
from davylamp.attribution.replies import text

type Argument = str | bytes | int | float
type Command = tuple[Argument, ...]
type Operation[T] = Generator[Sequence[Command], list[Any], T]


@dataclass(frozen=True, slots=True)
class Kept:
    """Where things are kept, how much and how long, and how many ``replicas`` must have them."""

    keys: Keys = field(default_factory=Keys)
    keep: Retention = field(default_factory=Retention)
    replicas: int = 0


def script(source: str, names: Sequence[str], arguments: Sequence[Argument]) -> Command:
    """Return the command that runs a script of `scripts`, its keys and then its arguments."""
    return ("EVAL", source, len(names), *names, *arguments)


def read_changes(
    stream: str, after: str, block: float, count: int
) -> Operation[tuple[str, list[bytes | None]]]:
    """Wait at most ``block`` seconds for entries of a stream; return the last's id, and each.

    Of an entry its field ``change`` is returned, None where it has none.
    """
    wait = max(1, int(block * 1000))
    [reply] = yield (("XREAD", "COUNT", count, "BLOCK", wait, "STREAMS", stream, after),)
    entries = reply[0][1] if reply else []
    raws = [dict(values or {}).get(b"change") for _, values in entries]
    return text(entries[-1][0]) if entries else after, raws
