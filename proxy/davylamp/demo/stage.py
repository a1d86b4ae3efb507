"""The stage: a lab with a pool, honest services, and a place for the gateway."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from davylamp.lab import Lab
from davylamp.lab.gateway import LabGateway
from davylamp.lab.programs.certs import Authority, Leaf
from davylamp.lab.service import Service

POOL = "203.0.113.10"
POOL_NAME = "xmr-eu1.nanopool.org"
WEB = "203.0.113.20"
WEB_NAME = "www.example"
GIT = "203.0.113.21"
ZONE = {
    "pool.example": (POOL, "2001:db8::10"),
    POOL_NAME: (POOL, "2001:db8::10"),
    WEB_NAME: (WEB, "2001:db8::20"),
    "git.example": (GIT, "2001:db8::21"),
}
POOL_PORTS = (3333, 443)
POOL_TLS_PORT = 14433
RPC_PORT = 8545
GIT_PORT = 9418
REPOSITORY_FILES = ("stratum.md", "cryptonote.md", "notes.md")
_IDENTITY = ("-c", "user.name=demo", "-c", "user.email=demo@example.invalid")
GIT_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
}
"""Whoever shows the demonstration may have git sign commits, rewrite URLs, or ask a question."""
_QUOTE = '{"id": 1, "method": "mining.subscribe", "params": []}\n'
"""A repository that quotes Stratum, line for line, is not mining."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that stands before the first act."""

    lab: Lab
    gateway: LabGateway
    pool_summary: Path
    ca_bundle: Path
    repository: Path | None
    """The bare repository that git.example serves, or None where git is not installed."""
    https_git: bool


@contextmanager
def set_up(lab: Lab, work: Path) -> Iterator[Stage]:
    """Start the outside world's services in ``lab``; the gateway is configured, not started."""
    authority = Authority.create(work / "ca")
    web_leaf = authority.issue([WEB_NAME, "git.example", WEB, GIT])
    pool_leaf = authority.issue([POOL_NAME, "pool.example", POOL])
    summary = work / "pool.json"
    with ExitStack() as stack:
        stack.enter_context(_pool(lab, work, pool_leaf, summary))
        stack.enter_context(_web(lab, web_leaf))
        repository = _make_repository(work) if shutil.which("git") else None
        https_git = False
        if repository is not None:
            stack.enter_context(_git_daemon(lab, repository))
            https_git = shutil.which("nginx") is not None
            if https_git:
                stack.enter_context(_nginx(lab, work, repository, web_leaf))
        gateway = LabGateway(lab, work / "gateway")
        yield Stage(lab, gateway, summary, authority.bundle, repository, https_git)


def _pool(lab: Lab, work: Path, leaf: Leaf, summary: Path) -> Service:
    binds = [argument for port in POOL_PORTS for argument in ("--bind", f"{POOL}:{port}")]
    return Service(
        lab,
        "outside",
        "pool",
        *binds,
        "--tls-bind",
        f"{POOL}:{POOL_TLS_PORT}",
        "--cert",
        str(leaf.chain),
        "--key",
        str(leaf.key),
        "--record",
        str(work / "pool.record.jsonl"),
        "--summary",
        str(summary),
    )


def _web(lab: Lab, leaf: Leaf) -> Service:
    return Service(
        lab,
        "outside",
        "web",
        "--bind",
        f"{WEB}:80",
        "--tls-bind",
        f"{WEB}:443",
        "--rpc-bind",
        f"{WEB}:{RPC_PORT}",
        "--cert",
        str(leaf.chain),
        "--key",
        str(leaf.key),
    )


def _make_repository(work: Path) -> Path:
    """Make a small repository with some history, ready for git:// and dumb HTTP."""
    tree, bare = work / "tree", work / "git" / "agent.git"
    bare.parent.mkdir()
    _git("init", "-q", "-b", "main", str(tree))
    for name in REPOSITORY_FILES:
        (tree / name).write_text("# how pools talk\n" + _QUOTE * 200)
        _git("-C", str(tree), "add", "-A")
        _git("-C", str(tree), *_IDENTITY, "commit", "-q", "-m", f"describe {name}")
    _git("clone", "-q", "--bare", str(tree), str(bare))
    _git("-C", str(bare), "update-server-info")
    return bare


def _git(*arguments: str) -> None:
    environment = os.environ | GIT_ENVIRONMENT
    subprocess.run(("git", *arguments), check=True, stdin=subprocess.DEVNULL, env=environment)


@contextmanager
def _git_daemon(lab: Lab, repository: Path) -> Iterator[None]:
    lab.spawn(
        "outside",
        [
            "git",
            "daemon",
            "--export-all",
            "--reuseaddr",
            f"--listen={GIT}",
            f"--port={GIT_PORT}",
            f"--base-path={repository.parent}",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield


@contextmanager
def _nginx(lab: Lab, work: Path, repository: Path, leaf: Leaf) -> Iterator[None]:
    folder = work / "nginx"
    folder.mkdir()
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off;\nuser root;\nworker_processes 1;\npid {folder}/pid;\n"
        f"error_log {folder}/error.log;\nevents {{ worker_connections 512; }}\n"
        f"http {{\naccess_log off;\n{temporary}"
        f"server {{ listen {GIT}:443 ssl; root {repository.parent};\n"
        f"ssl_certificate {leaf.chain};\nssl_certificate_key {leaf.key};\n}}\n}}\n"
    )
    lab.spawn(
        "outside",
        ["nginx", "-e", f"{folder}/error.log", "-c", str(configuration)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield
