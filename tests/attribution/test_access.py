"""Who may use the store, and how the road to it is kept private: ACL users and TLS."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from redis.exceptions import NoPermissionError
from tests.attribution.conftest import MakeAlert
from tests.attribution.redis_world import ClusterWorld, SentinelWorld, Server, knows_tls

from davylamp.actions.model import Kind, Planned, Record, Status
from davylamp.actions.operations import ActionOperations
from davylamp.attribution.client import Client
from davylamp.attribution.feedback import FeedbackOperations, RolloutVerdict
from davylamp.attribution.hosts.model import Agent, Flow, Translation
from davylamp.attribution.hosts.operations import HostOperations
from davylamp.attribution.model import Binding, ToolCall
from davylamp.attribution.server import find_server
from davylamp.attribution.store import AsyncStore, Store
from davylamp.attribution.sync import LineageSync
from davylamp.attribution.table import LineageTable
from davylamp.blocks.model import EndpointBlock, Quarantine, Report
from davylamp.blocks.operations import BlockOperations
from davylamp.errors import LineageUnavailable
from davylamp.incidents.operations import IncidentOperations

DOCS = Path(__file__).parents[2] / "docs" / "lineage.md"


@pytest.fixture
def program() -> Path:
    """Give the redis-server to run."""
    found = find_server()
    if found is None:
        pytest.skip("no redis-server is installed")
    return found


def documented_rules(name: str) -> tuple[str, ...]:
    """Return the words of the ACL line that the documentation gives for a user."""
    lines = DOCS.read_text().replace("\\\n", " ").splitlines()
    line = next(each for each in lines if each.strip().startswith(f"ACL SETUSER {name} "))
    return tuple(line.replace("PASSWORD", "secret").split())


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """Run one server."""
    try:
        yield server.start()
    finally:
        server.kill()


def use_what_is_beside(store: Store, make_alert: MakeAlert) -> None:
    """Do what is done about incidents, blocks, actions and rollouts."""
    incidents = IncidentOperations.beside(store.operations)
    alert = msgspec.structs.replace(make_alert("c", "c@12"), incident_id="inc-1")
    assert store.run(incidents.record(alert)) == "inc-1"
    assert store.run(incidents.resolve("inc-1", "ann", "", 1e9)) is not None
    store.run(incidents.exported("inc-1", "digest"))
    assert store.run(incidents.witness("inc-1", 1))[1] == ("digest",)
    blocks = BlockOperations.beside(store.operations)
    block = EndpointBlock(endpoint="tcp/198.51.100.9:1", at=1.0, until=2.0)
    assert store.run(blocks.put(block, 1.0))
    store.run(blocks.report(Report(name="gw", at=1.0, position="0-0", enforcing=True)))
    assert len(store.run(blocks.listing(1.0))) == 1
    store.run(blocks.release(block.endpoint, "ann", 1.0))
    quarantine = Quarantine(lifecycle_id="c@12", addresses=(), at=1.0, until=2.0)
    assert store.run(blocks.confine(quarantine, 1.0))
    assert store.run(blocks.free("c@12", "ann", 1.5))
    store.run(blocks.ask_to_undo("gw"))
    assert len(store.run(blocks.changes("0-0", 0.01, 10)).changes) == 5
    actions = ActionOperations.beside(store.operations)
    planned = Planned(
        incident_id="inc-1",
        kind=Kind.QUARANTINE,
        target="c",
        container="c",
        reason="",
        severity="high",
        grade="bound",
    )
    record = Record(planned=planned, status=Status.RUNNING, gateway="gw", at=1.0)
    assert store.run(actions.claim(record, 2.0))
    assert store.run(actions.due(3.0, "gw")) == [record]
    assert store.run(actions.change(record, msgspec.structs.replace(record, status=Status.DONE)))
    assert len(store.run(actions.ask_to_undo("c", "ann", 1.0))) == 1
    hosts = HostOperations.beside(store.operations)
    flow = Flow("tcp", "192.0.2.1", 1, "198.51.100.9", 3333)
    whose = Translation(host="h", ip="172.17.0.2", port=1, since=1.0, watch=1.0)
    store.run(hosts.publish([(flow, whose)]))
    store.run(hosts.announce(Agent(name="h", id="1", addresses=(), watch=1.0, seen=2.0)))
    assert store.run(hosts.ask([flow])) == [(whose,)]
    assert store.run(hosts.agents()).keys() == {"h"}
    feedback = FeedbackOperations.beside(store.operations)
    verdict = RolloutVerdict(run_id="r", rollout_id="1", valid=False, at=1.0, incident_id="inc-1")
    assert store.run(feedback.mark(verdict))
    assert store.run(feedback.verdict("r", "1")) == verdict
    assert store.run(feedback.revoke("r", "1", "inc-1", "ann", 2.0))
    with Client(store.url) as client:
        told = list(client.feedback(group="g", wait=0.2, since_start=True, idle=0.0))
    assert [one.valid for one in told] == [False, True]


def use_all_of(url: str, make_alert: MakeAlert) -> None:
    """Do everything that gateways, trainers and the command line do with a store."""
    with Store(url) as store:
        ops = store.operations
        for second, name in enumerate("abc", 10):
            hold = Binding(ip="10.0.0.7", lifecycle_id="", valid_from=second, container=name)
            store.run(ops.bind(hold, second))
        other = Binding(ip="10.0.0.8", lifecycle_id="", valid_from=13, container="c")
        lifecycle = store.run(ops.bind(other, 13)).lifecycle_id
        call = ToolCall(tool_call_id="t", lifecycle_id=lifecycle, started=14)
        assert store.run(ops.put_call(call))
        assert store.run(ops.put_call_of(call, "c", "")) is not None
        assert store.run(ops.record(make_alert("c", lifecycle)))
        assert not store.run(ops.record(make_alert("c", lifecycle)))
        assert store.run(ops.release_container("c", 20, 20)) == 2
        dossier = store.run(ops.look_up("c"))
        assert dossier is not None
        assert len(dossier.incidents) == len(dossier.calls) == 1
        assert store.run(ops.listing(5)) == []
        use_what_is_beside(store, make_alert)

    async def snapshot() -> int:
        table = LineageTable()
        async with AsyncStore(url) as store:
            sync = LineageSync(store, table)
            task = asyncio.create_task(sync.run())
            assert await sync.wait_loaded(20), sync.error
            await asyncio.sleep(0.6)
            assert sync.connected, sync.error
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return table.addresses

    assert asyncio.run(snapshot()) == 2


def test_the_documented_user_can_do_all_and_no_more(
    program: Path, tmp_path: Path, make_alert: MakeAlert
) -> None:
    """The ACL line in the documentation is enough, and gives neither other keys nor the server."""
    with running(Server(program, tmp_path)) as server:
        server.ask(*documented_rules("davylamp"))
        server.ask("ACL", "SETUSER", "default", "off")
        url = f"redis://davylamp:secret@127.0.0.1:{server.port}"
        use_all_of(url, make_alert)
        with Store(url) as store:
            for forbidden in (
                ("GET", "other"),
                ("KEYS", "*"),
                ("FLUSHALL",),
                ("CONFIG", "GET", "*"),
            ):
                with pytest.raises(LineageUnavailable, match="permission"):
                    store._execute([forbidden])
        with Store(url.replace("secret", "wrong")) as store, pytest.raises(LineageUnavailable):
            store.run(store.operations.listing(1))


def test_the_documented_user_is_enough_on_a_cluster(
    program: Path, tmp_path: Path, make_alert: MakeAlert
) -> None:
    """On a Cluster, too, also while its slot moves."""
    world = ClusterWorld(program, tmp_path)
    try:
        world.start()
        for server in world.servers:
            server.ask(*documented_rules("davylamp"))
        use_all_of(world.url.replace("://", "://davylamp:secret@"), make_alert)
    finally:
        world.stop()


def test_the_documented_users_are_enough_with_sentinels(
    program: Path, tmp_path: Path, make_alert: MakeAlert
) -> None:
    """The Sentinels have a user of their own, who may only ask for the master."""
    world = SentinelWorld(program, tmp_path)
    try:
        world.start()
        for server in world.servers:
            server.ask(*documented_rules("davylamp"))
        for sentinel in world.sentinels:
            sentinel.ask(*documented_rules("davylamp-finder"))
        url = world.url.replace("://", "://davylamp:secret@")
        users = "?sentinel_user=davylamp-finder&sentinel_password=secret"
        use_all_of(url + users, make_alert)
        for sentinel in world.sentinels:
            sentinel.ask("ACL", "SETUSER", "davylamp-finder", "off")
        with Store(url + users) as store, pytest.raises(LineageUnavailable, match="Sentinel"):
            store.run(store.operations.listing(1))
    finally:
        world.stop()


def test_readers_in_a_group_share_the_events(
    program: Path, tmp_path: Path, make_alert: MakeAlert
) -> None:
    """The documented reader gets each event once; another takes over what it left undone."""
    with running(Server(program, tmp_path)) as server:
        server.ask(*documented_rules("davylamp-reader"))
        with Store(f"redis://127.0.0.1:{server.port}") as store:
            for number in range(6):
                alert = make_alert("a", "a@10", flow_id=number)
                store.run(store.operations.record(alert))
        url = f"redis://davylamp-reader:secret@127.0.0.1:{server.port}"
        key = "davylamp:events"
        with redis.Redis.from_url(url, protocol=2, decode_responses=True) as opened:
            reader: Any = opened
            reader.xgroup_create(key, "trainers", "0")
            [[_, mine]] = reader.xreadgroup("trainers", "reader-1", {key: ">"}, count=4)
            [[_, others]] = reader.xreadgroup("trainers", "reader-2", {key: ">"}, count=4)
            assert [len(mine), len(others)] == [4, 2]
            reader.xack(key, "trainers", *(each for each, _ in (*mine[:1], *others)))
            claimed = reader.xautoclaim(key, "trainers", "reader-2", 0)[1]
            assert claimed == mine[1:]
            with pytest.raises(NoPermissionError):
                reader.xadd(key, {"event": "x"})


def test_tls_is_used_and_checked(program: Path, tmp_path: Path, make_alert: MakeAlert) -> None:
    """rediss:// works with the right authority and certificate, and with no others."""
    if not knows_tls(program):
        pytest.skip(f"{program} was built without TLS; `apt-get install redis-server` has it")
    cert, key = _certificate(tmp_path, "server")
    stranger, _ = _certificate(tmp_path, "stranger")
    server = Server(program, tmp_path)
    with running(
        _over_tls(
            server, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert
        )
    ):
        base = f"rediss://127.0.0.1:{server.port}"
        use_all_of(f"{base}?ca={cert}&cert={cert}&key={key}", make_alert)
        refused = (f"?ca={stranger}&cert={cert}&key={key}", f"?ca={cert}", "")
        for options in refused:
            with Store(base + options) as store, pytest.raises(LineageUnavailable):
                store.run(store.operations.listing(1))


def _over_tls(server: Server, *options: str) -> Server:
    words = [str(each) for each in server._command]
    index = words.index("--port")
    server._command = [*words[:index], "--port", "0", "--tls-port", *words[index + 1 :], *options]
    return server


def _certificate(directory: Path, name: str) -> tuple[str, str]:
    """Make a certificate for 127.0.0.1 that is its own authority."""
    cert, key = str(directory / f"{name}.pem"), str(directory / f"{name}.key")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", key, "-out", cert),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


def test_the_documented_user_has_no_more_than_it_needs() -> None:
    """The line names keys under our prefixes only, and no category of commands."""
    rules = documented_rules("davylamp")
    assert [rule for rule in rules if rule.startswith("~")] == ["~davylamp:*", "~{davylamp}:*"]
    assert not [rule for rule in rules if re.match(r"\+@", rule)]
