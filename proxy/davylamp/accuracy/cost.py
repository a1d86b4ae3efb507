"""What the inspector costs a benign flow, in microseconds of this machine.

Only `Inspector.receive` is timed: capture, headers, reassembly and the table of flows are not. A
flow is shown to the inspector as far as it wants to see it, as in the gateway.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from davylamp.accuracy.delivery import Delivery, Segment, segments
from davylamp.accuracy.examples import Example
from davylamp.accuracy.layers import BARE
from davylamp.capture.tracefile import Trace, find_traces
from davylamp.errors import CaptureError
from davylamp.flow import Direction
from davylamp.inspection.inspector import Inspector
from davylamp.ipfrag import Defragmenter
from davylamp.packet import SYN, TCP, Packet, reverse_key, slice_packet
from davylamp.reassembly import Stream, StreamLimits
from davylamp.signatures.pack import Pack

_ROUNDS = 3

type Flow = tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """Of ``flows`` flows, the inspector read ``bytes``; the lowest of some rounds is given."""

    source: str
    flows: int
    bytes: int
    microseconds: float


def measure(pack: Pack, source: str, flows: Sequence[Flow]) -> Cost:
    """Return the mean cost of inspecting a flow, in the fastest of some rounds."""
    clock: Callable[[], int] = time.perf_counter_ns
    fastest = seen = 0
    for _ in range(_ROUNDS):
        began = clock()
        seen = sum(_inspect(pack, flow) for flow in flows)
        took = clock() - began
        fastest = min(fastest or took, took)
    return Cost(source, len(flows), seen, fastest / 1000 / max(1, len(flows)))


def _inspect(pack: Pack, flow: Flow) -> int:
    inspector, seen = Inspector(pack), 0
    for direction, data in flow:
        inspector.receive(direction, data, 0.0)
        seen += len(data)
        if inspector.settled:
            break
    return seen


def flows_of_examples(examples: Iterable[Example]) -> tuple[Flow, ...]:
    """Return each example as a flow of its own, bare and whole."""
    return tuple(
        tuple(segments(Delivery.WHOLE, BARE.wrap(example.messages))) for example in examples
    )


def flows_of_captures(folder: Path) -> tuple[Flow, ...]:
    """Return the TCP flows with payload in a folder's captures, reassembled."""
    return tuple(chain.from_iterable(_flows(path) for path in find_traces(folder)))


@dataclass(slots=True)
class _Flows:
    streams: dict[bytes, Stream] = field(default_factory=dict)
    flows: dict[bytes, list[Segment]] = field(default_factory=dict)

    def take(self, packet: Packet) -> None:
        """Add what a TCP packet makes contiguous to its flow; its first packet's sender opens."""
        key = packet.tuple_key
        direction = Direction.ORIGINATOR
        if key not in self.flows:
            other = reverse_key(key)
            if other in self.flows:
                direction, key = Direction.RESPONDER, other
            else:
                self.flows[key] = []
        stream = self.streams.get(packet.tuple_key)
        if stream is None:
            anchored = bool(packet.flags & SYN)
            stream = Stream(StreamLimits(), packet.start, anchored=anchored)
            self.streams[packet.tuple_key] = stream
        data = stream.receive(packet.start, packet.payload).data
        if data:
            self.flows[key].append((direction, data))


def _flows(path: Path) -> tuple[Flow, ...]:
    found, whole = _Flows(), Defragmenter()
    try:
        with Trace(path) as trace:
            for now, raw in trace:
                datagram = whole.packet(raw, now)
                packet = None if datagram is None else slice_packet(datagram)
                if packet is not None and packet.proto == TCP:
                    found.take(packet)
    except CaptureError:
        pass  # as far as it can be read; the replay of the same file says what is wrong with it
    return tuple(tuple(flow) for flow in found.flows.values() if flow)
