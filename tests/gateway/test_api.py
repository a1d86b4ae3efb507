"""The API of a gateway at work: told about a sandbox, it tells of the miner that was stopped."""

import json
import sys
from typing import Any

import pytest
from tests.gateway.conftest import Build
from tests.gateway.world import POOL, World, endpoint, wait_until

from davylamp.lab.topology import GATEWAY

pytestmark = pytest.mark.lab

ASK = """
import sys, urllib.request
method, path, token, body = sys.argv[1:]
headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
url = "http://127.0.0.1:9465" + path
request = urllib.request.Request(url, body.encode() or None, headers, method=method)
sys.stdout.write(urllib.request.urlopen(request, timeout=10).read().decode())
"""


def ask(world: World, method: str, path: str, body: Any = None, token: str = "token") -> Any:
    """Ask the gateway from its own host."""
    state = world.gateway.directory / "state"
    secret = (state / "api" / token).read_text().strip()
    sent = "" if body is None else json.dumps(body)
    done = world.lab.run(
        GATEWAY,
        [sys.executable, "-c", ASK, method, path, secret, sent],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(str(done.stdout))


def test_from_a_bind_over_http_to_the_incident(build: Build) -> None:
    """A container and a tool call told over HTTP are in the incident that the API then has."""
    world = build(api={"listen": "127.0.0.1:9465"})
    world.pool(3333, families=(4,))
    told = {"ip": world.lab.sandboxes[0].ipv4, "container": "sandbox-1", "run_id": "rlhf-12"}
    ask(world, "POST", "/api/v1/lineage/bind", told, "register.token")
    begun = {"container": "sandbox-1", "tool_call_id": "call-1", "tool": "bash", "step": 41}
    ask(world, "POST", "/api/v1/lineage/tool-calls/begin", begun, "register.token")
    world.miner("sandbox-1", endpoint(POOL[4], 3333), dialect="cryptonote", attempts=1)

    def listed() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = ask(world, "GET", "/api/v1/incidents")["incidents"]
        return found

    assert wait_until(listed)
    [incident] = listed()
    assert incident["who"]["run_id"] == "rlhf-12"
    assert incident["who"]["tool_call_id"] == "call-1"
    shown = ask(world, "GET", f"/api/v1/incidents/{incident['id']}")
    assert shown["incident"]["calls"][0]["step"] == 41
    [packet] = ask(world, "GET", f"/api/v1/incidents/{incident['id']}/packets")["packets"]
    assert b'"login"' in bytes.fromhex(packet["payload"])
    [flow] = ask(world, "GET", "/api/v1/flows")["flows"]
    assert (flow["action"], flow["incident_id"]) == ("reject", incident["id"])
    health = ask(world, "GET", "/api/v1/health", token="read.token")
    assert health["ok"], health
    names = {one["name"] for one in health["workers"]}
    assert names == {"zygote", "queue-40", "queue-41", "sample-40"}
    assert [one["name"] for one in health["sources"]] == ["api"]
    assert health["rules"]["age_seconds"] > 0
    assert wait_until(lambda: ask(world, "GET", "/api/v1/stats")["packets"] > 0)
    assert ask(world, "GET", "/api/v1/stats")["verdicts"] == [
        {"action": "reject", "category": "mining", "alerts": 1}
    ]
