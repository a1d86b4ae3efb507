"""Inputs that are a list of records, so that mutation moves, repeats and cuts whole messages."""

from collections.abc import Iterator


def join(*records: tuple[int, bytes]) -> bytes:
    """Write records of (control byte, payload)."""
    return b"".join(
        bytes((control,)) + len(payload).to_bytes(2, "big") + payload
        for control, payload in records
    )


def split(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Read records back from any bytes at all; the last may be short."""
    at = 0
    while at + 3 <= len(data):
        length = int.from_bytes(data[at + 1 : at + 3], "big")
        yield data[at], data[at + 3 : at + 3 + length]
        at += 3 + length
