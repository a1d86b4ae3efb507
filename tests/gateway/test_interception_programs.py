"""Honest programs through the gateway's workers, its authority installed as the hints say."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest
from tests.gateway.image import Image
from tests.gateway.intercepting import Opened, opened
from tests.gateway.world import World

from davylamp.events import TlsEvent
from davylamp.lab import Lab, LabSpec
from davylamp.lab.gateway import LabGateway
from davylamp.lab.programs.certs import Authority
from davylamp.lab.programs.content import digest
from davylamp.lab.topology import OUTSIDE

pytest.importorskip("mitmproxy")
pytestmark = [pytest.mark.lab, pytest.mark.programs]

_HERE = Path(__file__).parent
_SITES = {
    "files.example": ("203.0.113.20", "origin"),
    "grpc.example": ("203.0.113.21", "grpc-server"),
    "echo.example": ("203.0.113.11", "echo-server"),
}
_ROOM_KB = 64 << 10
_PYTHON = "requests, httpx, huggingface_hub, aiohttp"


@dataclass(frozen=True)
class Stage:
    """What the tests of this file share: the lab, a sandbox, and what the outside serves."""

    opened: Opened
    image: Image
    root: Path

    def check(self) -> None:
        """Fail where anybody was disturbed."""
        gateway = self.opened.world.gateway
        assert gateway.alerts() == []
        assert [event for event in gateway.events() if isinstance(event, TlsEvent)] == []
        counted = gateway.counters()
        wrong = {"stopped", "failures", "tls_refusals", "unverified", "exceptions"}
        assert {name: counted.get(name, 0) for name in wrong} == dict.fromkeys(wrong, 0)


@pytest.fixture(scope="module")
def built(can_lab: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Build a lab with an enforcing gateway, the outside's servers and a sandbox, for all tests."""
    directory = tmp_path_factory.mktemp("programs")
    site = Authority.create(directory / "site")
    root, home = directory / "root", directory / "home"
    root.mkdir()
    home.mkdir()
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(site.bundle))

        def build(**changes: object) -> World:
            lab = stack.enter_context(Lab.create(LabSpec(f"t{os.getpid()}-programs")))
            given = {"file": str(directory / "gw" / "events.jsonl"), "console": False}
            outputs = {**given, "stats_seconds": 0.2}
            world = World(lab, LabGateway(lab, directory / "gw", outputs=outputs, **changes), home)
            stack.callback(world.stop)
            world.gateway.start()
            return world

        found = opened(build, site)
        for name, (address, program) in _SITES.items():
            found.world.lab.add_name(name, address)
            leaf = found.leaf(name)
            pair = (str(leaf.chain), str(leaf.key))
            words = [str(root), address] if program == "origin" else [program, address]
            script = "origin.py" if program == "origin" else "streams.py"
            found.world.service(OUTSIDE, program, *words, "443", *pair, script=_HERE / script)
        image = Image(found.world.lab, "sandbox-1", found.authority, home)
        image.set_up()
        yield Stage(found, image, root)


@pytest.fixture
def stage(built: Stage) -> Iterator[Stage]:
    """Give the stage, and hold it to that nothing was found and nobody refused."""
    yield built
    time.sleep(0.5)  # what the workers have to tell is told twice in this time
    built.check()


def need(*programs: str) -> None:
    """Skip where a program is missing."""
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"needs {program}")


_INFO = "lamp-1.0.dist-info"
_WHEEL = {
    "lamp.py": "LIT = True\n" + "#" * 300_000,
    f"{_INFO}/METADATA": "Metadata-Version: 2.1\nName: lamp\nVersion: 1.0\n",
    f"{_INFO}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{_INFO}/RECORD": f"lamp.py,,\n{_INFO}/METADATA,,\n{_INFO}/WHEEL,,\n{_INFO}/RECORD,,\n",
}


def wheel(folder: Path) -> None:
    """Write a package index of one wheel."""
    folder = folder / "simple" / "lamp"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lamp-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in _WHEEL.items():
            archive.writestr(name, text)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    page = f'<!DOCTYPE html><a href="{path.name}#sha256={sha256}">{path.name}</a>'
    (folder / "index.html").write_text(page)


def test_pip(stage: Stage) -> None:
    """A package of an index over HTTPS is installed, its digest right."""
    wheel(stage.root)
    venv = stage.image.home / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    index = "https://files.example/simple/"
    words = [f"{venv}/bin/pip", "install", "--no-cache-dir", "--index-url", index, "lamp"]
    env = {"PATH": f"{venv}/bin:{os.environ['PATH']}"}
    stage.image.run([*words, "--disable-pip-version-check"], "pip", env=env)
    stage.image.run([f"{venv}/bin/python", "-c", "import lamp; assert lamp.LIT"])


