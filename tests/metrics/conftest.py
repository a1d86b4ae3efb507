"""What the tests of this room share: events that count."""

from collections.abc import Callable

import pytest
from tests.metrics.samples import alert

from davylamp.events import AlertEvent

MakeAlert = Callable[..., AlertEvent]


@pytest.fixture
def make_alert() -> MakeAlert:
    """Return a maker of alerts of one signature and address."""
    return alert
