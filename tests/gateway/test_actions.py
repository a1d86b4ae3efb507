"""An incident by policy: the sandbox cut off, the trainer told, a receiver told, and all undone."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.conftest import Build
from tests.gateway.test_shared_verdicts import davylamp
from tests.gateway.world import POOL, WEB, World, endpoint, wait_until
from tests.lines import whole_lines

from davylamp.lab.topology import GATEWAY
from davylamp.lineage import Client
from davylamp.outputs.signing import SIGNATURE, TIMESTAMP, verify

pytestmark = pytest.mark.lab

PORT = "9000"
HOOK = Path(__file__).with_name("hook.py")
SECRET = "0123456789abcdef0123456789abcdef"
RULE = {"when": {"severity_at_least": "medium"}, "do": ["tag", "quarantine", "feedback", "webhook"]}


def configured(tmp_path: Path, **changes: object) -> dict[str, Any]:
    """Return the actions part of a configuration."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    webhook = {"url": f"http://127.0.0.1:{PORT}/", "secret_file": str(secret)}
    return {"on_incident": [RULE], "webhook": webhook, **changes}


def actions(world: World) -> dict[tuple[str, str], str]:
    """Return each action on record by kind and container, and its state."""
    lines = davylamp(world.gateway.lineage_url, "actions", "list", "--json").splitlines()
    found = map(json.loads, lines)
    return {(one["planned"]["kind"], one["planned"]["container"]): one["status"] for one in found}


def mine(world: World, trainer: Client, number: int) -> None:
    """Let a container, of both its addresses, mine in a tool call."""
    host = world.lab.sandboxes[number - 1]
    for ip in (host.ipv4, host.ipv6):
        trainer.bind(ip=ip, container=f"box-{number}", run_id="run-1", rollout_id=f"r-{number}")
    with trainer.tool_call(container=f"box-{number}", tool="bash", tool_call_id="t-1", step=7):
        done = world.miner(host.name, endpoint(POOL[4], 4000), attempts=1)
        assert done.events("reset"), done.lines


def test_a_miner_is_cut_off_and_everybody_is_told(build: Build, tmp_path: Path) -> None:
    """All of that lifecycle and only that, over a restart; until released or succeeded."""
    world = build(actions=configured(tmp_path))
    record = tmp_path / "record"
    world.pool(4000, families=(4,))
    world.web("--bind", endpoint(WEB[6], 80))
    world.service(GATEWAY, "hook", PORT, str(record), script=HOOK)
    url = world.gateway.lineage_url

    def reaches(number: int, version: int = 4) -> str:
        return world.connects(f"sandbox-{number}", WEB[version], 80)

    with Client(url) as trainer:
        trainer.bind(ip=world.lab.sandboxes[2].ipv4, container="box-3", run_id="run-1")
        assert (reaches(1), reaches(1, 6)) == ("ok", "ok")
        news = trainer.feedback(group="trainers", wait=20, since_start=True)
        for number in (1, 2):
            mine(world, trainer, number)
        told = {one.rollout_id: one for one in (next(news), next(news))}
        assert (told["r-1"].valid, told["r-1"].tool_call_id, told["r-1"].step) == (False, "t-1", 7)
        assert trainer.rollout_verdict(run_id="run-1", rollout_id="r-2") == told["r-2"]
        assert wait_until(lambda: (reaches(1), reaches(1, 6)) == ("silent", "silent"))
        assert wait_until(lambda: reaches(2) == "silent")
        assert reaches(3) == "ok"
        assert world.counter("quarantined") > 0

        world.gateway.stop()
        world.gateway.start()
        assert wait_until(lambda: (reaches(1), reaches(1, 6)) == ("silent", "silent"))

        # The next container on that address has nothing to do with it.
        trainer.bind(ip=world.lab.sandboxes[1].ipv4, container="box-4", run_id="run-2")
        assert wait_until(lambda: reaches(2) == "ok")
        assert reaches(1, 6) == "silent"

        said = davylamp(url, "actions", "release", "box-1", "--by", "ann")
        assert "quarantine" in said
        assert wait_until(lambda: (reaches(1), reaches(1, 6)) == ("ok", "ok"))
        back = next(news)
        assert (back.rollout_id, back.valid) == ("r-1", True)
        left = trainer.rollout_verdict(run_id="run-1", rollout_id="r-1")
        assert left is not None
        assert left.valid
    assert actions(world) == {
        ("quarantine", "box-1"): "undone",
        ("feedback", "box-1"): "undone",
        ("webhook", "box-1"): "done",
        ("quarantine", "box-2"): "done",
        ("feedback", "box-2"): "done",
        ("webhook", "box-2"): "done",
    }
    assert wait_until(lambda: record.exists() and record.read_text().count("\n") >= 2, 30)
    heads = whole_lines(Path(f"{record}.heads"))
    for head, body in zip(heads, record.read_bytes().splitlines(), strict=True):
        known = {name.lower(): value for name, value in head.items()}
        stamp, signature = known[TIMESTAMP.lower()], known[SIGNATURE.lower()]
        secret = SECRET.encode()
        assert verify(secret, timestamp=stamp, signature=signature, body=body, now=float(stamp))
    (incident, *_) = davylamp(
        url, "incidents", "list", "--json", "--container", "box-1"
    ).splitlines()
    shown = davylamp(url, "incidents", "show", json.loads(incident)["id"])
    assert "quarantine done" in shown
    assert "quarantine undone" in shown
    assert "by ann" in shown


def test_a_dry_run_does_nothing(build: Build, tmp_path: Path) -> None:
    """It says what it would have done, and nobody is cut off or told."""
    world = build(actions=configured(tmp_path, dry_run=True))
    world.pool(4000, families=(4,))
    world.web()
    with Client(world.gateway.lineage_url) as trainer:
        mine(world, trainer, 1)
        assert wait_until(lambda: len(actions(world)) == 3)
        assert set(actions(world).values()) == {"would"}
        assert trainer.rollout_verdict(run_id="run-1", rollout_id="r-1") is None
    assert world.connects("sandbox-1", WEB[4], 80) == "ok"
    assert "chain quarantine" not in world.nft("list", "table", "inet", "davylamp")
