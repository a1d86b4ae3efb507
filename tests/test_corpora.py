"""Real traffic that nobody in this project wrote: mining must be told, the rest must not.

The corpora's own README describes the files. Each is inspected as ``davylamp replay`` does.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import pytest
from tests.streams import core_pack

from davylamp.capture.tracefile import Trace, find_traces
from davylamp.errors import CaptureError
from davylamp.events import AlertEvent
from davylamp.flow import Direction
from davylamp.ipfrag import Defragmenter
from davylamp.packet import Packet, slice_packet
from davylamp.pipeline import Pipeline, Vantage
from davylamp.policy import Mode, Policy
from davylamp.signatures.flights import Flights
from davylamp.signatures.model import CombinedCondition, SignatureId

pytestmark = pytest.mark.corpora

CRYPTONOTE = {"cryptonote"}
ZCASH = {"stratum-v1", "stratum-v1-zcash"}
MINING: dict[str, set[str]] = {
    "mining.pcapng": {"eth-proxy", *CRYPTONOTE, *ZCASH},
    "peafowl-stratum.pcap": ZCASH,
    "zeekcm_bitcoin-mining.pcap": {"stratum-v1", "getblocktemplate", "getwork"},
    "zeekcm_coinhive-stratum.pcap": CRYPTONOTE,
    "cj-sniffer/1574720899_9M3tc.pcap": CRYPTONOTE,
    "cj-sniffer/1575056774_OMKru.pcap": CRYPTONOTE,
    "cj-sniffer/1578349600_DSfJl.pcap": CRYPTONOTE,
    "cj-sniffer/1588049082_Dn6z5.pcap": CRYPTONOTE,
    "cj-sniffer/1613759102_1bM5i.pcap": CRYPTONOTE,
    "cj-sniffer/1617741719_i6WEA.pcap": CRYPTONOTE,
    "cj-sniffer/1618550187_hQST8.pcap": CRYPTONOTE,
    "cj-sniffer/1619477075_R7PCd.pcap": CRYPTONOTE,
}
"""The dialects that a file must be told to hold."""

# What a flow in these files may begin with and not be told, and why that is right.
QUIET: dict[str, tuple[tuple[bytes, str], ...]] = {
    "zeekcm_bitcoin-mining.pcap": (
        (b"\x16\x03\x01", "a miner tries TLS, with no name; the pool cannot parse it, and says so"),
    ),
    "zeekcm_coinhive-stratum.pcap": (
        (b"\x17\x03\x03", "a browser's TLS connections, joined after their handshakes"),
        (b"\x16\x03\x01", "the browser loads coinhive.com, which the list knows as a web site"),
    ),
}

type FlowName = frozenset[tuple[str, int]]


@dataclass(slots=True)
class Seen:
    """What a file held: each TCP flow's first payload, and the alerts on it."""

    first: dict[FlowName, bytes] = field(default_factory=dict)
    told: dict[FlowName, list[AlertEvent]] = field(default_factory=dict)

    @property
    def alerts(self) -> Iterator[AlertEvent]:
        """Every alert."""
        return (alert for alerts in self.told.values() for alert in alerts)

    def saw(self, packet: Packet) -> None:
        """Note what a flow begins with."""
        if packet.payload and packet.flags:
            ends = ((packet.src_addr, packet.src_port), (packet.dst_addr, packet.dst_port))
            name = frozenset((str(ip_address(packed)), port) for packed, port in ends)
            self.first.setdefault(name, packet.payload)

    def heard(self, alerts: tuple[AlertEvent, ...]) -> None:
        """Note alerts under their flow."""
        for alert in alerts:
            ends = ((alert.src_ip, alert.src_port), (alert.dest_ip, alert.dest_port))
            self.told.setdefault(frozenset(ends), []).append(alert)


