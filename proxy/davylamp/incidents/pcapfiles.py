"""The capture files behind an incident, joined into one in order of time.

The paths come from the store, which others may write to: only capture files in an evidence folder
are read, and no link is followed.
"""

import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_BYTES = 8 * 1024 * 1024
"""Bytes of packets in one bundle, headers included."""

_FILE_HEADER, _RECORD_HEADER = 24, 16
_MAGIC = b"\xd4\xc3\xb2\xa1"
_RAW = 101


@dataclass(frozen=True, slots=True)
class Packets:
    """A capture file, and in words what is not in it."""

    pcap: bytes
    count: int
    missing: tuple[str, ...] = ()


def joined(paths: Iterable[str], most: int = MAX_BYTES) -> Packets:
    """Return the packets of all these files that can be read, up to ``most`` bytes."""
    records: list[tuple[int, int, bytes]] = []
    missing: list[str] = []
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, _RAW)
    size = len(header)
    for path in paths:
        try:
            found = list(_records(_read(Path(path))))
        except OSError as error:
            missing.append(f"{path}: {error.strerror or error}")
            continue
        taken = sum(len(record) for *_, record in found)
        if size + taken > most:
            missing.append(f"{path}: more than {most} bytes in all")
            continue
        size += taken
        records += found
    records.sort(key=lambda one: one[:2])
    return Packets(header + b"".join(one[2] for one in records), len(records), tuple(missing))


def _read(path: Path) -> bytes:
    if path.suffix != ".pcap" or "evidence" not in path.parent.parts:
        raise OSError(f"{path.name} is not in an evidence folder")
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - it is open already
        data = file.read(MAX_BYTES)
    if data[:4] != _MAGIC or data[20:24] != struct.pack("<I", _RAW):
        raise OSError("it is not a capture file of a gateway's")
    return data


def _records(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (seconds, microseconds, record), until the end or a record that is cut off."""
    at = _FILE_HEADER
    while at + _RECORD_HEADER <= len(data):
        seconds, micro, length, _ = struct.unpack_from("<IIII", data, at)
        end = at + _RECORD_HEADER + length
        if end > len(data):
            return
        yield seconds, micro, data[at:end]
        at = end
