import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.lab

CLI = [sys.executable, "-m", "davylamp", "lab"]


def cli(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run ``davylamp lab`` with the arguments."""
    return subprocess.run(
        [*CLI, *arguments], capture_output=True, text=True, check=False, timeout=60, **options
    )


@pytest.fixture
def kept(can_lab: None, lab_name: str) -> Iterator[str]:
    """Give the name of a lab made with ``lab up``."""
    named = ("--name", "mine.example=203.0.113.11")
    up = cli("up", "--lab", lab_name, "--sandboxes", "1", "--no-gateway", *named)
    assert up.returncode == 0, up.stderr
    yield lab_name
    cli("down", "--lab", lab_name)


def directory(name: str) -> Path:
    """Return where a lab of that name has its files."""
    return Path(os.environ["DAVYLAMP_RUNTIME_DIR"]) / "labs" / name


def test_exec_passes_the_exit_status_through(kept: str) -> None:
    """The command's exit status is the program's, and its output goes where it should."""
    ran = cli("exec", "-l", kept, "sandbox-1", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (ran.returncode, ran.stdout, ran.stderr) == (7, "out\n", "err\n")


def test_exec_needs_no_dashes_before_simple_commands(kept: str) -> None:
    """Options after the command's name are the command's own."""
    ran = cli("exec", "-l", kept, "sandbox-1", "getent", "-s", "dns", "hosts", "mine.example")
    assert "203.0.113.11" in ran.stdout


def test_exec_reads_stdin(kept: str) -> None:
    """Data can be piped through a program in a host."""
    assert cli("exec", "-l", kept, "outside", "--", "wc", "-c", input="12345").stdout == "5\n"


def test_exec_dies_by_the_signal_its_program_dies_by(kept: str) -> None:
    """The process that was started is the program: a signal to it reaches it."""
    argv = [*CLI, "exec", "-l", kept, "sandbox-1", "--", "sh", "-c", "echo ready; exec sleep 100"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
    assert process.returncode == -signal.SIGTERM


def test_exec_restores_sigpipe(kept: str) -> None:
    """A program that writes to a closed pipe dies of it, as in any shell."""
    command = " ".join([*CLI, "exec", "-l", kept, "sandbox-1", "yes"])
    script = f"{{ {command}; echo $? >&2; }} | head -1"
    run = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("y\n", f"{128 + signal.SIGPIPE}\n")


def test_exec_keeps_the_terminal(kept: str) -> None:
    """An interactive program has the caller's terminal, and Ctrl-C reaches it."""
    child, terminal = pty.fork()
    if child == 0:
        script = "test -t 0 && tty && exec sleep 100"
        os.execv(CLI[0], [*CLI, "exec", "-l", kept, "sandbox-1", "--", "sh", "-c", script])
    said = b""
    while b"/dev/pts/" not in said or not said.endswith(b"\n"):
        said += os.read(terminal, 1024)
    os.write(terminal, b"\x03")
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGINT


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sandbox-9", "true"], "it has gateway, outside, sandbox-1"),
        (["-l", "no-such-lab", "gateway", "true"], "davylamp lab up --lab no-such-lab"),
    ],
)
def test_exec_says_what_there_is(kept: str, arguments: list[str], said: str) -> None:
    """An unknown host or lab ends with status 2 and the remedy."""
    ran = cli("exec", "-l", kept, *arguments)
    assert ran.returncode == 2
    assert said in ran.stderr


def test_up_twice_is_refused(kept: str) -> None:
    """A name in use is refused with status 2, and the lab stays up."""
    assert cli("up", "-l", kept).returncode == 2
    assert cli("status", "-l", kept).returncode == 0


def test_list_and_status_speak_json(kept: str) -> None:
    """Listings give name, condition, hosts and addresses for scripts."""
    found = {lab["name"]: lab for lab in json.loads(cli("list", "--json").stdout)}
    assert found[kept]["condition"] == "up"
    status = json.loads(cli("status", "-l", kept, "--json").stdout)
    assert [(host["name"], host["ipv6"]) for host in status["hosts"]] == [
        ("gateway", "fd00:90::1"),
        ("outside", "2001:db8::2"),
        ("sandbox-1", "fd00:90::11"),
    ]
    assert kept in cli("list").stdout
    assert "10.90.0.11" in cli("status", "-l", kept).stdout


def test_a_name_is_taught_at_run_time(kept: str) -> None:
    """A name given to a running lab resolves in it; a bad one is refused."""
    assert cli("name", "-l", kept, "late.example", "203.0.113.10").returncode == 0
    ran = cli("exec", "-l", kept, "sandbox-1", "getent", "hosts", "late.example")
    assert ran.stdout.startswith("203.0.113.10")
    assert cli("name", "-l", kept, "bad name", "203.0.113.10").returncode == 2


