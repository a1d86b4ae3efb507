"""Honest work beside the miner: downloads, parallel HTTPS, git, JSON-RPC, DNS."""

import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from davylamp.demo.results import BenignResult
from davylamp.demo.stage import (
    GIT_ENVIRONMENT,
    GIT_PORT,
    REPOSITORY_FILES,
    RPC_PORT,
    WEB_NAME,
    Stage,
)
from davylamp.lab.service import run_program

_SECONDS = 60.0
_MEGABYTE = 1_000_000

type Work = Callable[[Stage, Path], BenignResult]


def start(stage: Stage, work: Path, pool: ThreadPoolExecutor) -> list[Future[BenignResult]]:
    """Start every piece of work in the background."""
    return [pool.submit(_guarded, one, stage, work) for one in _WORKS]


def download(stage: Stage, size: int, scheme: str = "http") -> tuple[bool, float]:
    """Download ``size`` bytes and check them; return whether intact, and bits per second."""
    done = run_program(
        stage.lab,
        "sandbox-2",
        "client",
        ["download", f"{scheme}://{WEB_NAME}/bytes/{size}", "--trust", str(stage.ca_bundle)],
        _SECONDS,
    )
    for line in done.events("downloaded"):
        return bool(line["intact"]), line["bytes"] * 8 / max(line["seconds"], 1e-6)
    return False, 0.0


def _guarded(one: Work, stage: Stage, work: Path) -> BenignResult:
    try:
        return one(stage, work)
    except (OSError, subprocess.SubprocessError) as error:
        return BenignResult(one.__name__.strip("_"), good=False, detail=str(error))


def _http_download(stage: Stage, _: Path) -> BenignResult:
    intact, rate = download(stage, 200 * _MEGABYTE)
    return BenignResult("HTTP download, 200 MB", intact, f"checksum right, {rate / 1e9:.1f} Gbit/s")


def _https_download(stage: Stage, _: Path) -> BenignResult:
    intact, rate = download(stage, 100 * _MEGABYTE, "https")
    return BenignResult(
        "HTTPS download, 100 MB", intact, f"checksum right, {rate / 1e9:.1f} Gbit/s"
    )


def _parallel(stage: Stage, _: Path) -> BenignResult:
    url = f"https://{WEB_NAME}/bytes/20000"
    done = run_program(
        stage.lab,
        "sandbox-3",
        "client",
        ["parallel", url, "--count", "100", "--requests", "3", "--trust", str(stage.ca_bundle)],
        _SECONDS,
    )
    line = next(iter(done.events("parallel")), {"good": 0, "connections": 100})
    good = line["good"] == line["connections"]
    detail = f"{line['good']} of {line['connections']} whole"
    return BenignResult("100 HTTPS connections at once", good, detail)


def _rpc(stage: Stage, _: Path) -> BenignResult:
    url = f"tcp://{WEB_NAME}:{RPC_PORT}"
    arguments = ["rpc", url, "--count", "50", "--pause", "0.02"]
    done = run_program(stage.lab, "sandbox-3", "client", arguments, _SECONDS)
    line = next(iter(done.events("called")), {"good": 0, "calls": 50})
    detail = f"{line['good']} of {line['calls']} answered (methods named submit, job, login)"
    return BenignResult("JSON-RPC over TCP lines", line["good"] == line["calls"], detail)


def _git(stage: Stage, work: Path) -> BenignResult:
    return _clone(
        stage, f"git://git.example:{GIT_PORT}/agent.git", work / "clone", "git clone, git://"
    )


def _git_https(stage: Stage, work: Path) -> BenignResult:
    name = "git clone, https"
    if not stage.https_git:
        return BenignResult(name, good=True, detail="nginx is not installed", skipped=True)
    return _clone(stage, "https://git.example/agent.git", work / "clone-https", name)


def _clone(stage: Stage, url: str, target: Path, name: str) -> BenignResult:
    if stage.repository is None:
        return BenignResult(name, good=True, detail="git is not installed", skipped=True)
    begin = time.monotonic()
    done = stage.lab.run(
        "sandbox-2",
        ["git", "clone", "-q", url, str(target)],
        timeout=_SECONDS,
        env=stage.lab.environment(
            os.environ | GIT_ENVIRONMENT | {"GIT_SSL_CAINFO": str(stage.ca_bundle)}
        ),
        capture_output=True,
        text=True,
    )
    cloned = done.returncode == 0 and all((target / name).exists() for name in REPOSITORY_FILES)
    seconds = time.monotonic() - begin
    detail = f"history and files there, {seconds:.1f} s" if cloned else done.stderr.strip()[-200:]
    return BenignResult(name, cloned, detail)


def _dns(stage: Stage, _: Path) -> BenignResult:
    answers = 0
    for name in (WEB_NAME, "git.example"):
        done = stage.lab.run(
            "sandbox-3", ["getent", "ahosts", name], timeout=_SECONDS, capture_output=True
        )
        answers += done.returncode == 0
    return BenignResult("DNS", answers == 2, f"{answers} of 2 names resolved")


_WORKS: tuple[Work, ...] = (
    _http_download,
    _https_download,
    _parallel,
    _rpc,
    _git,
    _git_https,
    _dns,
)
