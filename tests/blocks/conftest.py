"""Alerts on pools."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.alerts import an_alert, signature

from davylamp.events import Action, AlertEvent, MiningInfo, VerdictInfo

type MakeAlert = Callable[..., AlertEvent]


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
        fields: dict[str, Any] = {
            "alert": signature(rev=2, category=category, confidence=confidence),
            "verdict": VerdictInfo(action=action),
            "mining": MiningInfo(dialect="cryptonote", layers=layers),
            "incident_id": "inc-1",
        }
        return an_alert(**(fields | changes))

    return make
