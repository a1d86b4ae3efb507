"""One file through one inspection: alerts, progress, and an end that says what was wrong."""

import os
from pathlib import Path

import pytest

from davylamp.events import AlertEvent
from davylamp.paths import SIGNATURES
from davylamp.replay.observe import observers
from davylamp.replay.onefile import Advance, Done, Message, SinkFactory, replay_file


@pytest.fixture(scope="module")
def make_sink() -> SinkFactory:
    """Make inspections with the core pack."""
    return observers(SIGNATURES / "core")


def replay(path: Path, make_sink: SinkFactory) -> tuple[list[AlertEvent], Done, list[Message]]:
    """Return the alerts, the end, and everything."""
    messages = list(replay_file(path, make_sink))
    done = messages[-1]
    assert isinstance(done, Done)
    return [m for m in messages if isinstance(m, AlertEvent)], done, messages


def test_mining(tmp_path: Path, mining: bytes, make_sink: SinkFactory) -> None:
    """A login and its answer alert, under the file's name, with nothing blocked."""
    path = tmp_path / "a.pcap"
    path.write_bytes(mining)
    alerts, done, _ = replay(path, make_sink)
    assert {alert.mining.role for alert in alerts if alert.mining} == {"miner", "pool"}
    for alert in alerts:
        assert alert.mining is not None
        assert (alert.mining.dialect, alert.mining.coin) == ("cryptonote", "XMR")
        assert (alert.src_ip, alert.src_port) == ("10.0.0.5", 40_000)
        assert (alert.verdict.action, alert.verdict.mode) == ("alert", "observe")
        assert alert.pcap_file == str(path)
        assert alert.timestamp.startswith("2020-09-13T12:26:4")
    assert (done.packets, done.flows, done.error) == (4, 1, "")
    assert done.bytes == len(mining) - 24 - 4 * 16


def test_benign(tmp_path: Path, benign: bytes, make_sink: SinkFactory) -> None:
    """Ordinary traffic is silent."""
    path = tmp_path / "a.pcap"
    path.write_bytes(benign)
    alerts, done, _ = replay(path, make_sink)
    assert (alerts, done.packets, done.flows) == ([], 4, 1)


def test_fragments(tmp_path: Path, mining_in_fragments: bytes, make_sink: SinkFactory) -> None:
    """A login in IP fragments, sent last one first, is seen all the same."""
    path = tmp_path / "a.pcap"
    path.write_bytes(mining_in_fragments)
    alerts, done, _ = replay(path, make_sink)
    assert [alert.alert.signature_id for alert in alerts] == ["cryptonote-login"]
    assert done.fragments == done.packets - 2 > 3


def test_end_of_input(
    tmp_path: Path, a_hole_before_the_login: bytes, make_sink: SinkFactory
) -> None:
    """What waited behind a hole in the capture is told at its end."""
    path = tmp_path / "a.pcap"
    path.write_bytes(a_hole_before_the_login)
    alerts, _, _ = replay(path, make_sink)
    assert [alert.alert.signature_id for alert in alerts] == ["cryptonote-login"]


def test_damage_after_mining(tmp_path: Path, mining: bytes, make_sink: SinkFactory) -> None:
    """The alerts of what could be read come before the error that ends the file."""
    path = tmp_path / "a.pcap"
    path.write_bytes(mining + b"\x01\x02\x03")
    alerts, done, _ = replay(path, make_sink)
    assert alerts
    assert done.packets == 4
    assert done.error == f"{path}: at byte {len(mining)}: a record header is cut off"


def test_missing(tmp_path: Path, make_sink: SinkFactory) -> None:
    """A file that is not there is an end with an error, not an exception."""
    _, done, messages = replay(tmp_path / "none.pcap", make_sink)
    assert messages == [done]
    assert "none.pcap: cannot be opened: No such file" in done.error


def test_progress(tmp_path: Path, benign: bytes, make_sink: SinkFactory) -> None:
    """A long file says on the way how far it is, in bytes of the file."""
    path = tmp_path / "a.pcap"
    path.write_bytes(benign + benign[24:] * 5000)
    _, _, messages = replay(path, make_sink)
    steps = [message.consumed for message in messages if isinstance(message, Advance)]
    assert len(steps) > 3
    assert steps == sorted(steps)
    assert 0 < steps[0] <= steps[-1] <= path.stat().st_size


def test_file_name_that_is_not_text(tmp_path: Path, mining: bytes, make_sink: SinkFactory) -> None:
    """A file name of arbitrary bytes goes into the event escaped."""
    path = tmp_path / os.fsdecode(b"caf\xe9.pcap")
    path.write_bytes(mining)
    alerts, _, _ = replay(path, make_sink)
    assert {alert.pcap_file for alert in alerts} == {f"{tmp_path}/caf\\xe9.pcap"}
