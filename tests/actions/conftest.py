"""A real redis-server of each test's own, and things to be done."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from davylamp.actions.model import Kind, Planned
from davylamp.attribution.place import place_under
from davylamp.attribution.server import EmbeddedRedis, find_server

type MakePlanned = Callable[..., Planned]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """Run a redis-server that keeps its records over a restart."""
    if find_server() is None:
        pytest.skip("no redis-server is installed")
    with EmbeddedRedis(place_under(tmp_path / "redis")) as running:
        yield running


@pytest.fixture
def planned() -> MakePlanned:
    """Give a maker of things to be done to a container."""

    def make(kind: Kind = Kind.DOCKER_PAUSE, **changes: object) -> Planned:
        fields: dict[str, object] = {
            "incident_id": "inc-1",
            "kind": kind,
            "target": "c1",
            "reason": "CryptoNote login",
            "severity": "high",
            "grade": "bound",
            "lifecycle_id": "c1@1",
            "container": "sandbox-7",
            "container_id": "c1",
            "run_id": "run-1",
            "rollout_id": "r-3",
        }
        return Planned(**(fields | changes))  # type: ignore[arg-type]

    return make
