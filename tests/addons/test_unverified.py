"""Clients of servers that nobody vouches for: what they say is heard out, and read once."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mitmproxy.connection import Client, Server
from mitmproxy.options import Options
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.events import DataReceived, HookCompleted
from mitmproxy.proxy.layer import NextLayer
from mitmproxy.proxy.layers import TCPLayer
from tests.addons.mitm import LOGIN
from tests.streams import core_pack

from davylamp.flow import Direction
from davylamp.inspection.finding import Finding
from davylamp_mitm import unverified
from davylamp_mitm.assay import Assay
from davylamp_mitm.connections import Watched
from davylamp_mitm.lamp import Lamp, Sight
from davylamp_mitm.strand import ByteStrand
from davylamp_mitm.unverified import UnverifiedServers


@dataclass
class Lit:
    """A lamp that only notes what it is shown."""

    watch: Watched = field(default_factory=lambda: Watched(0.0))
    stats: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(unverified=0))
    found: list[Finding] = field(default_factory=list)
    stopped: int = 0

    def watched(self, *_: object) -> Watched:
        """Return the one connection."""
        return self.watch

    def assay(self, *_: object) -> Assay:
        """Return the core pack's."""
        return Assay(core_pack())

    def count(self, data: bytes) -> None:
        """Count nothing."""

    def judge(self, sight: Sight) -> None:
        """Note what was found."""
        self.found += sight.found

    def stop(self, *_: object) -> None:
        """Count what was stopped."""
        self.stopped += 1


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give the list of sizes that inspection is shown."""
    sizes: list[int] = []

    class Counted(ByteStrand):
        def receive(self, direction: Direction, data: bytes, now: float) -> tuple[Finding, ...]:
            sizes.append(len(data))
            return super().receive(direction, data, now)

    monkeypatch.setattr(unverified, "ByteStrand", Counted)
    return sizes


@pytest.fixture
def context() -> Context:
    """Give a connection's context."""
    client = Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), timestamp_start=0.0)
    made = Context(client, Options())
    made.server = Server(address=("127.0.0.1", 3))
    return made


def say(asked: NextLayer, lamp: Lit, data: bytes) -> None:
    """Have mitmproxy ask what the next layer is, with more data, and answer it."""
    servers = UnverifiedServers(cast("Lamp", lamp))
    event = DataReceived(asked.context.client, data)
    for hook in asked.handle_event(event):
        asked.layer = TCPLayer(asked.context)
        servers.next_layer(asked, refused=True)
        list(asked.handle_event(HookCompleted(cast("Any", hook), None)))


def test_every_byte_is_read_once(context: Context, read: list[int]) -> None:
    """However small the records are that a client cuts its half message into."""
    asked, lamp = NextLayer(context, ask_on_start=False), Lit()
    said = b"[" * 1000
    for at in range(0, len(said), 5):
        say(asked, lamp, said[at : at + 5])
    assert sum(read) == len(said)
    assert lamp.stopped == 0


@pytest.mark.parametrize("size", [1, 7, len(LOGIN)])
def test_a_login_in_pieces_is_found(context: Context, read: list[int], size: int) -> None:
    """What is found is the same, and the connection ends with it."""
    asked, lamp = NextLayer(context, ask_on_start=False), Lit()
    for at in range(0, len(LOGIN), size):
        say(asked, lamp, LOGIN[at : at + size])
    assert [one.signature.id for one in lamp.found]
    assert (lamp.stopped, lamp.watch.hearing) == (1, None)
    assert sum(read) == len(LOGIN)
