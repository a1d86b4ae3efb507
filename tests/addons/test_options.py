"""The options do what they say, and a fault of ours follows the exception policy."""

import json
import subprocess
from pathlib import Path

import pytest
from tests.addons.conftest import Start
from tests.addons.mitm import (
    LOGIN,
    MITMDUMP,
    SCRIPT,
    Mitm,
    RecordingServer,
    connect,
    free_port,
    read_to_end,
    wait_until,
)

from davylamp.attribution.client import Client
from davylamp.attribution.place import place_under
from davylamp.attribution.server import EmbeddedRedis
from davylamp.errors import KernelError

pytestmark = pytest.mark.programs

_BROKEN = """
from davylamp.inspection.inspector import Inspector
from davylamp_mitm import http


def fail(*_):
    raise ZeroDivisionError("a fault that nobody foresaw")


Inspector.receive = fail
http.is_plain = fail
"""


def say(port: int, data: bytes) -> None:
    """Send bytes, and wait for the end that the server makes of it, or for the reset."""
    peer = connect(port)
    peer.sendall(data)
    read_to_end(peer)


def closing(server: RecordingServer, mitm: Mitm, port: int, data: bytes) -> bytes:
    """Send bytes through the proxy and return what arrived."""
    say(port, data)
    wait_until(lambda: all(one.ended for one in server.heard))
    mitm.stop()
    return server.data


def test_observing_reports_and_passes(start: Start) -> None:
    """In observe mode a login arrives, and its alert says what enforcing would have done."""
    with RecordingServer(lambda peer, _: peer.shutdown(2)) as server:
        port = free_port()
        mode = f"reverse:tcp://127.0.0.1:{server.port}@{port}"
        mitm = start(mode, options=("davylamp_mode=observe",))
        assert closing(server, mitm, port, LOGIN + b"\n") == LOGIN + b"\n"
        [alert] = mitm.alerts()
        assert alert["verdict"]["action"] == "alert"
        assert "enforce would reject" in alert["verdict"]["reason"]


@pytest.mark.parametrize("policy", ["fail-closed", "fail-open"])
def test_fault_follows_the_policy(start: Start, tmp_path: Path, policy: str) -> None:
    """What an inspection that raises could not judge is stopped, or passed and logged."""
    broken = tmp_path / "broken.py"
    broken.write_text(_BROKEN)
    with RecordingServer(lambda peer, _: peer.shutdown(2)) as server:
        port = free_port()
        mode = f"reverse:tcp://127.0.0.1:{server.port}@{port}"
        options = (f"davylamp_exception_policy={policy}",)
        mitm = start(mode, options=options, scripts=(SCRIPT, broken))
        arrived = closing(server, mitm, port, b"harmless\n")
        assert arrived == (b"" if policy == "fail-closed" else b"harmless\n")
        assert mitm.summary()["failures"] == 1
        assert "a fault that nobody foresaw" in mitm.log


@pytest.mark.parametrize("coding", ["Content-Length: 8", "Transfer-Encoding: chunked"])
def test_fault_in_http_fails_closed(start: Start, tmp_path: Path, coding: str) -> None:
    """A body that could not be judged is not sent on, kept or streaming."""
    broken = tmp_path / "broken.py"
    broken.write_text(_BROKEN)
    body = b"harmless" if "Length" in coding else b"8\r\nharmless\r\n0\r\n\r\n"
    with RecordingServer(lambda peer, _: peer.shutdown(2)) as server:
        port = free_port()
        mode = f"reverse:http://127.0.0.1:{server.port}@{port}"
        mitm = start(mode, scripts=(SCRIPT, broken))
        request = f"POST / HTTP/1.1\r\nHost: x\r\n{coding}\r\n\r\n".encode() + body
        assert b"harmless" not in closing(server, mitm, port, request)
        assert mitm.summary()["failures"] >= 1


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("davylamp_mode=sometimes", "davylamp_mode"),
        ("davylamp_pack=/nonexistent", "/nonexistent"),
        ("davylamp_policy=/nonexistent", "/nonexistent"),
        ("davylamp_redis=http://x", "http://x"),
        ("davylamp_events=/nonexistent/events", "/nonexistent/events"),
    ],
)
def test_wrong_option_ends_the_start(tmp_path: Path, option: str, complaint: str) -> None:
    """Mitmdump does not run without an inspection that was asked for."""
    if not MITMDUMP.exists():
        pytest.skip(f"no mitmdump at {MITMDUMP}: install davylamp[mitmproxy]")
    argv = Mitm(tmp_path, [f"regular@127.0.0.1:{free_port()}"], [option]).argv()
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert complaint in done.stdout + done.stderr


def test_policy_file_is_followed(start: Start, tmp_path: Path) -> None:
    """What the policy file says of a category is done."""
    file = tmp_path / "policy.yaml"
    file.write_text("actions: {mining: alert}\n")
    with RecordingServer(lambda peer, _: peer.shutdown(2)) as server:
        port = free_port()
        mode = f"reverse:tcp://127.0.0.1:{server.port}@{port}"
        mitm = start(mode, options=(f"davylamp_policy={file}",))
        assert closing(server, mitm, port, LOGIN) == LOGIN
        assert mitm.alerts()[0]["verdict"]["action"] == "alert"


def test_lineage_names_who_it_was(start: Start, tmp_path: Path) -> None:
    """With a Redis of lineage an alert names the container that holds the client's address."""
    try:
        redis = EmbeddedRedis(place_under(tmp_path / "state"))
        redis.start()
    except KernelError as error:
        pytest.skip(str(error))
    try:
        with Client(redis.url) as client:
            client.bind(ip="127.0.0.1", container="sandbox-7", run_id="run-3")
        with RecordingServer() as server:
            port = free_port()
            mode = f"reverse:tcp://127.0.0.1:{server.port}@{port}"
            mitm = start(mode, options=(f"davylamp_redis={redis.url}",))
            say(port, LOGIN)
            [alert] = mitm.alerts()
        assert alert["lineage"]["container"] == "sandbox-7", json.dumps(alert)
        assert alert["lineage"]["run_id"] == "run-3"
    finally:
        redis.stop()
