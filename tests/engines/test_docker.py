"""The client against a real Docker engine, and against what only pretends to be one."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest
from aiohttp import web
from tests.dockerd import TRAIN, Dockerd

from davylamp.engines import docker
from davylamp.engines.docker import DockerEngine
from davylamp.engines.docker_model import UNREADABLE, Container, Outcome
from davylamp.errors import ConfigError, EngineError

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def state_of(client: DockerEngine, container: str) -> Container:
    """Return what the engine says of a container that is there."""
    found = await client.inspect(container)
    assert found is not None
    return found


@pytest.mark.docker
def test_a_container_is_followed_and_acted_on(dockerd: Dockerd) -> None:
    """What is asked and done is as the engine has it, and so is what was the case already."""

    async def play() -> None:
        async with DockerEngine(dockerd.url) as client:
            offered = await client.ping()
            assert (await client.version()).api_version == offered
            info = await client.info()
            assert info.id
            since = time.time()
            made = await asyncio.to_thread(dockerd.run, "acted-on", labels={"a": "b"})
            [listed] = [one for one in await client.containers() if one.id == made]
            assert (listed.names, listed.labels) == (("/acted-on",), {"a": "b"})
            [network] = [one for one in await client.networks() if one.name == TRAIN]
            before = await state_of(client, "acted-on")
            assert before.state.running
            assert before.attachments[TRAIN].addresses
            assert await client.pause(made) is Outcome.DONE
            assert (await state_of(client, made)).state.paused
            assert await client.pause(made) is Outcome.CONFLICT
            assert await client.unpause(made) is Outcome.DONE
            assert await client.disconnect(TRAIN, made) is Outcome.DONE
            assert not (await state_of(client, made)).attachments
            wanted = "10.89.0.77"
            assert await client.connect(network.id, made, ipv4=wanted) is Outcome.DONE
            assert (await state_of(client, made)).attachments[TRAIN].addresses == (wanted,)
            assert await client.stop(made) is Outcome.DONE
            assert await client.stop(made) is Outcome.UNCHANGED
            stopped = await state_of(client, made)
            assert not stopped.state.running
            assert stopped.attachments[TRAIN].fixed_addresses == (wanted,)
            assert await client.kill(made) is Outcome.CONFLICT
            assert await client.start(made) is Outcome.DONE
            assert await client.start(made) is Outcome.UNCHANGED
            assert await client.kill(made) is Outcome.DONE
            await asyncio.to_thread(dockerd.remove, made)
            assert await client.inspect(made) is None
            assert await client.pause(made) is Outcome.GONE
            with pytest.raises(EngineError, match="refused"):
                await client.networks({"nonsense": ["x"]})
            asked = client.events(
                since=since, until=time.time(), filters={"event": ["start", "die", "connect"]}
            )
            seen = [event async for event in asked if event.container_id == made]
            order = ["connect", "start", "connect", "die", "connect", "start", "die"]
            assert [event.action for event in seen] == order
            assert all(since <= event.at <= time.time() for event in seen)

    asyncio.run(play())


async def answered(path: Path, handlers: Mapping[str, Handler]) -> web.AppRunner:
    """Serve something that says it is an engine."""

    async def ping(_: web.Request) -> web.Response:
        return web.Response(headers={"Api-Version": "1.41"})

    app = web.Application()
    for where, handler in ({"/_ping": ping} | dict(handlers)).items():
        app.router.add_get(where, handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    return runner


def test_events_are_read_whatever_their_lines_are(tmp_path: Path) -> None:
    """Lines that are too long or no JSON are marked, those between are whole, the end is an end."""

    async def lines(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        event = b'{"Type":"container","Action":"die","Actor":{"ID":"c","Attributes":null}'
        await answer.write(event + b',"time":7,"timeNano":7500000000}\n' + event[:9])
        await asyncio.sleep(0.05)
        await answer.write(event[9:] + b',"time":8}\n{"Type":3}\nnonsense\n')
        for _ in range(3 * docker.LINE_BYTES // 65536):
            await answer.write(65536 * b"x")
        await answer.write(b"\n" + event + b',"time":9}\n' + b'{"Type":"cut o')
        return answer

    async def play() -> None:
        path = tmp_path / "engine.sock"
        runner = await answered(path, {"/v1.41/events": lines})
        async with DockerEngine(f"unix://{path}") as client:
            seen = [event async for event in client.events()]
        await runner.cleanup()
        told = [(event.type, event.at) for event in seen]
        bad = (UNREADABLE, 0.0)
        assert told == [("container", 7.5), ("container", 8.0), bad, bad, bad, ("container", 9.0)]

    asyncio.run(play())


def test_an_answer_has_a_bound_and_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is too large, that never ends, that is no API, or none, is one kind of error."""
    monkeypatch.setattr(docker, "ANSWER_BYTES", 100_000)

    async def large(_: web.Request) -> web.Response:
        return web.Response(body=200_000 * b" ")

    async def endless(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async def other(_: web.Request) -> web.Response:
        return web.Response(text="<html>")

    async def play() -> None:
        path = tmp_path / "engine.sock"
        given = {"/v1.41/info": large, "/v1.41/version": endless, "/v1.41/networks": other}
        runner = await answered(path, given)
        async with DockerEngine(f"unix://{path}", seconds=0.5) as client:
            for ask, words in (
                (client.info, "larger"),
                (client.version, "does not answer"),
                (client.networks, "not its API"),
                (client.containers, "404"),
            ):
                with pytest.raises(EngineError, match=words):
                    await ask()
        await runner.cleanup()
        runner = await answered(path, {"/_ping": other})
        async with DockerEngine(f"unix://{path}") as client:
            with pytest.raises(EngineError, match="not as a Docker engine"):
                await client.ping()
        await runner.cleanup()
        async with DockerEngine(f"unix://{tmp_path}/none.sock") as client:
            with pytest.raises(EngineError, match="check that it runs"):
                await client.ping()

    asyncio.run(play())


@pytest.mark.parametrize(
    "url", ["", "docker.sock", "ssh://host", "tcp://host", "tcp://h:x", "unix:"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """The message says what to write."""
    with pytest.raises(ConfigError, match="write unix:"):
        DockerEngine(url)


@pytest.mark.parametrize("name", ["", "..", "a/b", "a?b", "a\n", "x" * 300])
def test_a_name_cannot_leave_its_place_in_the_path(name: str) -> None:
    """What is no name of a container is refused before anything is asked."""
    with pytest.raises(ConfigError, match="not the name"):
        asyncio.run(DockerEngine().inspect(name))
