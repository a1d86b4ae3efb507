"""DNS that the gateway's own host answers: queued both ways, and nothing else of that host."""

import socket

import pytest
from tests.enforcement.wires import FOUR, Addresses, Gateway, Wire

from davylamp.decision import Fate
from davylamp.rewriting import with_payload

pytestmark = pytest.mark.lab

HOSTS = [
    Addresses(socket.AF_INET, FOUR.sandbox, "10.90.0.1"),
    Addresses(socket.AF_INET6, "fd90::2", "fd90::1"),
]


@pytest.mark.parametrize("ends", HOSTS, ids=["ipv4", "ipv6"])
def test_questions_and_answers_wait(wire: Wire, gateway: Gateway, ends: Addresses) -> None:
    """Each waits for its verdict, and may be refused or delivered with other bytes."""
    resolver = wire.datagrams("g", ends, 53)
    asker = wire.datagrams("s", ends)
    asker.sendto(b"refused", (ends.outside, 53))
    gateway.judge(Fate.DROP)
    asker.sendto(b"question", (ends.outside, 53))
    (question,) = gateway.judge(Fate.ACCEPT)
    assert question.captured.endswith(b"question")
    heard, whose = resolver.recvfrom(100)
    assert heard == b"question"
    resolver.sendto(b"the answer", whose)
    (answer,) = gateway.queue.receive(3.0)
    assert answer.captured.endswith(b"the answer")
    changed = with_payload(answer.captured, b"another on")
    assert changed is not None
    gateway.queue.replace(answer.packet_id, changed, answer.mark)
    assert asker.recv(100) == b"another on"


def test_the_rest_of_the_host_is_left_alone(wire: Wire, gateway: Gateway) -> None:
    """What it asks itself under an address of the sandboxes' network, and other services."""
    one = Addresses(socket.AF_INET, FOUR.sandbox, "10.90.0.1")
    resolver, other = wire.datagrams("g", one, 53), wire.datagrams("g", one, 5353)
    itself, asker = wire.datagrams("g", one, 40_000), wire.datagrams("s", one)
    itself.sendto(b"question", ("10.90.0.1", 53))
    heard, whose = resolver.recvfrom(100)
    resolver.sendto(heard, whose)
    assert itself.recv(100) == b"question"
    asker.sendto(b"another matter", ("10.90.0.1", 5353))
    assert other.recv(100) == b"another matter"
    assert gateway.packets("queued") == 0
