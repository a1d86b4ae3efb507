"""What is published of what the kernel says, in order and out of it."""

from ipaddress import ip_address

from davylamp.agent.flows import Change, LiveFlows
from davylamp.attribution.hosts.model import Flow
from davylamp.capture.conntrack_wire import Tracked

HOST = ip_address("192.0.2.1").packed
POOL = ip_address("203.0.113.10").packed
FLOW = Flow("tcp", "192.0.2.1", 41000, "203.0.113.10", 3333)


def tracked(
    last: int, number: int = 1, *, ended: bool = False, port: int = 41000, host: bytes = HOST
) -> Tracked:
    """Return an event on a flow of 172.17.0.``last``."""
    inner = bytes([172, 17, 0, last])
    return Tracked(ended, "tcp", (inner, 5), (host, port), (POOL, 3333), number)


def shown(change: Change | None) -> tuple[str, float, float | None, float] | None:
    """Return whose a change says the flow is, and when."""
    return change and (change[1].ip, change[1].since, change[1].until, change[1].watch)


def watching(at: float = 10.0) -> LiveFlows:
    """Return flows that are watched from then on."""
    flows = LiveFlows("w", [HOST], capacity=3)
    flows.listed([], at - 1, at, float("-inf"))
    return flows


def alive(flows: LiveFlows) -> list[tuple[str, float, float | None, float] | None]:
    """Return what would be published again."""
    return [shown(each) for each in flows.alive()]


def test_a_flow_begins_and_ends_once() -> None:
    """Repeats and strangers' ends say nothing; an end is as late as it may have been."""
    flows = watching()
    assert shown(flows.heard(tracked(2), 20.0, 21.0)) == ("172.17.0.2", 20.0, None, 10.0)
    assert flows.heard(tracked(2), 21.0, 22.0) is None
    assert flows.heard(tracked(2, 9, ended=True), 22.0, 23.0) is None
    change = flows.heard(tracked(2, ended=True), 24.0, 25.0)
    assert shown(change) == ("172.17.0.2", 20.0, 25.0, 10.0)
    assert change is not None
    assert change[0] == FLOW
    assert len(flows) == 0


def test_only_flows_of_the_hosts_own_addresses_count() -> None:
    """What leaves under another address is noted, so that somebody can be told."""
    flows = watching()
    other = ip_address("198.51.100.1").packed
    assert flows.heard(tracked(2, host=other), 20.0, 20.0) is None
    assert flows.elsewhere == {other}


def test_the_table_puts_right_what_was_missed() -> None:
    """After a gap what is gone was sure until the gap, and all that is there is of a new watch."""
    flows = watching()
    for number in (1, 2, 3):
        flows.heard(tracked(number, number, port=number), 20.0, 20.0)
    there = [tracked(1, 1, port=1), tracked(9, 9, port=2)]
    over = flows.listed(there, 40.0, 41.0, sure_until=30.0)
    assert {shown(each) for each in over} == {
        ("172.17.0.1", 20.0, 41.0, 10.0),  # lived on: what was known of it stands
        ("172.17.0.2", 20.0, 30.0, 10.0),
        ("172.17.0.3", 20.0, 30.0, 10.0),
    }
    assert set(alive(flows)) == {
        ("172.17.0.1", 41.0, None, 41.0),
        ("172.17.0.9", 41.0, None, 41.0),
    }


def test_a_table_read_meanwhile_is_no_gap() -> None:
    """What began or ended while it was read is as the events said, not as the table has it."""
    flows = watching()
    flows.heard(tracked(2, 1), 20.0, 20.0)
    flows.begin_listing()
    flows.heard(tracked(2, 1, ended=True), 31.0, 31.0)
    flows.heard(tracked(3, 2, port=5), 32.0, 32.0)
    assert flows.listed([tracked(2, 1)], 30.0, 33.0, sure_until=30.0) == []
    assert alive(flows) == [("172.17.0.3", 32.0, None, 10.0)]


def test_a_flow_heard_of_while_the_table_was_read_lives() -> None:
    """It may be younger than the table, however long ago the events before it were read."""
    flows = watching()
    flows.heard(tracked(2, 1), 20.0, 20.5)
    flows.begin_listing()
    flows.heard(tracked(3, 2, port=5), 29.0, 31.0)
    assert flows.listed([tracked(2, 1)], 30.0, 33.0, sure_until=30.0) == []
    late = ("172.17.0.3", 29.0, None, 10.0)
    assert late in alive(flows)
    flows.begin_listing()
    over = flows.listed([tracked(2, 1)], 40.0, 41.0, sure_until=40.0)
    assert [shown(each) for each in over] == [("172.17.0.3", 29.0, 41.0, 10.0)]


def test_it_is_bounded() -> None:
    """Beyond its room the oldest are not kept alive any more, and are counted."""
    flows = watching()
    for number in range(10):
        flows.heard(tracked(2, number, port=number), 20.0, 20.0)
    for last in range(200):
        flows.heard(tracked(2, host=bytes([1, 1, 1, last])), 20.0, 20.0)
    assert (len(flows), flows.forgotten, len(flows.elsewhere)) == (3, 7, 64)
