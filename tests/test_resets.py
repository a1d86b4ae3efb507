"""Reset numbers, case by case, as RFC 9293 section 3.10.7 and RFC 5961 section 3.2 check them."""

import pytest
from tests.packets import ACK, FIN, PSH, SYN, Connection
from tests.streams import core_pack

from davylamp.decision import Reset
from davylamp.flow import Direction
from davylamp.flowtable import Flow
from davylamp.inspection.inspector import Inspector
from davylamp.packet import slice_packet
from davylamp.reassembly import Stream, StreamLimits
from davylamp.resets import reset_to_sender, resets_for

C, S = Direction.ORIGINATOR, Direction.RESPONDER
# A Connection's client sends from 1000, its server from 5000: 700 and 900 bytes are there already.
SENT = {"client": 700, "server": 900}

# name, who sends, flags, what its receiver expects (None: what is sent), delivered, resets as
# (to whom, number, acknowledgement)
CASES: list[tuple[str, Direction, int, int | None, bool, list[tuple[Direction, int, int]]]] = [
    ("in order", C, PSH | ACK, None, False, [(S, 1700, 5900), (C, 5900, 1700)]),
    ("from the server", S, PSH | ACK, None, False, [(C, 5900, 1700), (S, 1700, 5900)]),
    ("it fills a hole before its end", C, ACK, 1690, False, [(S, 1690, 5900), (C, 5900, 1690)]),
    ("it was delivered", C, ACK, None, True, [(S, 1704, 5900), (C, 5900, 1704)]),
    ("it was delivered with a FIN", C, FIN | ACK, None, True, [(S, 1705, 5900), (C, 5900, 1705)]),
    ("it is a SYN", C, SYN, None, False, [(C, 0, 1701)]),
    ("it is a SYN-ACK", S, SYN | ACK, None, False, [(C, 5900, 1700), (S, 1700, 5901)]),
]


def a_flow(responder: Stream | None = None) -> Flow:
    """Return the flow of a Connection."""
    packet = slice_packet(Connection().client(b""))
    assert packet is not None
    return Flow(packet.tuple_key, 0.0, 0.0, Inspector(core_pack()), responder=responder)


@pytest.mark.parametrize(
    ("sender", "flags", "expected", "delivered", "wanted"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_each_end_gets_the_number_that_it_expects(
    sender: Direction,
    flags: int,
    expected: int | None,
    delivered: bool,
    wanted: list[tuple[Direction, int, int]],
) -> None:
    """The receiver is reset where the dropped packet began, the sender where it acknowledged."""
    connection = Connection(sent=dict(SENT))
    made = connection.client if sender is C else connection.server
    packet = slice_packet(made(b"data", flags=flags))
    assert packet is not None
    flow = a_flow()
    got = resets_for(
        flow, sender, packet, packet.seq if expected is None else expected, delivered=delivered
    )
    keys = {C: flow.key.reversed(), S: flow.key}  # who is to hear it is the key's responder
    assert list(got) == [Reset(keys[who], seq, ack) for who, seq, ack in wanted]


def test_a_sender_with_data_on_the_way_is_reset_at_both_numbers() -> None:
    """What it acknowledged, and what was delivered to it since, in the order of the numbers."""
    packet = slice_packet(Connection(sent={"client": 0, "server": 900}).client(b"x"))
    assert packet is not None
    flow = a_flow(Stream(StreamLimits(), 6200))
    got = resets_for(flow, C, packet, 1000, delivered=False)
    assert [reset.seq for reset in got] == [1000, 5900, 6200]


def test_who_still_sends_is_answered_at_what_it_acknowledges() -> None:
    """A flow that was ended before is refused like a closed port, to its sender alone."""
    for sender, key in ((C, a_flow().key.reversed()), (S, a_flow().key)):
        connection = Connection(sent=dict(SENT))
        packet = slice_packet((connection.client if sender is C else connection.server)(b"data"))
        assert packet is not None
        assert reset_to_sender(a_flow(), sender, packet) == Reset(key, packet.ack, packet.seq + 4)
