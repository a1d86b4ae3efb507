"""Who did it: the container that held the address, and the tool call that ran there."""

import time

import pytest
from tests.gateway.world import POOL, World, endpoint, wait_until

from davylamp.events import LineageEvent, LineageInfo
from davylamp.incidents.operations import IncidentOperations
from davylamp.lineage import Client

pytestmark = pytest.mark.lab


def mine(world: World, host: str, port: int) -> None:
    """Try to mine once."""
    done = world.miner(host, endpoint(POOL[4], port), attempts=1)
    assert done.events("reset"), done.lines


def lineages(world: World, count: int) -> dict[int, LineageInfo]:
    """Wait for alerts on so many flows; return what each says of who did it, by port."""
    alerts = world.gateway.wait_alerts(
        lambda found: len({alert.flow_id for alert in found}) >= count
    )
    found = {alert.dest_port: alert.lineage for alert in alerts}
    assert len(found) == count
    return {port: lineage for port, lineage in found.items() if lineage is not None}


def tags(trainer: Client, container: str) -> set[tuple[int, str | None]]:
    """Return the port and the run of each incident in a container's record."""
    store = trainer._store
    dossier = store.run(store.operations.look_up(container))
    assert dossier is not None
    return {
        (alert.dest_port, alert.lineage.run_id if alert.lineage else None)
        for alert in dossier.incidents
    }


def test_each_flow_is_put_down_to_who_did_it(world: World) -> None:
    """By time: holders in turn, one call, overlapping calls, no call, a stranger; and tagged.

    Nobody inherits what was blocked for who held the address before.
    """
    ports = range(4000, 4006)
    world.pool(*ports, families=(4,))
    first, second, _ = world.lab.sandboxes
    with Client(world.gateway.lineage_url) as trainer:
        trainer.bind(ip=first.ipv4, container="one", run_id="run-1", experiment_id="exp")
        with trainer.tool_call(container="one", tool="bash", tool_call_id="call-1", step=7):
            mine(world, "sandbox-1", 4000)
        time.sleep(0.1)  # a block of a hold's last moment has no sure name
        # At once, as an orchestrator does that gives a freed address to the next container.
        trainer.release(container="one")
        trainer.bind(ip=first.ipv4, container="two", run_id="run-2", experiment_id="exp")
        mine(world, "sandbox-1", 4001)
        trainer.bind(ip=second.ipv4, container="three", run_id="run-2")
        with (
            trainer.tool_call(container="three", tool="bash", tool_call_id="call-2"),
            trainer.tool_call(container="three", tool="python", tool_call_id="call-3"),
        ):
            mine(world, "sandbox-2", 4002)
        mine(world, "sandbox-3", 4003)
        trainer.release(container="two")
        time.sleep(0.1)
        mine(world, "sandbox-1", 4004)
        trainer.bind(ip=first.ipv4, container="one", run_id="run-3")
        mine(world, "sandbox-1", 4005)
        found = lineages(world, len(ports))
        # An alert is first written, and its container's record after that.
        wait_until(lambda: len(tags(trainer, "one")) == 2)
        tagged = tags(trainer, "one")
    one, two, three, nobody, gone, again = (found[port] for port in ports)
    assert (one.grade, one.container, one.run_id) == ("bound", "one", "run-1")
    assert (one.tool_call_id, one.tool, one.step) == ("call-1", "bash", 7)
    assert (two.grade, two.container, two.run_id) == ("bound", "two", "run-2")
    assert (two.tool_call_id, two.candidates) == ("", ())
    assert (three.grade, three.container, three.tool_call_id) == ("bound", "three", "")
    assert {call.tool_call_id for call in three.candidates} == {"call-2", "call-3"}
    assert (nobody.grade, nobody.container) == ("unknown", "")
    assert (gone.grade, gone.container) == ("stale", "two")
    assert (again.grade, again.container, again.run_id) == ("bound", "one", "run-3")
    assert one.lifecycle_id != again.lifecycle_id
    # What "one" and "two" were refused is not kept from their successors; what has no sure name is.
    lifted = 4000, 4001
    assert wait_until(
        lambda: all(world.connects("sandbox-1", POOL[4], port) == "ok" for port in lifted)
    )
    for host, port in (("sandbox-1", 4004), ("sandbox-1", 4005), ("sandbox-2", 4002)):
        assert world.connects(host, POOL[4], port) == "refused", port
    assert world.connects("sandbox-3", POOL[4], 4003) == "refused"
    assert tagged == {(4000, "run-1"), (4005, "run-3")}


def test_a_name_that_comes_late_is_put_on_the_incident(world: World) -> None:
    """The alert keeps what it said; event, incident and container's record have the name."""
    world.pool(4000, 4001, families=(4,))
    before = time.time() - 1
    mine(world, "sandbox-1", 4000)
    [told] = lineages(world, 1).values()
    assert (told.grade, told.container) == ("unknown", "")
    with Client(world.gateway.lineage_url) as trainer:
        address = world.lab.sandboxes[0].ipv4
        trainer.bind(ip=address, container="late", run_id="run-9", valid_from=before)
        assert wait_until(lambda: attributions(world))
        [event, *_] = attributions(world)
        assert event.before == told
        assert (event.lineage.grade, event.lineage.container) == ("bound", "late")
        assert wait_until(lambda: (4000, "run-9") in tags(trainer, "late"))
        store = trainer._store
        incidents = IncidentOperations.beside(store.operations)
        record = store.run(incidents.look_up(event.incident_id))
        assert record is not None
        assert record.incident.who is not None
        assert record.incident.who.run_id == "run-9"
        assert any("unknown, now bound late" in one.what for one in record.incident.timeline)
        # What the container does next goes to the same incident.
        mine(world, "sandbox-1", 4001)
        assert wait_until(lambda: len(store.run(incidents.listing())[0].flow_ids) == 2)
        assert [one.id for one in store.run(incidents.listing())] == [event.incident_id]


def attributions(world: World) -> list[LineageEvent]:
    """Return what was told of alerts after they were told."""
    events = (one for one in world.gateway.events() if isinstance(one, LineageEvent))
    return [one for one in events if one.change == "attributed"]
