"""Feeding a reader the same bytes whole, in pieces, and one by one."""

from collections.abc import Callable, Iterator


def ways(data: bytes) -> Iterator[list[bytes]]:
    """Yield the bytes whole, in pieces of 7, and one by one."""
    for size in (len(data) or 1, 7, 1):
        yield [data[at : at + size] for at in range(0, len(data), size)]


def same(data: bytes, read: Callable[[list[bytes]], object]) -> None:
    """Demand that a way of reading answers alike however the bytes are cut."""
    answers = [read(chunks) for chunks in ways(data)]
    assert answers[0] == answers[1] == answers[2], f"cut otherwise it reads otherwise: {answers}"
