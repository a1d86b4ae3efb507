"""A real redis-server of each test's own, and alerts on pools."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from davylamp.attribution.place import place_under
from davylamp.attribution.server import EmbeddedRedis, find_server
from davylamp.attribution.store import Store
from davylamp.events import Action, AlertEvent, AlertInfo, MiningInfo, VerdictInfo, rfc3339

type MakeAlert = Callable[..., AlertEvent]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Open the sync store on a server that keeps its records."""
    if find_server() is None:
        pytest.skip("no redis-server is installed")
    with EmbeddedRedis(place_under(tmp_path / "redis")) as server, Store(server.url) as opened:
        yield opened


@pytest.fixture
def make_alert() -> MakeAlert:
    """Give a maker of alerts: a login to a pool in the clear, refused."""

    def make(
        *,
        confidence: int = 95,
        category: str = "mining",
        layers: tuple[str, ...] = ("tcp",),
        action: Action = Action.REJECT,
        **changes: object,
    ) -> AlertEvent:
        fields: dict[str, object] = {
            "timestamp": rfc3339(1e9),
            "flow_id": 1,
            "flow_start": rfc3339(1e9),
            "community_id": "1:x",
            "src_ip": "10.0.0.7",
            "src_port": 40000,
            "dest_ip": "198.51.100.9",
            "dest_port": 3333,
            "proto": "TCP",
            "alert": AlertInfo(
                signature_id="cryptonote-login",
                rev=2,
                signature="CryptoNote login",
                category=category,
                severity=1,
                confidence=confidence,
            ),
            "verdict": VerdictInfo(action=action),
            "mining": MiningInfo(dialect="cryptonote", layers=layers),
            "incident_id": "inc-1",
        }
        return AlertEvent(**(fields | changes))  # type: ignore[arg-type]

    return make
