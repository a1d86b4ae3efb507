"""The promise, held against a model of the kernel and of the receiver behind it.

The model kernel forwards a cleared flow's packets unseen, except those that begin like a request
(docs/kernel.md). The model receiver joins the bytes of all delivered packets as an end host does,
once keeping the first copy of a byte and once the last. No complete mining request may stand in
what it can read.
"""

import itertools
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.packets import Connection
from tests.streams import AUTHORIZE, GET, LOGIN, RPC, SUBMIT, SUBSCRIBE, core_pack, post

from davylamp.decision import Fate
from davylamp.flow import Direction, FlowKey, Proto
from davylamp.inspection.inspector import Inspector
from davylamp.pipeline import Pipeline
from davylamp.policy import Policy

TRIGGERS = b"{[ \t\r\n"


class Kernel:
    """Forwards one connection's packets as the ruleset would."""

    def __init__(self) -> None:
        self.pipeline = Pipeline(core_pack(), Policy())
        self.cleared = False

    def delivers(self, packet: bytes, payload: bytes) -> bool:
        """Tell whether a packet reaches its receiver."""
        triggered = payload[0] in TRIGGERS or payload.startswith(b"POST ")
        if self.cleared and not triggered:
            return True
        fate = self.pipeline.packet(packet, 1.0, triggered=self.cleared).fate
        self.cleared = fate is Fate.CLEAR or (self.cleared and fate is Fate.ACCEPT)
        return fate is not Fate.DROP


class Receiver:
    """Joins segments; where copies of a byte differ it keeps the first, or the last."""

    def __init__(self, *, keeps_first: bool) -> None:
        self._keeps_first = keeps_first
        self._bytes: dict[int, int] = {}
        self._read = 0

    def take(self, offset: int, payload: bytes) -> None:
        """Take one delivered segment; what was read by the application cannot change."""
        for at, byte in enumerate(payload, offset):
            if at >= self._read and not (self._keeps_first and at in self._bytes):
                self._bytes[at] = byte
        while self._read in self._bytes:
            self._read += 1

    @property
    def stream(self) -> bytes:
        """What the application has read."""
        return bytes(self._bytes[at] for at in range(self._read))


def mines(stream: bytes) -> bool:
    """Tell whether a pool finds a request in a stream that policy would block.

    One that reads lines skips those that it cannot read. What has no newline yet is read by one
    that reads values, and that ends at what is none.
    """
    key = FlowKey(Proto.TCP, bytes(4), 40_000, bytes(4), 3333)
    *lines, rest = stream.split(b"\n")
    if all(map(is_value, lines)):
        lines.append(rest)
    return any(
        Policy().judge(finding, key).blocks
        for line in lines
        if line.lstrip(b" \t\r").startswith(b"{")
        for finding in Inspector(core_pack()).receive(Direction.ORIGINATOR, line + b"\n", 0.0)
    )


def is_value(line: bytes) -> bool:
    """Tell whether a line is JSON, or blank."""
    try:
        json.loads(line or b"0")
    except ValueError:
        return False
    return True


def deliver(segments: list[tuple[int, bytes]], isn: int = 999) -> list[bytes]:
    """Send segments through the model; return what each kind of receiver reads."""
    kernel, connection = Kernel(), Connection(isn=isn)
    receivers = [Receiver(keeps_first=True), Receiver(keeps_first=False)]
    for offset, payload in segments:
        if kernel.delivers(connection.client(payload, offset), payload):
            for receiver in receivers:
                receiver.take(offset, payload)
    return [receiver.stream for receiver in receivers]


def cut(stream: bytes, at: list[int]) -> list[tuple[int, bytes]]:
    """Return a stream in pieces."""
    edges = sorted({0, len(stream), *(n % len(stream) for n in at)})
    return [(a, stream[a:b]) for a, b in itertools.pairwise(edges)]


