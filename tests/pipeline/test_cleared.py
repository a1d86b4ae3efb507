"""Flows that the kernel has: what of them is a slice, what was late, and what is a message."""

import base64
import json

import pytest
from tests.packets import Connection
from tests.streams import (
    ASKED,
    GET,
    JOB,
    LOGIN,
    POOL_NAME,
    RESPONSE,
    RPC,
    SWITCHED,
    client_hello,
    frame,
)

from davylamp.decision import Fate
from davylamp.packet import slice_packet
from davylamp.pipeline import Pipeline
from davylamp.pipeline.cleared import CAPACITY, ClearedFlows
from davylamp.policy import Policy
from davylamp.signatures.pack import Pack

HEAD = b"POST /file HTTP/1.1\r\nHost: upload.example\r\nContent-Length: 1000000\r\n\r\n"
TEXT = b"A page of documentation about mining.\n" * 600  # more than is inspected
CLEARED = {"get": (GET,), "upload": (HEAD + TEXT,)}
PARTS = (b"half a line of text\n", LOGIN, LOGIN[30:] + LOGIN)


def cleared(core: Pack, by: str) -> tuple[Pipeline, Connection]:
    """Return a pipeline that has cleared a connection of HTTP at second 1."""
    pipeline, connection = Pipeline(core, Policy()), Connection(dport=80)
    for part in CLEARED[by]:
        assert pipeline.packet(connection.client(part), 1.0).fate is Fate.CLEAR
    return pipeline, connection


def test_an_answer_that_quotes_mining_is_no_mining(core: Pack) -> None:
    """Slices of an HTTP answer that begin like a message are given back to the kernel."""
    pipeline, connection = cleared(core, "get")
    for part in (LOGIN, JOB, LOGIN * 10):
        decision = pipeline.packet(connection.server(part), 1000.0, triggered=True)
        assert (decision.fate, decision.alerts) == (Fate.CLEAR, ())
    assert pipeline.tracked == 0


@pytest.mark.parametrize("behind", [0, 4000])
def test_what_was_on_its_way_is_no_new_flow(core: Pack, behind: int) -> None:
    """Packets without the mark, sent again or not, belong to the flow that was just cleared."""
    pipeline, connection = cleared(core, "get")
    connection.server(RESPONSE + bytes(5000))
    assert pipeline.packet(connection.server(LOGIN), 1.0, triggered=True).fate is Fate.CLEAR
    place = connection.sent["server"] - behind
    for part in PARTS:
        decision = pipeline.packet(connection.server(part, place), 1.1)
        assert decision.fate in (Fate.ACCEPT, Fate.CLEAR)
        assert decision.alerts == ()


@pytest.mark.parametrize("cut", [0, 2, 20])
def test_behind_http_both_ends_speak_a_new_protocol(core: Pack, cut: int) -> None:
    """A WebSocket that a second request asks for is read from the answer on, as a first one is."""
    pipeline, connection = cleared(core, "get")
    connection.client(ASKED)  # as a GET begins, so that the kernel forwards it
    for part in (SWITCHED[:cut], SWITCHED[cut:]) if cut else (SWITCHED,):
        first = not connection.sent["server"]
        decision = pipeline.packet(connection.server(part), 9.0, triggered=first)
        assert decision.fate in (Fate.ACCEPT, Fate.REARM)
    quiet = connection.client(frame(0x82, bytes(20), masked=True))
    assert pipeline.packet(quiet, 9.1).fate is Fate.ACCEPT
    login = connection.client(frame(0x81, LOGIN[:-1], masked=True))
    assert pipeline.packet(login, 9.2).fate is Fate.DROP


def test_a_websocket_behind_http_is_cleared_once_it_was_searched(core: Pack) -> None:
    """One that says nothing of mining is the kernel's again, and nothing is kept of it."""
    pipeline, connection = cleared(core, "get")
    connection.client(ASKED)
    pipeline.packet(connection.server(SWITCHED), 9.0, triggered=True)
    fates = [
        pipeline.packet(connection.server(frame(0x82, bytes(1000), masked=False)), 9.1).fate
        for _ in range(30)
    ]
    assert Fate.CLEAR in fates
    assert pipeline.tracked == 0


def test_a_body_of_declared_length_is_no_conversation(core: Pack) -> None:
    """An upload may quote Stratum, until its end or until somebody answers."""
    pipeline, connection = cleared(core, "upload")
    assert pipeline.packet(connection.client(LOGIN), 2.0, triggered=True).fate is Fate.CLEAR
    connection.server(b"HTTP/1.1 200 OK\r\n")
    assert pipeline.packet(connection.client(LOGIN), 3.0, triggered=True).fate is Fate.DROP


