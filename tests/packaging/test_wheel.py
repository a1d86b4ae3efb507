"""The wheel, built from the sdist and installed where nothing else is, works by itself."""

import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LOGIN = (
    b'{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"'
    + b"4" * 95
    + b'","pass":"x","agent":"XMRig/6.21.0","algo":["rx/0"]}}\n'
)


@dataclass(frozen=True, slots=True)
class Installed:
    """What was built, and the directory of the programs that installing it made."""

    sdist: Path
    wheel: Path
    programs: Path


def uv_program() -> str:
    """Return uv, the checkout's own where it is there; skip where there is none."""
    local = ROOT / ".uv" / "bin" / "uv"
    found = str(local) if local.exists() else shutil.which("uv")
    if found is None:
        pytest.skip("no uv: run `make test`, which installs it")
    return found


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program away from the checkout's environment and return what it printed."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in {"PYTHONPATH", "VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"}
    }
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build both distributions and install the wheel, its dependencies as locked."""
    uv = uv_program()
    work = tmp_path_factory.mktemp("wheel")
    run(uv, "build", "--quiet", "--out-dir", work / "dist", cwd=ROOT)
    [sdist] = (work / "dist").glob("*.tar.gz")
    [wheel] = (work / "dist").glob("*.whl")
    locked = work / "locked.txt"
    export = ("export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", "--no-hashes")
    run(uv, *export, "--output-file", locked, cwd=ROOT)
    run(uv, "venv", "--quiet", "--python", sys.executable, work / "venv", cwd=work)
    python = work / "venv" / "bin" / "python"
    install = ("pip", "install", "--quiet", "--python", python, "--constraints", locked)
    run(uv, *install, wheel, cwd=work)
    return Installed(sdist, wheel, work / "venv" / "bin")


def tcp_frame(source: str, target: str, seq: int, ack: int, flags: int, payload: bytes) -> bytes:
    """Return an Ethernet frame of IPv4 and TCP; a replay needs no checksum to be right."""
    (src, sport), (dst, dport) = source.split(":"), target.split(":")
    tcp = struct.pack("!HHIIBBHHH", int(sport), int(dport), seq, ack, 5 << 4, flags, 65535, 0, 0)
    length = 20 + len(tcp) + len(payload)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, length, 0, 0x4000, 64, 6, 0)
    addresses = bytes(int(part) for part in f"{src}.{dst}".split("."))
    return bytes(12) + b"\x08\x00" + ip + addresses + tcp + payload


def write_trace(path: Path) -> None:
    """Write a capture file in which a miner logs in to a pool."""
    miner, pool = "10.9.0.2:40000", "203.0.113.5:443"
    frames = [
        tcp_frame(miner, pool, 1000, 0, 0x02, b""),
        tcp_frame(pool, miner, 5000, 1001, 0x12, b""),
        tcp_frame(miner, pool, 1001, 5001, 0x10, b""),
        tcp_frame(miner, pool, 1001, 5001, 0x18, LOGIN),
    ]
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    records = [
        struct.pack("<IIII", 1_700_000_000 + number, 0, len(frame), len(frame)) + frame
        for number, frame in enumerate(frames)
    ]
    path.write_bytes(header + b"".join(records))


def test_version_is_the_projects(installed: Installed, tmp_path: Path) -> None:
    """The installed command says the version that pyproject.toml does."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version in run(installed.programs / "davylamp", "--version", cwd=tmp_path)


def test_wheel_carries_the_pack_the_addons_and_the_dashboard(installed: Installed) -> None:
    """Every file of the core pack, its examples, the addons and the dashboard is there, once."""
    with zipfile.ZipFile(installed.wheel) as wheel:
        names = wheel.namelist()
    for folder in ("signatures", "addons", "tests/signatures/core"):
        ours = {
            f"davylamp/_data/{path.relative_to(ROOT)}"
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert ours
        assert ours <= set(names)
    page = ROOT / "proxy" / "davylamp" / "api" / "page"
    dashboard = {f"davylamp/api/page/{file.name}" for file in page.iterdir()}
    assert "davylamp/api/page/index.html" in dashboard
    assert dashboard <= set(names)
    assert len(names) == len(set(names))
    assert "davylamp/py.typed" in names


def test_distributions_carry_nothing_of_the_machine(installed: Installed) -> None:
    """No environment, cache or test reaches the wheel, and no environment or cache the sdist."""
    with zipfile.ZipFile(installed.wheel) as wheel:
        roots = {name.split("/")[0] for name in wheel.namelist()}
    assert {root for root in roots if not root.endswith(".dist-info")} == {"davylamp"}
    with tarfile.open(installed.sdist) as sdist:
        parts = {part for name in sdist.getnames() for part in Path(name).parts}
    assert not parts & {".venv", ".uv", "__pycache__", ".git", ".mypy_cache", ".hypothesis"}


def test_installed_replay_finds_the_miner(installed: Installed, tmp_path: Path) -> None:
    """The installed command, far from any checkout, judges a trace with the pack it carries."""
    write_trace(tmp_path / "login.pcap")
    out = run(installed.programs / "davylamp", "replay", "login.pcap", "--json", cwd=tmp_path)
    *alerts, stats = [json.loads(line) for line in out.splitlines()]
    assert (stats["event_type"], stats["packets"], stats["flows"]) == ("stats", 4, 1)
    assert {alert["event_type"] for alert in alerts} == {"alert"}
    assert "cryptonote" in {alert["mining"]["dialect"] for alert in alerts}
    assert {alert["dest_ip"] for alert in alerts} == {"203.0.113.5"}
    assert "4" * 95 not in out


def test_uv_tool_install_gives_a_command(installed: Installed, tmp_path: Path) -> None:
    """Installed as docs/deployment.md has it, the command stands alone and does its work."""
    environment = {
        **os.environ,
        "UV_TOOL_DIR": str(tmp_path / "tools"),
        "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
    }
    locked = installed.wheel.parent.parent / "locked.txt"
    words = ("tool", "install", "--quiet", "--python", sys.executable, "--constraints", locked)
    subprocess.run(
        [uv_program(), *words, installed.wheel], check=True, env=environment, cwd=tmp_path
    )
    file = tmp_path / "davylamp.yaml"
    file.write_text("sandboxes: {interfaces: [lo]}\n")
    command = tmp_path / "bin" / "davylamp"
    assert "will do" in run(command, "config", "check", "--config", file, cwd=tmp_path)


def test_a_site_publishes_its_signatures_beside_the_core_pack(
    installed: Installed, tmp_path: Path
) -> None:
    """The core pack that was installed has its examples with it, which prove it here and there."""
    davylamp = installed.programs / "davylamp"
    run(davylamp, "pack", "new", "toy-hello", "--pack", "site", cwd=tmp_path)
    run(davylamp, "pack", "repo", "init", "repo", "--keys", "keys", cwd=tmp_path)
    keys = [f"keys/{name}.pem" for name in ("targets-1", "snapshot", "timestamp")]
    signed = [word for key in keys for word in ("--key", key)]
    run(davylamp, "pack", "repo", "publish", "repo", "site", "--with-core", *signed, cwd=tmp_path)
    [archive] = (tmp_path / "repo" / "targets").iterdir()
    with tarfile.open(archive) as tar:
        names = set(tar.getnames())
    assert {"vectors/toy/toy-hello.yaml", "vectors/stratum/stratum-v1-submit.yaml"} <= names
