"""A successor is started as its gateway was, but for what was that very process's."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from davylamp.systemd import Notifier, inheritance
from davylamp.takeover.launch import successor_environment, successor_words


def test_the_command_line_is_the_same_and_says_take_over(tmp_path: Path) -> None:
    """A script is named itself, for its first line names the interpreter of the new version."""
    module = ["/usr/bin/python3", "-m", "davylamp", "gateway"]
    assert successor_words(module) == [*module, "--take-over"]
    assert successor_words([*module, "--take-over"]) == [*module, "--take-over"]
    script = tmp_path / "davylamp"
    script.touch(0o755)
    words = ["/opt/old/python", str(script), "gateway"]
    assert successor_words(words) == [str(script), "gateway", "--take-over"]


def test_the_environment_is_the_same_but_for_process_numbers() -> None:
    """The watchdog is for whoever is the service; systemd's sockets are named anew."""
    ours = {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "7", "LISTEN_PID": "7", "LISTEN_FDS": "1"}
    assert successor_environment(ours) == {"WATCHDOG_USEC": "1", "LISTEN_FDS": "1"}


def test_systemds_sockets_go_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """The successor has them under its own number."""
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    ask = "import os; print(os.environ['LISTEN_PID'] == str(os.getpid()), end='')"
    words, descriptors = inheritance([sys.executable, "-c", ask], environment)
    assert descriptors == (3,)
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == "True"
    assert inheritance(["x"], {}) == (["x"], ())


def test_after_the_successors_name_nothing_is_said(tmp_path: Path) -> None:
    """What a process that is not the service says would only be refused."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.setblocking(False)
        notifier = Notifier({"NOTIFY_SOCKET": str(path)})
        notifier.succeeded_by(4711)
        notifier.stopping()
        assert manager.recv(100) == b"MAINPID=4711"
        with pytest.raises(BlockingIOError):
            manager.recv(100)
