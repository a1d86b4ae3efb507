"""A gateway's webhook, across the death of the gateway."""

from pathlib import Path

import pytest
from tests.gateway.conftest import Build
from tests.gateway.world import POOL, endpoint, wait_until
from tests.lines import whole_lines

from davylamp.events import encode
from davylamp.lab.topology import GATEWAY
from davylamp.outputs.identity import event_id

pytestmark = pytest.mark.lab

PORT = "9000"
HOOK = Path(__file__).with_name("hook.py")


def test_a_killed_gateways_events_are_delivered_by_the_next(build: Build, tmp_path: Path) -> None:
    """What nobody took before the gateway was killed is taken once from the next one."""
    secret, record = tmp_path / "secret", tmp_path / "record"
    secret.write_text("0123456789abcdef0123456789abcdef")
    webhook = {"url": f"http://127.0.0.1:{PORT}/", "secret_file": str(secret)}
    world = build(outputs={"webhook": webhook})
    world.pool(3333, families=(4,))
    world.miner("sandbox-1", endpoint(POOL[4], 3333), dialect="cryptonote", attempts=1)
    [alert] = world.gateway.wait_alerts(bool)
    spool = world.gateway.directory / "state" / "spool-webhook"
    identity = event_id(alert)
    assert wait_until(
        lambda: any(encode(alert) in path.read_bytes() for path in spool.glob("*.spool"))
    )
    world.gateway.kill()
    world.service(GATEWAY, "hook", PORT, str(record), script=HOOK)
    world.gateway.start()
    assert wait_until(lambda: record.exists() and identity in record.read_text(), seconds=30)
    world.gateway.stop()
    bodies = whole_lines(record)
    taken = [one["id"] for body in bodies for one in body["deliveries"]]
    assert taken.count(identity) == 1
