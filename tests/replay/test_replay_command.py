"""``davylamp replay`` as a user meets it: a program with output, errors and an exit status."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CORPORA = Path(__file__).parents[3] / "shared" / "corpora"
DAVYLAMP = [sys.executable, "-m", "davylamp", "replay"]


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*DAVYLAMP, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=cwd,
    )


def events(output: str) -> list[dict[str, Any]]:
    """Parse JSON lines."""
    return [json.loads(line) for line in output.split("\n") if line]


@pytest.fixture
def folder(tmp_path: Path, mining: bytes, benign: bytes) -> Path:
    """Write a folder of a mining trace, a benign one and a note."""
    (tmp_path / "mining.pcap").write_bytes(mining)
    (tmp_path / "benign.pcap").write_bytes(benign)
    (tmp_path / "README").write_text("not a capture")
    return tmp_path


def test_json(folder: Path) -> None:
    """With --json standard output is EVE lines and nothing else, one stats line last."""
    result = run("--json", folder)
    assert (result.returncode, result.stderr) == (0, "")
    *alerts, stats = events(result.stdout)
    assert {alert["event_type"] for alert in alerts} == {"alert"}
    assert {alert["pcap_file"] for alert in alerts} == {str(folder / "mining.pcap")}
    assert stats["event_type"] == "stats"
    assert stats["alerts"] == len(alerts) == 2
    assert (stats["packets"], stats["flows"]) == (8, 2)
    assert stats["seconds"] >= 0
    assert stats["counters"]["files"] == 2


def test_text(folder: Path) -> None:
    """For a person: the file, when, which flow, what, how sure, the bytes, and a sum."""
    result = run("mining.pcap", "benign.pcap", cwd=folder)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "mining.pcap"
    assert lines[1].startswith("  2020-09-13 12:26:42.000000Z  10.0.0.5:40000 -> 203.0.113.9:3333")
    assert re.match(
        r"    cryptonote \(XMR\) by miner .*confidence \d+ %  cryptonote-login", lines[2]
    )
    assert lines[3].startswith('    originator at byte 0: {"id":1,"jsonrpc"')
    assert re.search(r"\n2 files, 8 packets, .* 2 flows in .* s: 2 alerts\n", result.stdout)
    assert "\x1b" not in result.stdout
    quiet = run(folder / "benign.pcap")
    assert quiet.stdout.rstrip().endswith("no mining seen")
    unread = run("none.pcap", cwd=folder)
    assert "0 packets" in unread.stdout
    assert "no mining seen in what could be read\n" in unread.stdout


def test_wire_bytes_cannot_steer_a_terminal(tmp_path: Path, escapes: bytes) -> None:
    """An escape sequence in the evidence is printed as text."""
    path = tmp_path / "a.pcap"
    path.write_bytes(escapes)
    result = run(path)
    assert r'"agent":"\x1b[31mXMRig/6.21.0' in result.stdout
    assert "\x1b" not in result.stdout


EXITS = [
    ("nothing found", ["benign.pcap", "--fail-on-alert"], 0, ""),
    ("found, and asked to fail", ["mining.pcap", "--fail-on-alert"], 3, ""),
    ("missing", ["none.pcap", "benign.pcap"], 2, "davylamp: none.pcap: cannot be opened"),
    ("not a capture", ["README"], 2, "davylamp: README: at byte 0: this is neither"),
    ("both", ["none.pcap", "mining.pcap", "--fail-on-alert"], 3, "davylamp: none.pcap: "),
    ("no argument", [], 2, "Missing argument"),
    ("no jobs", ["benign.pcap", "--jobs", "0"], 2, "Invalid value"),
    ("no pack", ["benign.pcap", "--signatures", "."], 2, "davylamp: "),
]


@pytest.mark.parametrize(
    ("arguments", "status", "error"), [e[1:] for e in EXITS], ids=[e[0] for e in EXITS]
)
def test_exit_status(folder: Path, arguments: list[str], status: int, error: str) -> None:
    """A script can trust the exit status, and a person the message."""
    result = run(*arguments, cwd=folder)
    assert result.returncode == status
    assert error in result.stderr
    assert "Traceback" not in result.stderr


def test_damaged(folder: Path, mining: bytes) -> None:
    """A damaged file is reported up to the damage, then named with the offset; the rest goes on."""
    (folder / "a.pcap").write_bytes(mining + b"\xff" * 20)
    result = run("--json", "--jobs", "2", folder)
    assert result.returncode == 2
    assert f"davylamp: {folder}/a.pcap: at byte {len(mining)}: a record claims" in result.stderr
    *alerts, stats = events(result.stdout)
    assert len(alerts) == 4
    assert stats["counters"]["files_faulty"] == 1


def test_jobs_say_the_same(folder: Path, mining: bytes) -> None:
    """Jobs change nothing in what is said."""
    for index in range(10):
        (folder / f"{index}.pcap").write_bytes(mining)
    one = events(run("--json", folder).stdout)
    two = events(run("--json", "--jobs", "3", folder).stdout)
    assert one[:-1] == two[:-1]
    assert len(one) == 23


def test_standard_input(mining: bytes) -> None:
    """A capture can be piped in."""
    result = subprocess.run(
        [*DAVYLAMP, "--json", "/dev/stdin"],
        input=mining,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert len(events(result.stdout.decode())) == 3


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("form", [["--json"], []])
def test_reader_goes_away(
    tmp_path: Path, two_hundred_miners: bytes, jobs: str, form: list[str]
) -> None:
    """``| head`` ends the replay at once and without a word."""
    for index in range(4):
        (tmp_path / f"{index}.pcap").write_bytes(two_hundred_miners)
    with subprocess.Popen(
        [*DAVYLAMP, *form, "--jobs", jobs, tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait(60) == 141
    assert errors == b""


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_interrupt(tmp_path: Path, mining: bytes, jobs: str) -> None:
    """Ctrl-C ends the replay and its workers without a word."""
    pipes = [tmp_path / "a", tmp_path / "b"]
    first = tmp_path / "0.pcap"
    first.write_bytes(mining)
    for pipe in pipes:
        os.mkfifo(pipe)  # nobody writes: the replay waits in it
    with subprocess.Popen(
        [*DAVYLAMP, "--json", "--jobs", jobs, first, *pipes],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.readline()
        time.sleep(0.2)  # into the pipe, most likely; at any other moment it must work too
        os.killpg(process.pid, signal.SIGINT)
        errors = process.stderr.read()  # ends when the last process of the group is gone
        assert process.wait(60) == 130
    assert errors == b""


def test_progress_bar(folder: Path) -> None:
    """The bar shows on a terminal's standard error only, and is gone at the end."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*DAVYLAMP, "--json", folder],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
    ) as process:
        os.close(theirs)
        shown = b"".join(_until_closed(ours))
        assert process.stdout is not None
        assert len(events(process.stdout.read().decode())) == 3
        assert process.wait(60) == 0
    os.close(ours)
    assert b"100%" in shown
    assert b"\x1b[2K" in shown.rsplit(b"100%", 1)[1]


