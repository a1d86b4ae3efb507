"""Containers of a real Docker engine are paused, stopped and taken off their networks, and back."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.actions.conftest import MakePlanned
from tests.dockerd import TRAIN, Dockerd

from davylamp.actions.docker import DockerExecutor
from davylamp.actions.model import Kind, Planned, Record, Status
from davylamp.attribution.model import Binding
from davylamp.attribution.server import EmbeddedRedis
from davylamp.attribution.store import AsyncStore
from davylamp.engines.docker import DockerEngine
from davylamp.errors import ActionRefused, EngineError

pytestmark = pytest.mark.docker

ADDRESS = "10.89.0.77"


def play(
    dockerd: Dockerd,
    server: EmbeddedRedis,
    scene: Callable[[DockerExecutor, AsyncStore], Awaitable[None]],
) -> None:
    """Play a scene with an executor on the engine."""

    async def run() -> None:
        async with AsyncStore(server.url) as store, DockerEngine(dockerd.url) as engine:
            await scene(DockerExecutor(store, engine), store)

    asyncio.run(run())


def state(dockerd: Dockerd, container: str) -> dict[str, Any]:
    """Return the engine's own word on a container's state."""
    found: dict[str, Any] = dockerd.ask("GET", f"/containers/{container}/json")["State"]
    return found


def undoing(planned: Planned, memo: dict[str, str]) -> Record:
    """Return the record of an action that is to be undone."""
    return Record(planned=planned, status=Status.UNDOING, gateway="gw-1", at=1e9, memo=memo)


def test_a_container_is_paused_stopped_and_disconnected_and_all_of_it_undone(
    dockerd: Dockerd, server: EmbeddedRedis, planned: MakePlanned
) -> None:
    """Doing either twice does no harm, and it has its own address again afterwards."""
    container = dockerd.run("acted-on", ip=ADDRESS)

    def wanted(kind: Kind) -> Planned:
        return planned(
            kind,
            target=container,
            container="acted-on",
            container_id=container,
            seen=time.time(),
        )

    async def scene(executor: DockerExecutor, _: AsyncStore) -> None:
        pause, stop = wanted(Kind.DOCKER_PAUSE), wanted(Kind.DOCKER_STOP)
        for _again in range(2):
            await executor.do(pause, 1e9)
            assert state(dockerd, container)["Paused"]
        for _again in range(2):
            await executor.undo(undoing(pause, {}), 1e9)
            assert not state(dockerd, container)["Paused"]

        disconnect = wanted(Kind.DOCKER_DISCONNECT)
        memo = await executor.foresee(disconnect, 1e9)
        await executor.do(disconnect, 1e9)
        told = dockerd.ask("GET", f"/containers/{container}/json")
        assert told["NetworkSettings"]["Networks"] == {}
        for _again in range(2):
            await executor.undo(undoing(disconnect, {**memo, "by": "ann"}), 1e9)
            assert dockerd.address(container, TRAIN) == ADDRESS

        for _again in range(2):
            await executor.do(stop, 1e9)
            assert not state(dockerd, container)["Running"]
        await executor.undo(undoing(stop, {}), 1e9)
        assert state(dockerd, container)["Running"]

    try:
        play(dockerd, server, scene)
    finally:
        dockerd.remove(container)


def test_another_start_and_another_container_of_that_name_are_left_alone(
    dockerd: Dockerd, server: EmbeddedRedis, planned: MakePlanned
) -> None:
    """As is one that is gone; an engine that does not answer is tried again by whoever asked."""
    container = dockerd.run("acted-on")
    seen = time.time()
    time.sleep(0.2)
    dockerd.act(container, "restart", t="0")

    async def scene(executor: DockerExecutor, store: AsyncStore) -> None:
        names = {"container": "acted-on", "container_id": container}
        with pytest.raises(ActionRefused, match="started anew"):
            await executor.do(planned(seen=seen, **names), 1e9)
        for at, lifecycle in ((1.0, "acted-on@1"), (2.0, "acted-on@2")):
            bind = Binding(
                ip=ADDRESS,
                lifecycle_id=lifecycle,
                container="acted-on",
                run_id=lifecycle,
                valid_from=at,
            )
            await store.run(store.operations.bind(bind, at))
        named = {"container": "acted-on", "container_id": "", "seen": time.time()}
        with pytest.raises(ActionRefused, match="another's by now"):
            await executor.do(planned(lifecycle_id="acted-on@1", **named), 1e9)
        assert not state(dockerd, container)["Paused"]
        await executor.do(planned(lifecycle_id="acted-on@2", **named), 1e9)
        assert state(dockerd, container)["Paused"]
        with pytest.raises(ActionRefused, match="no container"):
            await executor.do(planned(container="nobody", container_id=""), 1e9)
        async with DockerEngine("unix:///nowhere/docker.sock") as away:
            with pytest.raises(EngineError):
                await DockerExecutor(store, away).do(planned(), 1e9)

    try:
        play(dockerd, server, scene)
    finally:
        dockerd.remove(container)
