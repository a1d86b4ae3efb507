"""The flow table's order, bounds and accounting."""

from tests.streams import core_pack

from davylamp.flow import Direction
from davylamp.flowtable import FLOW_OVERHEAD, Flow, FlowLimits, FlowTable
from davylamp.inspection.inspector import Inspector
from davylamp.packet import reverse_key
from davylamp.reassembly import Stream, StreamLimits

LIMITS = StreamLimits()


def flow(
    port: int,
    now: float = 0.0,
    held: int = 0,
    dst: bytes = b"\5\6\7\x08",
    src: bytes = b"\1\2\3\4",
) -> Flow:
    """Return a flow from a port that holds so many bytes besides what any flow takes."""
    key = src + dst + port.to_bytes(2, "big") + b"\0\x50"
    made = Flow(key, now, now, Inspector(core_pack()))
    made.originator = Stream.begun(LIMITS, 0, b"x" * held, anchored=True)
    return made


def test_a_flow_is_found_from_both_ends() -> None:
    """Either direction's tuple finds the flow and says which direction it is."""
    table, one = FlowTable(FlowLimits()), flow(7)
    table.add(one)
    assert table.find(one.tuple_key) == (one, Direction.ORIGINATOR)
    assert table.find(reverse_key(one.tuple_key)) == (one, Direction.RESPONDER)
    assert one.key.orig_port == 7
    table.remove(one)
    table.remove(one)
    assert table.find(one.tuple_key) is None
    assert table.find(reverse_key(one.tuple_key)) is None
    assert (len(table), table.held) == (0, 0)


def test_a_host_that_talks_to_itself_from_a_port_to_the_same_port_is_one_flow() -> None:
    """Where both directions have one tuple, nothing is lost or left over."""
    table, one = FlowTable(FlowLimits()), flow(0x50, dst=b"\1\2\3\4")
    table.add(one)
    assert table.find(one.tuple_key) == (one, Direction.ORIGINATOR)
    table.remove(one)
    assert len(table) == 0
    assert table.find(one.tuple_key) is None


def test_the_longest_idle_flow_goes_first() -> None:
    """A packet makes its flow the last to be put out."""
    table = FlowTable(FlowLimits(flows=3))
    flows = [flow(port) for port in range(3)]
    for one in flows:
        table.add(one)
    table.touch(flows[0])
    table.add(flow(9))
    assert [one.key.orig_port for one in table.flows()] == [2, 0, 9]
    assert table.evicted == 1


def test_a_flood_puts_out_its_own_flows() -> None:
    """Whoever holds the most loses first, by number or bytes, however idle the others are."""
    table = FlowTable(FlowLimits(flows=10, held=100_000))
    table.add(flow(1, src=b"\1\1\1\1"))
    for port in range(50):
        table.add(flow(port))
    assert (len(table), table.flows()[0].address) == (10, b"\1\1\1\1")
    for port in range(50):
        table.add(flow(100 + port, held=30_000))
    assert table.flows()[0].address == b"\1\1\1\1"
    for one in table.flows():
        table.remove(one)
    assert (len(table), table.held) == (0, 0)


def test_a_flow_with_half_a_message_is_not_forgotten_whole() -> None:
    """Put out or swept, it is remembered with its older one; a whole one is not."""
    table = FlowTable(FlowLimits(flows=1, idle=10.0, lost=2))
    for port in range(5):
        half = flow(port, now=float(port))
        half.inspector.receive(Direction.ORIGINATOR, b'{"a":', 1.0)
        table.add(half)
    assert len(table.lost) == 2
    table.add(flow(9, now=5.0))
    assert len(table.lost) == 2
    table.lost.forget(half.tuple_key)
    whole = flow(10, now=6.0)
    whole.older = flow(10)
    whole.older.inspector.receive(Direction.ORIGINATOR, b'{"a":', 1.0)
    table.add(whole)
    table.sweep(100.0)
    assert (len(table), len(table.lost)) == (0, 2)


def test_bytes_are_counted_once_and_given_back() -> None:
    """The total is what the flows hold now, an older connection's half message included."""
    table = FlowTable(FlowLimits(held=1000 + 3 * FLOW_OVERHEAD))
    one, two = flow(1, held=300), flow(2, held=400)
    table.add(one)
    table.add(two)
    assert table.held == 700 + 2 * FLOW_OVERHEAD
    one.originator = None
    table.touch(one)
    assert table.held == 400 + 2 * FLOW_OVERHEAD
    one.older = flow(1, held=100)
    table.touch(one)
    assert table.held == 500 + 3 * FLOW_OVERHEAD
    table.add(flow(3, held=900))
    assert [flow.key.orig_port for flow in table.flows()] == [1, 3]
    assert table.held == 1000 + 3 * FLOW_OVERHEAD


def test_one_flow_may_hold_more_than_all_should() -> None:
    """The flow in hand is not put out for its own sake: its own bounds hold it."""
    table = FlowTable(FlowLimits(held=10))
    table.add(flow(1, held=300))
    assert len(table) == 1


def test_a_tuple_has_one_flow() -> None:
    """A flow takes the place of another with the same tuple, and of its bytes."""
    table = FlowTable(FlowLimits())
    table.add(flow(1, held=300))
    table.add(flow(1, held=5))
    assert (len(table), table.held) == (1, 5 + FLOW_OVERHEAD)


def test_idle_flows_are_swept() -> None:
    """Those without a packet for the idle time go, the others stay."""
    table = FlowTable(FlowLimits(idle=10.0))
    for port in range(5):
        table.add(flow(port, now=float(port)))
    table.sweep(12.5)
    assert [one.key.orig_port for one in table.flows()] == [3, 4]


def test_an_older_connection_counts_for_the_flow_that_remembers_it() -> None:
    """Its packets keep the flow alive, its bytes count once, and it can be forgotten alone."""
    table = FlowTable(FlowLimits(idle=10.0))
    one = flow(1)
    older = flow(1, now=8.0, held=300)
    older.tuple_key = reverse_key(older.tuple_key)  # opened from the other end
    older.counted = 12_345  # from when it was in the table itself
    one.older = older
    table.add(one)
    assert table.held == 300 + 2 * FLOW_OVERHEAD
    older.responder = Stream.begun(LIMITS, 0, b"x" * 50, anchored=True)
    table.touch(older)
    assert table.held == 350 + 2 * FLOW_OVERHEAD
    table.sweep(15.0)
    assert len(table) == 1
    table.remove(older)
    assert table.held == FLOW_OVERHEAD
    table.remove(one)
    assert (len(table), table.held) == (0, 0)
