"""One capture file through one inspection of its own, told as a run of messages.

The same generator serves a replay in this process and one in a worker; nothing in it prints.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from davylamp.capture.tracefile import Trace
from davylamp.errors import CaptureError
from davylamp.events import AlertEvent
from davylamp.ipfrag import Defragmenter

_PACKETS_PER_ADVANCE = 2048


class Outcome(Protocol):
    """What a packet led to."""

    @property
    def alerts(self) -> tuple[AlertEvent, ...]:
        """The alerts that this packet completed."""
        ...


class SinkStats(Protocol):
    """What an inspection counts."""

    @property
    def flows(self) -> int:
        """Flows opened so far."""
        ...


class PacketSink(Protocol):
    """What a replay needs of an inspection; davylamp's pipeline is one."""

    def packet(self, packet: bytes, now: float, /) -> Outcome:
        """Inspect one IP packet seen at ``now``, in seconds since the epoch."""
        ...

    def finish(self, now: float, /) -> tuple[AlertEvent, ...]:
        """Take the input as ended at ``now`` and return what was still pending."""
        ...

    @property
    def stats(self) -> SinkStats:
        """The counters so far."""
        ...


SinkFactory = Callable[[], PacketSink]
"""Makes a fresh inspection, one a file: files know nothing of each other."""


@dataclass(frozen=True, slots=True)
class Advance:
    """So many bytes of the file (as it is on disk) are read."""

    consumed: int


@dataclass(frozen=True, slots=True)
class Done:
    """The file is read, as far as it can be; ``error`` says why no further, empty if it is whole.

    ``packets`` and ``bytes`` are of IP packets as captured, fragments counted one by one.
    """

    packets: int = 0
    bytes: int = 0
    flows: int = 0
    skipped: int = 0
    fragments: int = 0
    error: str = ""


Message = AlertEvent | Advance | Done


def replay_file(path: Path, make_sink: SinkFactory) -> Iterator[Message]:
    """Yield the file's alerts as they come up and its progress between; end with one Done.

    Never raises for what is in the file or for a file that cannot be read: see ``Done.error``.
    """
    try:
        trace = Trace(path)
    except CaptureError as error:
        yield Done(error=str(error))
        return
    with trace:
        yield from _replay(trace, make_sink())


def _replay(trace: Trace, sink: PacketSink) -> Iterator[Message]:
    # A file name need not be text; what goes into an event must be.
    name = os.fsencode(trace.path).decode("utf-8", "backslashreplace")
    whole = Defragmenter()
    packets = size = 0
    now = 0.0
    error = ""
    try:
        for now, packet in trace:
            packets += 1
            size += len(packet)
            datagram = whole.packet(packet, now)
            if datagram is not None:
                for alert in sink.packet(datagram, now).alerts:
                    yield msgspec.structs.replace(alert, pcap_file=name)
            if not packets % _PACKETS_PER_ADVANCE:
                yield Advance(trace.consumed)
    except CaptureError as fault:
        error = str(fault)
    for alert in sink.finish(now):
        yield msgspec.structs.replace(alert, pcap_file=name)
    yield Done(
        packets=packets,
        bytes=size,
        flows=sink.stats.flows,
        skipped=trace.skipped,
        fragments=whole.fragments,
        error=error,
    )
