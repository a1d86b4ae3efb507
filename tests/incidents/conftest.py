"""A real redis-server of each test's own, and alerts about a container's flows."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from davylamp.attribution.place import place_under
from davylamp.attribution.server import EmbeddedRedis, find_server
from davylamp.attribution.store import Store
from davylamp.events import (
    Action,
    AlertEvent,
    AlertInfo,
    EvidenceInfo,
    LineageInfo,
    MiningInfo,
    VerdictInfo,
    rfc3339,
)

type MakeAlert = Callable[..., AlertEvent]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """Run a redis-server that keeps its records over a restart."""
    if find_server() is None:
        pytest.skip("no redis-server is installed")
    with EmbeddedRedis(place_under(tmp_path / "redis")) as running:
        yield running


@pytest.fixture
def store(server: EmbeddedRedis) -> Iterator[Store]:
    """Open the sync store on that server."""
    with Store(server.url) as opened:
        yield opened


@pytest.fixture
def make_alert() -> MakeAlert:
    """Give a maker of alerts: a login to a pool, blocked, by a container that is known."""

    def make(
        incident: str = "inc-1",
        *,
        at: float = 1e9,
        flow_id: int = 1,
        run: str = "run-1",
        wallet: str = "w1",
        severity: int = 1,
        confidence: int = 100,
        **changes: object,
    ) -> AlertEvent:
        fields: dict[str, object] = {
            "timestamp": rfc3339(at),
            "flow_id": flow_id,
            "flow_start": rfc3339(at),
            "community_id": "1:x",
            "src_ip": "10.0.0.7",
            "src_port": 40000,
            "dest_ip": "198.51.100.9",
            "dest_port": 3333,
            "proto": "TCP",
            "alert": AlertInfo(
                signature_id="cryptonote-login",
                rev=1,
                signature="CryptoNote login",
                category="mining",
                severity=severity,
                confidence=confidence,
            ),
            "verdict": VerdictInfo(action=Action.REJECT),
            "mining": MiningInfo(
                dialect="cryptonote", coin="XMR", wallet="488888***8888", wallet_digest=wallet
            ),
            "evidence": (
                EvidenceInfo(
                    signature_id="cryptonote-login",
                    direction="originator",
                    offset=0,
                    length=40,
                    excerpt='{"method":"login"}',
                ),
            ),
            "incident_id": incident,
            "pack": "2026.1",
            "lineage": LineageInfo(
                grade="bound",
                container=f"c-{run}",
                lifecycle_id=f"c-{run}@1",
                run_id=run,
                experiment_id="exp",
            ),
        }
        return AlertEvent(**(fields | changes))  # type: ignore[arg-type]

    return make
