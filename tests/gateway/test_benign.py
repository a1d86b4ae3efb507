"""Honest work crosses an enforcing gateway undisturbed, and leaves no alert."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.gateway.conftest import Build
from tests.gateway.world import WEB, World, wait_until

from davylamp.demo import benign
from davylamp.demo.stage import GIT, set_up
from davylamp.lab.programs.certs import Authority
from davylamp.lab.topology import GATEWAY, OUTSIDE

pytestmark = pytest.mark.lab

_NAME = "www.example"


@pytest.fixture
def tls(world: World) -> str:
    """Start the benign services, with TLS; give the CA bundle that vouches for them."""
    authority = Authority.create(world.directory / "ca")
    leaf = authority.issue([_NAME, WEB[4]])
    pair = ("--cert", str(leaf.chain), "--key", str(leaf.key))
    world.web("--tls-bind", f"{WEB[4]}:443", "--rpc-bind", f"{WEB[4]}:8545", *pair)
    return str(authority.bundle)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "size",
    [100_000_000, pytest.param(1_000_000_000, marks=pytest.mark.slow)],
    ids=["100MB", "1GB"],
)
def test_a_download_arrives_intact(world: World, tls: str, scheme: str, size: int) -> None:
    """A large body has the checksum that its server says it has."""
    url = f"{scheme}://{_NAME}/bytes/{size}"
    done = world.run("sandbox-1", "client", "download", url, "--trust", tls, seconds=150)
    [downloaded] = done.events("downloaded")
    assert downloaded["intact"]
    assert downloaded["bytes"] == size
    sys.stdout.write(f"{scheme}: {size * 8 / downloaded['seconds'] / 1e9:.2f} Gbit/s\n")
    assert world.gateway.alerts() == []


def test_many_connections_and_near_misses_at_once(world: World, tls: str) -> None:
    """200 HTTPS connections held open at once are whole; so is JSON-RPC with miners' words."""
    url = f"https://{_NAME}/bytes/20000"
    done = world.run(
        "sandbox-1", "client", "parallel", url, "--count", "200", "--trust", tls, seconds=60
    )
    assert done.events("parallel")[0]["good"] == 200, done.lines
    for rpc in (f"tcp://{WEB[4]}:8545", f"http://{WEB[4]}:80/rpc"):
        done = world.run("sandbox-2", "client", "rpc", rpc, "--count", "100")
        assert done.events("called")[0]["good"] == 100, done.lines
    assert world.gateway.alerts() == []
    assert world.gateway.counters()["exceptions"] == 0


def test_a_lossy_line_breaks_no_connection(world: World, tls: str) -> None:
    """Handshakes and first bytes that are lost, before and behind the gateway, are made good."""
    lose = "meta l4proto tcp numgen random mod 20 == 0 drop"
    before, behind = "prerouting priority raw - 50;", "input priority filter;"
    for host, hook in ((GATEWAY, before), (OUTSIDE, behind), ("sandbox-1", behind)):
        table = f"table inet lossy {{ chain c {{ type filter hook {hook} {lose}; }}; }}"
        world.lab.run(host, ["nft", table])
    url = f"https://{_NAME}/bytes/2000"
    done = world.run(
        "sandbox-1", "client", "parallel", url, "--count", "100", "--trust", tls, seconds=90
    )
    assert done.events("parallel")[0]["good"] == 100, done.lines
    assert world.gateway.alerts() == []


@pytest.mark.programs
@pytest.mark.parametrize("scheme", ["git", "https"])
def test_a_repository_is_cloned_whole(build: Build, tmp_path: Path, scheme: str) -> None:
    """A clone has every file, though the files quote Stratum line by line."""
    if not shutil.which("git") or (scheme == "https" and not shutil.which("nginx")):
        pytest.skip("needs git, and nginx for https")
    world = build(start=False)
    world.lab.add_name("git.example", GIT)
    with set_up(world.lab, tmp_path) as stage, world.gateway:
        work = benign._git_https if scheme == "https" else benign._git
        result = work(stage, tmp_path)
        assert result.good
        assert not result.skipped, result.detail
        assert world.gateway.alerts() == []


@pytest.mark.programs
@pytest.mark.parametrize("way", ["down", "up"])
@pytest.mark.parametrize("words", [20, 0], ids=["every-other-page", "nothing-else"])
def test_a_file_full_of_stratum_is_no_miner(world: World, tls: str, way: str, words: int) -> None:
    """Text that is mostly Stratum's own lines passes as an HTTP body, down and up, whole."""
    carry(world, book(words), way)


@pytest.mark.programs
@pytest.mark.parametrize("way", ["down", "up"])
def test_documentation_that_quotes_stratum_is_no_miner(world: World, tls: str, way: str) -> None:
    """Pages with a line of Stratum here and there pass as an HTTP body, down and up, whole."""
    carry(world, book(200), way)


def carry(world: World, text: str, way: str) -> None:
    """Download or upload a text; fail unless it arrives whole and without an alert."""
    if not shutil.which("curl"):
        pytest.skip("needs curl")
    (world.directory / "book").mkdir()
    file, copy = world.directory / "book" / "stratum.txt", world.directory / "copy"
    file.write_text(text)
    if way == "down":
        serve(world, file.parent)
        words = [f"http://{WEB[4]}:8000/{file.name}"]
    else:
        words = ["--data-binary", f"@{file}", f"http://{WEB[4]}/echo"]
    done = world.lab.run(
        "sandbox-1", ["curl", "-sS", "-o", str(copy), *words], capture_output=True, text=True
    )
    time.sleep(0.5)
    seen = [(alert.alert.signature_id, alert.evidence) for alert in world.gateway.alerts()]
    assert done.returncode == 0, (done.stderr, seen)
    assert copy.read_text() == text
    assert seen == []


def book(words: int) -> str:
    """Return three megabytes of Stratum's lines with so many lines of words between them."""
    lines = [
        {"id": 1, "method": "mining.subscribe", "params": ["cgminer/4.12.1"]},
        {"id": 2, "method": "mining.authorize", "params": ["wallet.worker", "x"]},
        {"id": 1, "jsonrpc": "2.0", "method": "login", "params": {"login": "4" * 95, "pass": "x"}},
    ]
    quoted = "".join(json.dumps(line) + "\n" for line in lines)
    page = "A miner introduces itself to a pool like this:\n" * words + quoted
    return page * (3_000_000 // len(page))


def serve(world: World, folder: Path) -> None:
    """Serve a folder's files on port 8000."""
    server = [sys.executable, "-m", "http.server", "8000", "--bind", WEB[4]]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    world.lab.spawn(OUTSIDE, server, cwd=folder, **quiet)
    listening = ["sh", "-c", "ss -ltn | grep -q :8000"]
    assert wait_until(lambda: world.lab.run(OUTSIDE, listening).returncode == 0)
