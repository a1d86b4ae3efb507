"""A real redis-server on a Unix socket of each test's own, and alerts to record."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from davylamp.attribution.place import Place, place_under
from davylamp.attribution.server import EmbeddedRedis, find_server
from davylamp.attribution.store import Store
from davylamp.events import (
    Action,
    AlertEvent,
    AlertInfo,
    LineageInfo,
    VerdictInfo,
    rfc3339,
)

type MakeAlert = Callable[..., AlertEvent]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Give a place for a store, under the test's directory."""
    if find_server() is None:
        pytest.skip("no redis-server is installed")
    return place_under(tmp_path)


@pytest.fixture
def server(place: Place) -> Iterator[EmbeddedRedis]:
    """Run a redis-server that keeps its records over a restart."""
    with EmbeddedRedis(place) as running:
        yield running


@pytest.fixture
def store(server: EmbeddedRedis) -> Iterator[Store]:
    """Open the sync store on that server."""
    with Store(server.url) as opened:
        yield opened


@pytest.fixture
def make_alert() -> MakeAlert:
    """Give a maker of alerts about a container's flow."""

    def make(container: str, lifecycle: str, *, flow_id: int = 7, at: float = 1e9) -> AlertEvent:
        return AlertEvent(
            timestamp=rfc3339(at),
            flow_id=flow_id,
            flow_start=rfc3339(at),
            community_id="1:x",
            src_ip="10.0.0.7",
            src_port=40000,
            dest_ip="198.51.100.9",
            dest_port=3333,
            proto="TCP",
            alert=AlertInfo(
                signature_id="stratum-v1-login",
                rev=1,
                signature="Stratum login",
                category="mining",
                severity=1,
                confidence=95,
            ),
            verdict=VerdictInfo(action=Action.REJECT),
            incident_id="i-1",
            lineage=LineageInfo(grade="bound", container=container, lifecycle_id=lifecycle),
        )

    return make