AT_ONCE = [
    LOGIN,
    SUBSCRIBE + AUTHORIZE,
    b"hello\n" + SUBMIT,
    RPC + LOGIN,
    b"  \r\n\t" + LOGIN.replace(b",", b" ,\t"),
]
MINING = st.sampled_from([*AT_ONCE, post(RPC) + SUBSCRIBE])
CUTS = st.lists(st.integers(0, 2000), max_size=12)
ISN = st.integers(0, 2**32 - 1)


def test_the_model_sees_mining() -> None:
    """Without the gateway the receiver reads a mining request: the model can fail."""
    receiver = Receiver(keeps_first=True)
    for offset, payload in cut(LOGIN, [7, 50, 51]):
        receiver.take(offset, payload)
    assert mines(receiver.stream)
    assert not mines(RPC + LOGIN[:-3])


@settings(max_examples=200, deadline=None)
@given(MINING, CUTS, ISN)
def test_in_order_any_cut_is_stopped(stream: bytes, at: list[int], isn: int) -> None:
    """However a miner's bytes are cut, no receiver reads a complete request."""
    for read in deliver(cut(stream, at), isn):
        assert stream.startswith(read)
        assert not mines(read)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(AT_ONCE), CUTS, ISN, st.randoms(use_true_random=False))
def test_in_any_order_any_cut_is_stopped(
    stream: bytes, at: list[int], isn: int, rng: random.Random
) -> None:
    """Nor does one whose segments arrive shuffled and repeated.

    Not so behind a request that was complete, and cleared its flow: a repeat of its end may carry
    new bytes, and what begins amid a packet of a cleared flow is the sample's to find.
    """
    segments = cut(stream, at)
    segments += [(n, stream[n : n + rng.randrange(1, 60)]) for n in range(0, len(stream), 40)]
    rng.shuffle(segments)
    for read in deliver(segments, isn):
        assert not mines(read)


@settings(max_examples=200, deadline=None)
@given(MINING, CUTS, st.randoms(use_true_random=False))
def test_two_versions_of_the_same_bytes_are_stopped(
    stream: bytes, at: list[int], rng: random.Random
) -> None:
    """Nor one that is sent a harmless copy of each byte before or after the true one."""
    segments = cut(stream, at)
    filler = (b"x", b" ", b"\0")
    segments += [(n, rng.choice(filler) * len(data)) for n, data in cut(stream, at[1:])]
    rng.shuffle(segments)
    for read in deliver(segments):
        assert not mines(read)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([GET, post(RPC), RPC]), MINING, CUTS)
def test_mining_behind_a_clean_request_is_stopped(
    clean: bytes, stream: bytes, at: list[int]
) -> None:
    """A connection that was cleared is not free: its next message is looked at."""
    segments = [(0, clean)] + [(len(clean) + offset, data) for offset, data in cut(stream, at)]
    if segments[1][1][0] not in TRIGGERS and not segments[1][1].startswith(b"POST "):
        segments[1:] = [(len(clean), stream)]  # the sample's business, unless it is one packet
        if stream[0] not in TRIGGERS and not stream.startswith(b"POST "):
            return
    for read in deliver(segments):
        assert not mines(read[len(clean) :])


@pytest.mark.parametrize("far", [2**21, 2**30, 2**31 - 5, 2**32 - 2**21])
@pytest.mark.parametrize("lie", [b"{", b"GET / HTTP/1.1\r\n\r\n", b"\x80" * 1400])
def test_a_segment_no_receiver_takes_does_not_help(far: int, lie: bytes) -> None:
    """Bytes far outside the window, which a receiver ignores, make us forget nothing."""
    kernel, connection = Kernel(), Connection()
    receiver = Receiver(keeps_first=True)
    for offset, payload in ((0, LOGIN[:60]), (far, lie), (60, LOGIN[60:])):
        if kernel.delivers(connection.client(payload, offset), payload) and offset < far:
            receiver.take(offset, payload)
    assert receiver.stream == LOGIN[:60]
