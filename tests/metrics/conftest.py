"""What the tests of this room share: events that count."""

from collections.abc import Callable

import pytest

from davylamp.events import Action, AlertEvent, AlertInfo, VerdictInfo

MakeAlert = Callable[..., AlertEvent]


@pytest.fixture
def make_alert() -> MakeAlert:
    """Return a maker of alerts of one signature and address."""

    def make(signature: str = "cryptonote-login", address: str = "10.0.0.2") -> AlertEvent:
        return AlertEvent(
            timestamp="2026-02-03T04:05:06+00:00",
            flow_id=1,
            flow_start="2026-02-03T04:05:05+00:00",
            community_id="1:abc=",
            src_ip=address,
            src_port=40000,
            dest_ip="203.0.113.9",
            dest_port=443,
            proto="TCP",
            alert=AlertInfo(
                signature_id=signature,
                rev=1,
                signature="A title",
                category="mining",
                severity=1,
                confidence=100,
            ),
            verdict=VerdictInfo(action=Action.REJECT),
        )

    return make
