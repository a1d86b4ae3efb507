"""Recording a conversation with tcpdump, and making what it wrote the same from run to run.

Only what the programs said is kept as it was. The clock is not: a recording begins at one fixed
instant and keeps its gaps, in milliseconds, so that nobody reads a date out of it.
"""

import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LARGEST = 200 * 1024
"""Bytes that one recording may have."""

_BEGINNING = 1_767_225_600  # 2026-01-01T00:00:00Z
_FILE_HEADER, _RECORD_HEADER = 24, 16
_SETTLE = 0.4  # seconds that the last packets are given to reach tcpdump


class RecordingError(Exception):
    """A recording failed, or is not what may be kept."""


@contextmanager
def captured(path: Path) -> Iterator[None]:
    """Record all TCP on the loopback interface to a pcap file while entered."""
    argv = ["tcpdump", "-i", "lo", "-s", "0", "-U", "-n", "--immediate-mode", "-Z", "root"]
    with subprocess.Popen([*argv, "-w", str(path), "tcp"], stderr=subprocess.PIPE) as tcpdump:
        assert tcpdump.stderr is not None
        for line in tcpdump.stderr:
            if b"listening on" in line:
                break
        else:
            raise RecordingError(f"tcpdump ended with {tcpdump.wait()} before it listened")
        try:
            yield
            time.sleep(_SETTLE)
        finally:
            tcpdump.send_signal(signal.SIGINT)
            tcpdump.stderr.read()
    normalise(path)


def normalise(path: Path) -> None:
    """Rewrite a pcap file with times from a fixed instant; raise RecordingError if it is large."""
    data = path.read_bytes()
    if data[:4] != b"\xd4\xc3\xb2\xa1":
        raise RecordingError(f"{path} is not a little-endian pcap file of microseconds")
    kept = [data[:_FILE_HEADER]]
    at, first = _FILE_HEADER, None
    while at < len(data):
        seconds, micros, size, original = struct.unpack_from("<IIII", data, at)
        now = seconds * 1000 + micros // 1000
        first = now if first is None else first
        later = max(0, now - first)
        kept.append(
            struct.pack("<IIII", _BEGINNING + later // 1000, later % 1000 * 1000, size, original)
        )
        kept.append(data[at + _RECORD_HEADER : at + _RECORD_HEADER + size])
        at += _RECORD_HEADER + size
    whole = b"".join(kept)
    if first is None:
        raise RecordingError(f"{path.name}: the programs said nothing")
    if len(whole) > LARGEST:
        raise RecordingError(
            f"{path.name} has {len(whole):,} bytes, at most {LARGEST:,} may be kept"
        )
    path.write_bytes(whole)