def test_uv(stage: Stage) -> None:
    """The same with uv."""
    checkout = _HERE.parents[1] / ".uv" / "bin" / "uv"
    uv = shutil.which("uv") or (str(checkout) if checkout.exists() else None)
    if uv is None:
        pytest.skip("needs uv")
    wheel(stage.root)
    target = stage.image.home / "uv"
    index = ["--no-cache", "--index-url", "https://files.example/simple/"]
    words = [uv, "pip", "install", "--python", sys.executable, "--target", str(target), *index]
    stage.image.run([*words, "lamp"], "uv")
    assert (target / "lamp.py").exists()


def test_git(stage: Stage) -> None:
    """A repository is cloned, changed, pushed and fetched again over HTTPS."""
    need("git")
    bare = stage.root / "git" / "lamp.git"
    seed = stage.image.home / "seed"
    seed.mkdir()
    (seed / "big").write_bytes(os.urandom(3 << 20))
    who = ("-c", "user.name=x", "-c", "user.email=x@example", "-c", "init.defaultBranch=main")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "seed"]):
        subprocess.run(["git", *who, *words], cwd=seed, check=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(seed), str(bare)], check=True)
    subprocess.run(["git", "-C", str(bare), "config", "http.receivepack", "true"], check=True)
    url, clone = "https://files.example/git/lamp.git", stage.image.home / "clone"
    stage.image.run(["git", "clone", "-q", url, str(clone)], "git")
    assert (clone / "big").read_bytes() == (seed / "big").read_bytes()
    (clone / "more").write_bytes(os.urandom(2 << 20))
    for words in (["add", "."], ["commit", "-qm", "more"], ["push", "-q", "origin", "main"]):
        stage.image.run(["git", *who, *words], cwd=clone)
    again = stage.image.home / "again"
    stage.image.run(["git", "clone", "-q", "--depth=1", url, str(again)])
    assert (again / "more").read_bytes() == (clone / "more").read_bytes()


def test_curl(stage: Stage) -> None:
    """Downloads, uploads with and without a length, with and without HTTP/2, are what they were."""
    need("curl")
    sent = stage.image.home / "sent"
    sent.write_bytes(os.urandom(8 << 20))
    sha256 = hashlib.sha256(sent.read_bytes()).hexdigest()
    base = "https://files.example"
    for words in (["--http1.1"], ["--http2"]):
        curl = ["curl", "-fsS", "-m", "60", *words]
        got = stage.image.sh(f"{' '.join(curl)} {base}/bytes/20000000 | sha256sum")
        assert got.split()[0] == digest(20_000_000)
        put = stage.image.run([*curl, "-T", str(sent), f"{base}/hash"], "curl")
        chunked = stage.image.sh(f"cat {sent} | {' '.join(curl)} -T - {base}/hash")
        expecting = ["-H", "Expect: 100-continue", "-X", "PUT", "--data-binary", f"@{sent}"]
        waited = stage.image.run([*curl, *expecting, f"{base}/hash"])
        assert (put, chunked, waited) == (sha256, sha256, sha256)


def test_apt(stage: Stage) -> None:
    """A repository's lists are updated and a package of it is downloaded."""
    need("apt-get", "dpkg-deb")
    tree = stage.image.home / "lamp-deb"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "lamp").write_bytes(os.urandom(1 << 20))
    about = "Package: lamp\nVersion: 1.0\nArchitecture: all\nMaintainer: x <x@example>\n"
    (tree / "DEBIAN" / "control").write_text(f"{about}Description: a lamp\n")
    repository = stage.root / "apt"
    repository.mkdir()
    deb = repository / "lamp_1.0_all.deb"
    subprocess.run(["dpkg-deb", "-b", str(tree), str(deb)], check=True, capture_output=True)
    sha256, size = hashlib.sha256(deb.read_bytes()).hexdigest(), deb.stat().st_size
    listed = f"{about}Filename: ./{deb.name}\nSize: {size}\nSHA256: {sha256}\nDescription: a lamp\n"
    (repository / "Packages").write_text(listed)
    told = hashlib.sha256(listed.encode()).hexdigest()
    released = f"Date: Mon, 01 Jan 2024 00:00:00 UTC\nSHA256:\n {told} {len(listed)} Packages\n"
    (repository / "Release").write_text(released)
    apt = stage.image.home / "apt"
    for folder in ("lists/partial", "cache/archives/partial", "etc/preferences.d"):
        (apt / folder).mkdir(parents=True)
    (apt / "sources").write_text("deb [trusted=yes] https://files.example/apt ./\n")
    (apt / "status").touch()
    options = {
        "Dir::Etc": f"{apt}/etc",
        "Dir::Etc::SourceList": f"{apt}/sources",
        "Dir::Etc::SourceParts": "-",
        "Dir::State::Lists": f"{apt}/lists",
        "Dir::State::status": f"{apt}/status",
        "Dir::Cache": f"{apt}/cache",
        "APT::Sandbox::User": "root",
    }
    words = [
        "apt-get",
        "-q",
        *(word for pair in options.items() for word in ("-o", "=".join(pair))),
    ]
    stage.image.run([*words, "update"])
    stage.image.run([*words, "download", "lamp"])
    assert (stage.image.home / deb.name).read_bytes() == deb.read_bytes()


