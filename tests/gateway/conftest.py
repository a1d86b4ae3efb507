"""A lab with a gateway in it, made for one test in under two seconds."""

import itertools
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.attribution.redis_world import ClusterWorld, running
from tests.gateway.redisserver import Server
from tests.gateway.world import World

from davylamp.lab import Lab, LabSpec
from davylamp.lab.gateway import LabGateway
from davylamp.lab.programs.certs import Authority

type Build = Callable[..., World]


@pytest.fixture
def build(can_lab: None, lab_name: str, tmp_path: Path) -> Iterator[Build]:
    """Build a world: ``build(start=True, outputs={…}, **configuration)``.

    Statistics come five times a second, so that tests need not wait for them. Another world has
    another lab and another directory, ``gw``, ``gw-2`` and on.
    """
    numbers = itertools.count(1)
    with ExitStack() as stack:

        def make(
            *, start: bool = True, outputs: dict[str, Any] | None = None, **changes: Any
        ) -> World:
            number = next(numbers)
            suffix = f"-{number}" if number > 1 else ""
            lab = stack.enter_context(Lab.create(LabSpec(f"{lab_name}{suffix}")))
            directory = tmp_path / f"gw{suffix}"
            given = {
                "file": str(directory / "events.jsonl"),
                "console": False,
                "stats_seconds": 0.2,
                **(outputs or {}),
            }
            world = World(lab, LabGateway(lab, directory, outputs=given, **changes), tmp_path)
            stack.callback(world.stop)
            if start:
                world.gateway.start()
            return world

        yield make


@pytest.fixture
def world(build: Build) -> World:
    """Give a lab with a gateway that enforces and fails closed, as it does by default."""
    return build()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Run a redis-server beside the lab."""
    made = Server(tmp_path / "redis")
    yield made
    if made.process.poll() is None:
        made.process.send_signal(signal.SIGCONT)
        made.kill()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ClusterWorld]:
    """Run a Redis Cluster of three masters with a replica each, on this host's loopback."""
    yield from running(ClusterWorld, tmp_path)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Give an authority that the gateway's host trusts, and nobody else."""
    authority = Authority.create(tmp_path / "site")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    return authority
