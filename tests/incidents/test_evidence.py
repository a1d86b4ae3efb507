"""The packets behind alerts: rebuilt, written for their owner only, and bounded."""

import io
from pathlib import Path

import dpkt
import pytest
from tests.incidents.conftest import MakeAlert
from tests.packets import Connection
from tests.streams import LOGIN, core_pack

from davylamp.incidents.pcapfiles import joined
from davylamp.pipeline import Pipeline
from davylamp.pipeline.evidence import PIECE, tcp_packet
from davylamp.policy import Policy
from davylamp.workers.evidence import EvidenceFolder, EvidenceLimits

V4 = bytes((10, 88, 0, 5, 203, 0, 113, 9)) + (40000).to_bytes(2) + (3333).to_bytes(2)
V6 = bytes(15) + b"\x05" + bytes(15) + b"\x09" + V4[-4:]


@pytest.mark.parametrize("key", [V4, V6])
@pytest.mark.parametrize("payload", [b"", b"odd", b"even", b"x" * PIECE])
def test_a_rebuilt_packet_is_a_right_one(key: bytes, payload: bytes) -> None:
    """Another program reads it, and its checksums hold."""
    raw = tcp_packet(key, 7, 9, payload)
    packet = dpkt.ip.IP(raw) if key is V4 else dpkt.ip6.IP6(raw)
    segment = packet.data
    assert (segment.seq, segment.ack, bytes(segment.data)) == (7, 9, payload)
    written, ip_sum = segment.sum, getattr(packet, "sum", 0)
    segment.sum = 0
    if key is V4:
        packet.sum = 0
    again = type(packet)(bytes(packet))
    assert again.data.sum == written
    assert getattr(again, "sum", 0) == ip_sum


def test_what_led_to_a_finding_is_rebuilt_from_the_stream() -> None:
    """A login in three segments: with the packet judged, the whole of it, each byte once."""
    pipeline = Pipeline(core_pack(), Policy())
    connection, decision, last = Connection(), None, b""
    for piece in (LOGIN[:20], LOGIN[20:45], LOGIN[45:]):
        last = connection.client(piece)
        decision = pipeline.packet(last, 1000.0)
    assert decision is not None
    assert decision.alerts
    packets = [dpkt.ip.IP(raw) for raw in (*pipeline.evidence(last), last)]
    assert b"".join(bytes(one.data.data) for one in packets) == LOGIN
    assert [one.data.seq for one in packets] == [1000, 1045]


def alone(folder: Path) -> Path:
    """Return the one file in a folder."""
    [file] = folder.iterdir()
    return file


def test_a_flow_has_one_private_file(tmp_path: Path, make_alert: MakeAlert) -> None:
    """What came before goes in once; each packet judged is added."""
    kept = EvidenceFolder(tmp_path / "evidence" / "queue-40")
    early, judged, more = (tcp_packet(V4, n, 0, b"%d" % n) for n in (1, 2, 3))
    path = kept.keep(make_alert(), [early], judged, 1000.5)
    assert kept.keep(make_alert(), [early], more, 1001.0) == path
    file = alone(tmp_path / "evidence" / "queue-40")
    assert str(file) == path
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    with file.open("rb") as opened:
        found = list(dpkt.pcap.Reader(opened))
    assert [data for _, data in found] == [early, judged, more]
    assert [round(float(at), 3) for at, _ in found] == [1000.5, 1000.5, 1001.0]


def test_one_sandbox_has_a_share_and_keeps_its_beginning(
    tmp_path: Path, make_alert: MakeAlert
) -> None:
    """A miner that tries for ever pushes out neither its first flows nor another's."""
    kept = EvidenceFolder(tmp_path, EvidenceLimits(flow=500, source=1000, total=5000))
    packet = tcp_packet(V4, 1, 0, b"x" * 100)
    kept.keep(make_alert(flow_id=1, src_ip="10.0.0.1"), [], packet, 1.0)
    for flow in range(2, 50):
        kept.keep(make_alert(flow_id=flow, src_ip="10.0.0.2"), [], packet, 1.0)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"10.0.0.1_1.pcap", "10.0.0.2_2.pcap"} <= names
    assert "10.0.0.2_49.pcap" not in names
    assert sum(path.stat().st_size for path in tmp_path.glob("10.0.0.2_*")) <= 1000
    assert kept.refused > 0


def test_a_full_folder_loses_its_oldest_also_after_a_restart(
    tmp_path: Path, make_alert: MakeAlert
) -> None:
    """All together stay within the bound, whoever wrote them."""
    limits = EvidenceLimits(flow=500, source=500, total=1000, files=10)
    packet = tcp_packet(V4, 1, 0, b"x" * 100)
    for number in range(30):
        if number % 10 == 0:
            kept = EvidenceFolder(tmp_path, limits)
        kept.keep(make_alert(flow_id=1, src_ip=f"10.0.1.{number}"), [], packet, 1.0)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1000
    assert (tmp_path / "10.0.1.29_1.pcap").exists()
    assert not (tmp_path / "10.0.1.0_1.pcap").exists()


def test_no_more_files_than_may_be(tmp_path: Path, make_alert: MakeAlert) -> None:
    """Small flows in number are bounded too."""
    kept = EvidenceFolder(tmp_path, EvidenceLimits(files=4))
    for number in range(20):
        kept.keep(make_alert(src_ip=f"10.0.1.{number}"), [], tcp_packet(V4, 1, 0, b"x"), 1.0)
    assert len(list(tmp_path.iterdir())) == 4


def test_too_much_of_one_flow_is_refused(tmp_path: Path, make_alert: MakeAlert) -> None:
    """The rest of what was held goes without; the packet judged is kept while it fits."""
    kept = EvidenceFolder(tmp_path, EvidenceLimits(flow=400))
    big, small = (tcp_packet(V4, 1, 0, b"x" * size) for size in (600, 10))
    path = kept.keep(make_alert(), [big], small, 1.0)
    assert joined([path]).count == 0  # not in an evidence folder, so not taken in
    assert kept.refused == 1
    with io.BytesIO(Path(path).read_bytes()) as opened:
        assert [data for _, data in dpkt.pcap.Reader(opened)] == [small]


def test_what_cannot_make_room_is_refused(tmp_path: Path, make_alert: MakeAlert) -> None:
    """A disk that has become read-only costs evidence, and not the worker."""
    folder = tmp_path / "queue-40"
    unmovable = folder / "10.0.0.9_1.pcap"
    unmovable.mkdir(parents=True)
    kept = EvidenceFolder(folder, EvidenceLimits(files=1))
    assert kept.keep(make_alert(), [], tcp_packet(V4, 1, 0, b"x"), 1000.0) == ""
    assert kept.refused == 1
    unmovable.rmdir()
    assert kept.keep(make_alert(), [], tcp_packet(V4, 1, 0, b"x"), 1001.0)