def test_npm(stage: Stage) -> None:
    """A package of a registry is installed, its integrity checked."""
    need("npm")
    folder = stage.root / "npm"
    folder.mkdir()
    source = stage.image.home / "npm-source"
    source.mkdir()
    about = {"name": "lamp", "version": "1.0.0", "main": "index.js"}
    (source / "package.json").write_text(json.dumps(about))
    (source / "index.js").write_text("module.exports = 'lit';\n//" + "x" * 500_000)
    with tarfile.open(folder / "lamp-1.0.0.tgz", "w:gz") as archive:
        archive.add(source, "package")
    packed = hashlib.sha512((folder / "lamp-1.0.0.tgz").read_bytes()).digest()
    dist = {
        "tarball": "https://files.example/npm/lamp-1.0.0.tgz",
        "integrity": f"sha512-{base64.b64encode(packed).decode()}",
    }
    versions = {"1.0.0": {**about, "dist": dist}}
    listed = {"name": "lamp", "dist-tags": {"latest": "1.0.0"}, "versions": versions}
    (folder / "lamp").write_text(json.dumps(listed))
    project = stage.image.home / "npm-project"
    project.mkdir()
    words = ["npm", "install", "lamp", "--registry", "https://files.example/npm/", "--no-audit"]
    stage.image.run([*words, "--no-fund"], "Node, npm", cwd=project)
    said = stage.image.run(["node", "-e", "console.log(require('lamp'))"], cwd=project)
    assert said.strip() == "lit"


def test_node(stage: Stage) -> None:
    """Node's own fetch trusts what its hint says."""
    need("node")
    program = "fetch('https://files.example/bytes/1000').then(r => r.arrayBuffer())"
    words = ["node", "-e", f"{program}.then(b => console.log(b.byteLength))"]
    assert stage.image.run(words, "Node, npm").strip() == "1000"


def test_java(stage: Stage) -> None:
    """A Java program trusts what keytool put into its store."""
    need("java", "keytool")
    source = stage.image.home / "Fetch.java"
    source.write_text(
        "public class Fetch { public static void main(String[] a) throws Exception {"
        " System.out.println(new java.net.URL(a[0]).openStream().readAllBytes().length); } }"
    )
    if not shutil.which("javac"):
        pytest.skip("needs javac, or a JDK that runs a source file")
    said = stage.image.run(["java", str(source), "https://files.example/bytes/1000"], "Java")
    assert said.strip().endswith("1000")


def client(stage: Stage, *words: str, hint: str = _PYTHON) -> None:
    """Run an honest client in the sandbox."""
    stage.image.run([sys.executable, str(_HERE / "streams.py"), *words], hint)


def test_ranges_of_a_large_file(stage: Stage) -> None:
    """Parts fetched side by side, each broken off once and resumed, are the file."""
    file = stage.root / "model.safetensors"
    file.write_bytes(os.urandom(40 << 20))
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    got = stage.image.home / "model.safetensors"
    client(stage, "ranges", f"https://files.example/{file.name}", str(got), sha256)


def test_grpc(stage: Stage) -> None:
    """Calls of all four kinds over HTTP/2, with trailers, and a refusal in them."""
    client(stage, "grpc", "grpc.example:443", hint="gRPC")


def test_websocket_echo(stage: Stage) -> None:
    """Text and binary, compressed and not, large and in pieces, come back as they were sent."""
    client(stage, "echo", "wss://echo.example/")


def test_events_arrive_when_they_are_sent(stage: Stage) -> None:
    """None of them waits for the next, for the server waits to hear that it was seen."""
    client(stage, "events", "https://files.example")


@pytest.mark.slow
def test_a_large_download_leaves_memory_flat(stage: Stage) -> None:
    """Two gigabytes inside TLS arrive whole, and no worker grows by 64 MB."""
    need("curl")
    stage.image.sh("curl -fsS https://files.example/bytes/50000000 -o /dev/null")  # warm
    size = 2_000_000_000
    with Memory(stage.opened.workers()) as memory:
        curl = f"curl -fsS https://files.example/bytes/{size} | sha256sum"
        said = stage.image.sh(curl, timeout=170)
    assert said.split()[0] == digest(size)
    assert memory.growth() < _ROOM_KB, memory.growth()
    sys.stdout.write(f"grown by {memory.growth()} kB\n")


class Memory:
    """Watches the resident memory of processes, in kB, twenty times a second."""

    def __init__(self, pids: set[int]) -> None:
        self._first = {pid: resident(pid) for pid in pids}
        self._most = dict(self._first)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def growth(self) -> int:
        """Return by how much that one grew that grew most."""
        return max(self._most[pid] - first for pid, first in self._first.items())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._end.wait(0.05):
            for pid, most in self._most.items():
                self._most[pid] = max(most, resident(pid))


def resident(pid: int) -> int:
    """Return a process's resident memory in kB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