def inspect(path: Path) -> Seen:
    """Inspect a capture file as far as it can be read."""
    pipeline = Pipeline(core_pack(), Policy(mode=Mode.OBSERVE), vantage=Vantage.TRACE)
    seen, whole, now = Seen(), Defragmenter(), 0.0
    with Trace(path) as trace:
        packets = iter(trace)
        while True:
            try:
                now, raw = next(packets)
            except (StopIteration, CaptureError):
                break
            datagram = whole.packet(raw, now)
            if datagram is not None:
                if packet := slice_packet(datagram):
                    seen.saw(packet)
                seen.heard(pipeline.packet(datagram, now).alerts)
    seen.heard(pipeline.finish(now))
    return seen


@pytest.mark.parametrize("name", MINING)
def test_mining_is_told_by_its_dialect(corpora: Path, name: str) -> None:
    """Every dialect in the file is told, and every flow that is not told has its reason."""
    seen = inspect(corpora / "mining" / name)
    dialects = {alert.mining.dialect for alert in seen.alerts if alert.mining is not None}
    assert dialects >= MINING[name]
    silent = {flow: first for flow, first in seen.first.items() if flow not in seen.told}
    reasons = tuple(begins for begins, _ in QUIET.get(name, ()))
    assert {
        flow: first[:40] for flow, first in silent.items() if not first.startswith(reasons)
    } == {}


def test_no_file_of_mining_is_left_out(corpora: Path) -> None:
    """The table above is the folder's contents."""
    folder = corpora / "mining"
    assert {path.relative_to(folder).as_posix() for path in find_traces(folder)} == set(MINING)


def test_an_alert_is_one_a_flow_and_signature(corpora: Path) -> None:
    """Days of shares are one alert of each kind."""
    for name in MINING:
        for flow, alerts in inspect(corpora / "mining" / name).told.items():
            told = [(alert.flow_id, alert.alert.signature_id) for alert in alerts]
            assert len(told) == len(set(told)), (name, flow)


def test_nothing_else_is_told_to_be_mining(corpora: Path) -> None:
    """1,173 traces of everything else raise no alert of mining, of a pool, or of solo mining."""
    wrong: list[tuple[str, str, str]] = []
    files = 0
    for path in find_traces(corpora / "benign"):
        files += 1
        wrong += [
            (path.name, alert.alert.signature_id, alert.evidence[0].excerpt[:80])
            for alert in inspect(path).alerts
            if alert.alert.category in {"mining", "pool", "solo"}
        ]
    assert files > 1000
    assert wrong == []


def test_sizes_of_logins_inside_tls_are_those_of_real_miners(corpora: Path) -> None:
    """Of flows that begin with OpenSSL's bare hello, the miners' have a login's sizes, no other.

    The file has sizes alone, of 30 packets; a hello is known by its 293 bytes, give or take four.
    """
    condition = core_pack().signatures[SignatureId("cryptonote-tls-login")].condition
    assert isinstance(condition, CombinedCondition)
    [sized] = condition.sized()
    told = {"Miner": 0, "Other": 0}
    begun = dict(told)
    with (corpora / "flows" / "cesnet-miner22-ppi-sample.csv").open(encoding="ascii") as file:
        for row in csv.DictReader(file):
            flights = _flights(row)
            label = row["label"].strip()
            if flights.sizes and abs(flights.sizes[0][1] - 293) <= 4:
                begun[label] += 1
                told[label] += sized.judge(flights) is True
    assert (begun, told) == ({"Miner": 47, "Other": 50}, {"Miner": 47, "Other": 0})


def _flights(row: dict[str, str]) -> Flights:
    flights = Flights()
    for number in range(1, 31):
        size, way = int(row[f"SIZE_{number}"]), int(row[f"DIR_{number}"])
        if size and way:
            flights.add(Direction.ORIGINATOR if way > 0 else Direction.RESPONDER, size)
    flights.add(Direction.ORIGINATOR, 1)  # the last one has ended
    return flights
