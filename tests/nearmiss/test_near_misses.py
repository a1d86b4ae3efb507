"""Real software whose conversations resemble mining raises no alert (docs/near-misses.md)."""

import os
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import yaml
from tests.packets import ACK, FIN, PSH, Connection
from tests.streams import AUTHORIZE, SUBSCRIBE

from davylamp.events import AlertEvent
from davylamp.lab.namespaces import why_not
from davylamp.paths import SIGNATURES
from davylamp.replay.observe import observers
from davylamp.replay.onefile import Done, SinkFactory, replay_file

_CHECKOUT = Path(__file__).resolve().parents[2]
_RECORDER = _CHECKOUT / "tools" / "near_misses" / "run.py"
_PAGE = _CHECKOUT / "docs" / "near-misses.md"
_FOLDER = _CHECKOUT / "tests" / "data" / "near-misses"
_MANIFEST = _FOLDER / "manifest.yaml"
_LARGEST, _LARGEST_OF_ALL = 200 * 1024, 4 * 1024 * 1024
_MINING = {"mining", "pool", "solo"}

KNOWN: dict[str, str] = {}
"""False alarms that are known and not mended yet, and why each is one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One recording, as the manifest has it."""

    name: str
    family: str
    software: tuple[str, ...]
    does: str
    near: str

    @property
    def path(self) -> Path:
        """Where the recording is."""
        return _FOLDER / f"{self.name}.pcap"


def entries(manifest: Path = _MANIFEST) -> tuple[Entry, ...]:
    """Read a manifest."""
    return tuple(
        Entry(**{**entry, "software": tuple(entry["software"])})
        for entry in yaml.safe_load(manifest.read_text())
    )


def _parameters() -> list[object]:
    return [
        pytest.param(
            entry,
            id=entry.name,
            marks=[pytest.mark.xfail(strict=True, reason=KNOWN[entry.name])]
            if entry.name in KNOWN
            else [],
        )
        for entry in entries()
    ]


@cache
def observer() -> SinkFactory:
    """Give what ``davylamp replay`` inspects a file with, the pack loaded once."""
    return observers(SIGNATURES / "core")


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay of a file told."""

    done: Done
    alerts: tuple[tuple[str, str, str], ...]
    """Category, signature and the beginning of the evidence."""

    @property
    def mining(self) -> list[tuple[str, str, str]]:
        """The alerts that call something mining."""
        return [alert for alert in self.alerts if alert[0] in _MINING]


def replayed(path: Path) -> Replayed:
    """Replay a file through the inspection that runs inline."""
    alerts, done = [], Done()
    for message in replay_file(path, observer()):
        match message:
            case Done():
                done = message
            case AlertEvent():
                told = message.alert
                alerts.append((told.category, told.signature_id, message.evidence[0].excerpt[:100]))
    return Replayed(done, tuple(alerts))


def with_mining(recording: bytes) -> bytes:
    """Return a recording with a miner's connection behind it, in the same kind of packets."""
    link, connection = recording[24 + 16 : 24 + 16 + 14], Connection(dst="198.51.100.9")
    packets = [
        connection.syn(),
        connection.syn_ack(),
        connection.client(SUBSCRIBE + AUTHORIZE, flags=PSH | ACK),
        connection.client(b"", flags=FIN | ACK),
    ]
    frames = [link + packet for packet in packets]
    return recording + b"".join(
        struct.pack("<IIII", 1_767_229_200, 0, len(frame), len(frame)) + frame for frame in frames
    )


@pytest.mark.parametrize("entry", _parameters())
def test_nothing_is_told_to_be_mining(entry: Entry) -> None:
    """A recording is read to its end and holds no alert of mining, of a pool, or of solo mining."""
    seen = replayed(entry.path)
    assert seen.done.error == ""
    assert seen.done.skipped == 0
    assert seen.done.flows > 0
    for category, signature, excerpt in seen.alerts:
        sys.stdout.write(f"{category}: {signature}: {excerpt}\n")
    assert seen.mining == []


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_a_miner_in_the_same_file_is_told(entry: Entry, tmp_path: Path) -> None:
    """Silence is not for want of looking: a miner's connection behind the recording is told."""
    path = tmp_path / "mined.pcap"
    path.write_bytes(with_mining(entry.path.read_bytes()))
    before, after = replayed(entry.path), replayed(path)
    assert after.done.flows == before.done.flows + 1
    assert {"stratum-v1-subscribe", "stratum-v1-authorize"} <= {
        signature for _, signature, _ in set(after.alerts) - set(before.alerts)
    }


def test_the_manifest_is_the_folder() -> None:
    """Every recording has its entry and every entry its recording, its family and its row."""
    listed = entries()
    names = [entry.name for entry in listed]
    assert names == sorted(set(names))
    assert {f"{name}.pcap" for name in names} == {path.name for path in _FOLDER.glob("*.pcap")}
    page = _PAGE.read_text()
    for entry in listed:
        assert (_RECORDER.parent / "families" / f"{entry.family}.py").is_file(), entry
        assert entry.software, entry
        assert all(any(c.isdigit() for c in software) for software in entry.software), entry
        assert entry.does, entry
        assert entry.near, entry
        assert f"| `{entry.name}` | {', '.join(entry.software)} |" in page
    assert set(KNOWN) <= set(names)


def test_the_recordings_are_small() -> None:
    """A recording has at most 200 KiB, all of them 4 MiB."""
    sizes = {entry.name: entry.path.stat().st_size for entry in entries()}
    assert {name: size for name, size in sizes.items() if size > _LARGEST} == {}
    assert sum(sizes.values()) <= _LARGEST_OF_ALL


@pytest.mark.programs
@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_family_recorded_anew_raises_no_alert(tmp_path: Path) -> None:
    """The recorder makes the same recordings again from fresh programs, and they stay silent."""
    if reason := why_not():
        pytest.skip(reason)
    path = os.pathsep.join([os.environ["PATH"], str(_CHECKOUT / ".uv" / "bin"), "/usr/sbin"])
    for name in ("tcpdump", "ethtool", "uv"):
        if not shutil.which(name, path=path):
            pytest.skip(f"needs {name}")
    family = "jsonlines"
    done = subprocess.run(
        [sys.executable, _RECORDER, family, "--output", tmp_path],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and "its programs are not to be had" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    fresh = entries(tmp_path / "manifest.yaml")
    assert [entry.name for entry in fresh] == [
        entry.name for entry in entries() if entry.family == family
    ]
    for entry in fresh:
        seen = replayed(tmp_path / f"{entry.name}.pcap")
        assert seen.done.flows == replayed(entry.path).done.flows
        assert seen.mining == []
