"""A real redis-server on a Unix socket of each test's own, and alerts to record."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.alerts import an_alert, signature

from davylamp.attribution.place import Place, place_under
from davylamp.attribution.server import EmbeddedRedis, find_server
from davylamp.events import AlertEvent, LineageInfo

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
def make_alert() -> MakeAlert:
    """Give a maker of alerts about a container's flow."""

    def make(container: str, lifecycle: str, *, flow_id: int = 7, at: float = 1e9) -> AlertEvent:
        return an_alert(
            at,
            flow_id=flow_id,
            incident_id="i-1",
            alert=signature("stratum-v1-login"),
            lineage=LineageInfo(grade="bound", container=container, lifecycle_id=lifecycle),
        )

    return make
