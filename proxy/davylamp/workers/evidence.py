"""The packets behind alerts, one small capture file a flow, within bounds.

Strategy: nothing is written for a flow that is not alerted on. The first alert of a flow writes
what reassembly still held of it and the packet that was judged; a later one adds its packet. Each
worker has a folder of its own, so that no two write one file. The oldest flow goes when the folder
is full. One sandbox has a share, and what came first of it stays, so that a miner which tries
again every second pushes out neither its own beginning nor the evidence about others.
"""

import os
import re
import struct
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from davylamp.events import AlertEvent

_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 101)
"""Classic pcap, microseconds, link type RAW: each record is an IP packet."""
_NAME = re.compile(r"([0-9a-f.:]+)_\d+\.pcap")
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class EvidenceLimits:
    """Bytes of a flow, of one sandbox's address, and of all; and files."""

    flow: int = 256 * 1024
    source: int = 2 * 1024 * 1024
    total: int = 32 * 1024 * 1024
    files: int = 4096


class EvidenceFolder:
    """One worker's capture files. ``refused`` counts packets that a bound or the disk refused."""

    def __init__(self, folder: Path, limits: EvidenceLimits | None = None) -> None:
        self.refused = 0
        self._folder = folder
        self._limits = limits or EvidenceLimits()
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._sources: Counter[str] = Counter()
        self._recover()

    def keep(self, alert: AlertEvent, earlier: Iterable[bytes], judged: bytes, now: float) -> str:
        """Write what led to an alert; return the file's path, empty where there is none.

        ``earlier`` goes in only where the flow has no file yet, with the time of the packet judged:
        when its bytes came is not known any more.
        """
        name = f"{alert.src_ip}_{alert.flow_id}.pcap"
        packets = [(now, judged)]
        if name not in self._sizes:
            packets = [*((now, packet) for packet in earlier), *packets]
        for at, packet in packets:
            self._add(alert.src_ip, name, _record(at, packet))
        return str(self._folder / name) if name in self._sizes else ""

    def _add(self, source: str, name: str, record: bytes) -> None:
        limits, size = self._limits, self._sizes.get(name, 0)
        begun = record if size else _HEADER + record
        if size + len(begun) > limits.flow or self._sources[source] + len(begun) > limits.source:
            self.refused += 1
            return
        try:
            while self._sizes and (
                self._sources.total() + len(begun) > limits.total
                or (not size and len(self._sizes) >= limits.files)
            ):
                self._forget_oldest()
            if size and name not in self._sizes:
                self.refused += 1  # the flow's own file was the oldest
                return
            self._write(name, begun)
        except OSError:
            self.refused += 1
            return
        self._sizes[name] = size + len(begun)
        self._sources[source] += len(begun)

    def _write(self, name: str, data: bytes) -> None:
        for folder in (self._folder.parent, self._folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._folder / name, _FLAGS, 0o600)
        try:
            written = os.write(descriptor, data)
            if written < len(data):
                os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
                raise OSError(f"the disk of {self._folder} is full")
        finally:
            os.close(descriptor)

    def _forget_oldest(self) -> None:
        name = next(iter(self._sizes))
        (self._folder / name).unlink(missing_ok=True)
        source = name.rpartition("_")[0]
        self._sources[source] -= self._sizes.pop(name)
        if self._sources[source] <= 0:
            del self._sources[source]

    def _recover(self) -> None:
        """Take up what an earlier worker of this name left, oldest first."""
        if not self._folder.is_dir():
            return
        found = [(path.stat(), path) for path in self._folder.iterdir()]
        for status, path in sorted(found, key=lambda one: one[0].st_mtime):
            match = _NAME.fullmatch(path.name)
            if match is not None:
                self._sizes[path.name] = status.st_size
                self._sources[match[1]] += status.st_size


def _record(at: float, packet: bytes) -> bytes:
    seconds = int(at)
    micro = int((at - seconds) * 1_000_000)
    return struct.pack("<IIII", seconds, micro, len(packet), len(packet)) + packet
