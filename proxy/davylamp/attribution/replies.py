"""What Redis answers, as text and as records; another client may have written anything."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec


def text(raw: Any) -> str:
    """Return a reply as text, with U+FFFD for what is none."""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


def readable[T](raws: Iterable[Any], decode: Callable[[bytes], T]) -> Iterator[T]:
    """Yield the records that can be read; what is absent or cannot is passed over."""
    for raw in raws:
        if raw is None:
            continue
        try:
            yield decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