def _until_closed(fd: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(fd, 4096)
        except OSError:  # Linux: EIO once the other side has closed
            return
        if not piece:
            return
        yield piece


DIALECTS = {
    "mining.pcapng": {"stratum-v1", "stratum-v1-zcash", "eth-proxy", "cryptonote"},
    "peafowl-stratum.pcap": {"stratum-v1", "stratum-v1-zcash"},
    "zeekcm_bitcoin-mining.pcap": {"stratum-v1"},
    "zeekcm_coinhive-stratum.pcap": {"cryptonote"},
}


@pytest.mark.corpora
@pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not beside the checkout")
def test_mining_corpus() -> None:
    """Every real mining trace alerts in its dialects; the miners' own sessions are CryptoNote."""
    folder = CORPORA / "mining"
    result = run("--json", "--jobs", "2", folder)
    assert result.returncode == 0
    *alerts, stats = events(result.stdout)
    assert stats["alerts"] == len(alerts)
    seen: dict[str, set[str]] = {}
    for alert in alerts:
        seen.setdefault(alert["pcap_file"], set()).add(alert["mining"]["dialect"])
    captures = [*folder.rglob("*.pcap"), *folder.rglob("*.pcapng")]
    missed = {
        path.name: DIALECTS.get(path.name, {"cryptonote"}) - seen.get(str(path), set())
        for path in captures
    }
    assert missed == {path.name: set() for path in captures}


@pytest.mark.corpora
@pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not beside the checkout")
def test_benign_corpus() -> None:
    """No benign trace raises a mining alert, and the four damaged ones are named."""
    result = run("--json", "--jobs", "2", CORPORA / "benign")
    assert result.returncode == 2
    assert result.stderr.count("davylamp: ") == result.stderr.count("\n") == 4
    *alerts, stats = events(result.stdout)
    assert [alert for alert in alerts if "mining" in alert] == []
    assert stats["packets"] > 100_000
