"""A gateway beside another uses no number of its, and comes back to its own the next time."""

import msgspec
import pytest

from davylamp.config import GatewayConfig, parse_config
from davylamp.errors import ConfigError
from davylamp.takeover.seat import beside, seat_of


def configured(text: str = "") -> GatewayConfig:
    """Return a configuration with a bridge to watch."""
    return parse_config(f"sandboxes: {{interfaces: [br0]}}\n{text}")


CONFIGS = {
    "as it is": "",
    "more workers": "queues: {workers: 5}",
    "one worker": "queues: {workers: 1}",
    "with proxies": "intercept: {enabled: true, workers: 3}",
    "elsewhere": "queues: {first: 41}\nrules: {sample_group: 9}",
}


@pytest.mark.parametrize("new", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("old", CONFIGS.values(), ids=CONFIGS)
def test_two_seats_share_nothing(old: str, new: str) -> None:
    """Whatever is changed, queues, groups and ports are apart; alike gateways alternate."""
    first = configured(old)
    second = beside(configured(new), seat_of(first))
    one, two = seat_of(first), seat_of(second)
    for mine, other in ((one.queues, two.queues), (one.ports, two.ports)):
        assert mine is None or other is None or mine[1] < other[0] or other[1] < mine[0]
    assert one.sample_group != two.sample_group
    if old == new:
        assert beside(first, two) == first


def test_what_has_no_room_to_change_is_refused() -> None:
    """Another table, or other bits of the mark, would leave packets between the two."""
    seat = seat_of(configured())
    for one in (
        msgspec.structs.replace(seat, table="other"),
        msgspec.structs.replace(seat, mark_shift=8),
    ):
        with pytest.raises(ConfigError, match="a restart can"):
            beside(configured(), one)