def test_down_leaves_nothing(kept: str, note_lab: Callable[[Path], Any]) -> None:
    """Down ends what runs in the lab, and says which lab went; a second down finds none."""
    argv = [*CLI, "exec", "-l", kept, "sandbox-1", "--", "sh", "-c", "echo ready; exec sleep 100"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        traces = note_lab(directory(kept))
        down = cli("down", "-l", kept)
    assert (down.returncode, down.stdout) == (0, f"lab {kept} is down\n"), down.stderr
    assert process.returncode == -signal.SIGTERM
    assert traces.left() == []
    assert cli("down", "-l", kept).returncode == 2


def test_down_all_takes_every_lab(kept: str, note_lab: Callable[[Path], Any]) -> None:
    """With --all every lab of this user goes, broken ones too."""
    assert cli("up", "-l", f"{kept}-b", "--sandboxes", "1").returncode == 0
    traces = [note_lab(directory(name)) for name in (kept, f"{kept}-b")]
    os.kill(json.loads(cli("status", "-l", kept, "--json").stdout)["hosts"][0]["holder"]["pid"], 9)
    assert cli("status", "-l", kept).returncode == 1
    assert cli("exec", "-l", kept, "sandbox-1", "true").returncode == 2
    assert cli("down", "--all").returncode == 0
    assert [left for trace in traces for left in trace.left()] == []
    assert json.loads(cli("list", "--json").stdout) == []


def test_a_gateway_starts_with_the_lab(
    can_lab: None, lab_name: str, tmp_path: Path, note_lab: Callable[[Path], Any]
) -> None:
    """With a configuration the gateway's rules are in force when up returns; down ends it too."""
    config = tmp_path / "gateway.yaml"
    config.write_text("sandboxes:\n  interfaces: [br-train]\n")
    up = cli("up", "-l", lab_name, "--gateway-config", str(config))
    assert up.returncode == 0, up.stderr
    try:
        tables = cli("exec", "-l", lab_name, "gateway", "nft", "list", "tables").stdout
        status = json.loads(cli("status", "-l", lab_name, "--json").stdout)
        traces = note_lab(directory(lab_name))
    finally:
        down = cli("down", "-l", lab_name)
    assert "table inet davylamp" in tables
    assert sorted(status["services"]) == ["dns", "gateway"]
    assert down.returncode == 0, down.stderr
    assert traces.left() == []


def test_a_gateway_that_fails_takes_the_lab_back(
    can_lab: None, lab_name: str, tmp_path: Path
) -> None:
    """Where the gateway does not start, up fails with what it said and leaves no lab."""
    config = tmp_path / "broken.yaml"
    config.write_text("{")
    up = cli("up", "-l", lab_name, "--gateway-config", str(config))
    assert up.returncode == 2
    assert "the gateway did not start" in up.stderr
    assert not directory(lab_name).exists()


def test_a_name_without_address_is_explained(can_lab: None, lab_name: str) -> None:
    """A --name without its address says how to write one, before anything is built."""
    up = cli("up", "-l", lab_name, "--name", "pool.example")
    assert up.returncode == 2
    assert "NAME=ADDRESS" in up.stderr


_POOL = """
import socket
with socket.create_server(("203.0.113.10", 3333)) as server:
    print("ready", flush=True)
    with server.accept()[0] as miner:
        try:
            print("got", miner.recv(100), flush=True)
        except ConnectionResetError:
            print("reset", flush=True)
"""
_MINER = """
import socket
with socket.create_connection(("pool.example", 3333)) as pool:
    pool.sendall(b'{"id":1,"method":"mining.subscribe","params":["cgminer/4.10"]}\\n')
    try:
        print("got", pool.recv(100))
    except ConnectionResetError:
        print("reset")
"""


def test_up_puts_davylamp_in_the_way(can_lab: None, lab_name: str) -> None:
    """A lab made with plain ``lab up`` has a gateway that cuts a miner off and writes it down."""
    up = cli("up", "--lab", lab_name, "--sandboxes", "1")
    assert up.returncode == 0, up.stderr
    events = Path(up.stdout.partition("events: ")[2].strip())
    enter = [*CLI, "exec", "-l", lab_name]
    try:
        argv = [*enter, "outside", sys.executable, "-c", _POOL]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as pool:
            assert pool.stdout is not None
            assert pool.stdout.readline() == "ready\n"
            miner = cli("exec", "-l", lab_name, "sandbox-1", sys.executable, "-c", _MINER)
            assert miner.stdout == "reset\n"
            assert pool.stdout.readline() == "reset\n"
        deadline = time.monotonic() + 10
        while "stratum-v1-subscribe" not in events.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "stratum-v1-subscribe" in events.read_text()
    finally:
        cli("down", "--lab", lab_name)