def test_behind_a_body_is_no_body(core: Pack) -> None:
    """What follows the declared length is judged."""
    pipeline, connection = cleared(core, "upload")
    connection.sent["client"] = len(HEAD) + 1_000_000
    assert pipeline.packet(connection.client(LOGIN), 2.0, triggered=True).fate is Fate.DROP


def test_a_client_that_stops_speaking_http_is_judged(core: Pack) -> None:
    """A request of Stratum behind a GET is stopped, large or small."""
    for message in (LOGIN, LOGIN.replace(b"{", b'{"pad":"' + b"x" * 3000 + b'",', 1)):
        pipeline, connection = cleared(core, "get")
        assert pipeline.packet(connection.client(message), 2.0, triggered=True).fate is Fate.DROP


def test_a_large_slice_of_a_document_is_no_message(core: Pack) -> None:
    """In a flow that is not known as HTTP, a line that is no JSON tells a document."""
    pipeline, connection = Pipeline(core, Policy()), Connection()
    page = LOGIN + b"and so on, in words\n" * 100 + LOGIN
    assert pipeline.packet(connection.client(page), 2.0, triggered=True).fate is Fate.CLEAR
    assert pipeline.packet(connection.client(LOGIN * 12), 2.0, triggered=True).fate is Fate.DROP


def test_a_later_connection_on_the_same_ports_is_new(core: Pack) -> None:
    """What was known of the ports is forgotten with the next connection's first bytes."""
    pipeline, _ = cleared(core, "get")
    other = Connection(dport=80, isn=3_000_000_000)
    assert pipeline.packet(other.client(RPC[:20]), 1.5).fate is not Fate.CLEAR
    assert pipeline.tracked == 1


def test_bytes_before_a_body_are_none_of_it(core: Pack) -> None:
    """A request that never reached the server makes no body of what does, in its place."""
    pipeline = Pipeline(core, Policy())
    never, reached = Connection(), Connection()
    assert pipeline.packet(never.client(HEAD + TEXT), 1.0).fate is Fate.CLEAR
    assert pipeline.packet(reached.client(LOGIN), 4.0, triggered=True).fate is Fate.DROP


def test_an_answer_ends_a_body_whatever_its_sender_acknowledges(core: Pack) -> None:
    """Who sends packets of his own making may say that he has heard nothing."""
    pipeline, connection = cleared(core, "upload")
    deaf = connection.client(LOGIN, ack=5000)
    assert pipeline.packet(connection.server(JOB), 4.0, triggered=True).fate is Fate.CLEAR
    assert pipeline.packet(deaf, 4.5, triggered=True).fate is Fate.DROP


def test_a_value_over_many_lines_is_no_document(core: Pack) -> None:
    """Pools that read values take it; a document's slice has more than one value's lines."""
    pipeline, connection = cleared(core, "get")
    lines = json.dumps(json.loads(LOGIN), indent=1).replace("\n", "\n" + 200 * " ").encode()
    assert len(lines) > 1400
    other = Connection(dport=5555)
    for _ in range(12):
        pipeline.packet(other.client(b" \n" * 700), 1.0)
    assert pipeline.packet(other.client(lines), 9.0, triggered=True).fate is Fate.DROP
    quoting = b'{"a": 1},\n' + lines
    assert pipeline.packet(connection.client(quoting), 9.0, triggered=True).fate is Fate.CLEAR


@pytest.mark.parametrize(
    "opening",
    [
        client_hello(POOL_NAME),
        b"SSH-2.0-OpenSSH_9.6\r\n",
        f"CONNECT {POOL_NAME}:443 HTTP/1.1\r\nHost: {POOL_NAME}:443\r\n\r\n".encode(),
        base64.b64encode(LOGIN) + b"\n",
        b"\0" + LOGIN,
    ],
    ids=["hello", "ssh", "connect", "armoured", "odd"],
)
@pytest.mark.parametrize("known", [True, False], ids=["known to open", "looks like it"])
def test_a_connection_that_follows_at_once_is_judged(
    core: Pack, opening: bytes, *, known: bool
) -> None:
    """Its numbers may be near those of the one before (RFC 9293 section 3.4.1 has a clock run)."""
    pipeline, _ = cleared(core, "get")
    near = Connection(dport=80, isn=999 + 1_500_000, peer_isn=4999 + 1_500_000)
    packet = near.client(opening)
    alone = Pipeline(core, Policy()).packet(packet, 1.1)
    decision = pipeline.packet(packet, 1.1, opening=known)
    if known or alone.fate is Fate.DROP:
        assert decision == alone


def test_no_more_flows_are_remembered_than_the_bound() -> None:
    """The oldest go first."""
    flows = ClearedFlows()
    for number in range(CAPACITY + 100):
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        packet = slice_packet(Connection(src=address).client(GET))
        assert packet is not None
        flows.add(packet, 1.0, None, from_originator=True, body=0)
    assert len(flows) == CAPACITY
