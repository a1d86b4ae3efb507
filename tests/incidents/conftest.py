"""Alerts about a container's flows."""

from collections.abc import Callable

import pytest
from tests.alerts import an_alert, signature

from davylamp.events import AlertEvent, EvidenceInfo, LineageInfo, MiningInfo

type MakeAlert = Callable[..., AlertEvent]


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
            "flow_id": flow_id,
            "alert": signature(severity=severity, confidence=confidence),
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
        return an_alert(at, **(fields | changes))

    return make
