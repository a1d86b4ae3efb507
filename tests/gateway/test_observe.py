"""In observe mode the gateway says what it would do, and does nothing."""

import pytest
from tests.gateway.conftest import Build
from tests.gateway.world import POOL, WEB, endpoint

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("dialect", ["stratum", "cryptonote"])
def test_a_miner_is_seen_and_let_be(build: Build, dialect: str) -> None:
    """Shares are accepted, early and late; each flow is alerted on once for each signature."""
    world = build(mode="observe")
    pool = world.pool(3333, families=(4,))
    web = world.web()
    done = world.miner(
        "sandbox-1", endpoint(POOL[4], 3333), dialect=dialect, shares=3, share_interval=0.1
    )
    assert done.process.returncode == 0, done.lines
    assert pool.shares() == 3
    late = world.run(
        "sandbox-2",
        "client",
        *("late", f"http://{WEB[4]}:80", "--http-seconds", "1", "--http-bytes", "1000000"),
        *("--dialect", dialect, "--shares", "2"),
    )
    assert late.process.returncode == 0, late.lines
    assert len(web.events("share_accepted")) == 2
    alerts = world.gateway.wait_alerts(lambda found: len({one.flow_id for one in found}) == 2)
    assert {one.verdict.action for one in alerts} == {"alert"}
    assert {one.verdict.mode for one in alerts} == {"observe"}
    assert all("enforce would reject" in one.verdict.reason for one in alerts)
    keys = [(one.flow_id, one.alert.signature_id) for one in alerts]
    assert len(keys) == len(set(keys))
    assert {one.src_ip: 0 for one in alerts}.keys() == {
        host.ipv4 for host in world.lab.sandboxes[:2]
    }
    assert len({one.flow_id for one in alerts}) == 2
    counters = world.gateway.counters()
    assert (counters["resets"], counters["blocks"], counters["exceptions"]) == (0, 0, 0)
    assert (world.counter("refused"), world.counter("invalid")) == (0, 0)
