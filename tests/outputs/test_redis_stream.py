"""Events to a real redis-server that goes away, over gateways that are killed."""

import asyncio
import logging
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from tests.outputs.redis_peer import RedisServer, connect, deliver_to

from davylamp.events import AlertEvent, decode, encode
from davylamp.outputs.redis_stream import PACE, redis_stream
from davylamp.outputs.spool import Spool
from davylamp.outputs.spooled import ATTEMPTS

MakeAlert = Callable[..., AlertEvent]

pytestmark = pytest.mark.programs


async def arrived(client: redis.asyncio.Redis) -> list[int]:
    """Return the flows of the events in Redis, in the order of the stream."""
    entries: list[Any] = await client.xrange("events") or []
    found = [decode(fields[b"event"]) for _, fields in entries]
    return [event.flow_id for event in found if isinstance(event, AlertEvent)]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what must happen, and fail after 30 s if it does not."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for is on disk or in Redis
            await asyncio.sleep(0.01)


def test_outage_loses_repeats_and_reorders_nothing(
    tmp_path: Path,
    redis_server: RedisServer,
    make_alert: MakeAlert,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Events written while Redis was dead arrive in order, once, when it is back."""

    async def scenario() -> None:
        client = connect(redis_server.socket)
        sink = redis_stream(Spool(tmp_path), deliver_to(client), replace(PACE, last_retry=0.1))
        for flow_id in range(10):
            await sink.write(make_alert(flow_id))
        await until(lambda: sink.delivered == 10)
        redis_server.kill()
        for flow_id in range(10, 40):
            await sink.write(make_alert(flow_id))
        assert sink.counters()["pending"] == 30
        assert sink.trouble.startswith("Redis is away, kept on disk: ")
        redis_server.start()
        await until(lambda: sink.delivered == 40)
        assert not sink.trouble
        assert await arrived(client) == list(range(40))
        assert sink.counters()["pending"] == 0
        await sink.close()
        await client.aclose()

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    said = [record.getMessage() for record in caplog.records]
    assert sum("Redis is away" in message for message in said) == 1
    assert sum("Redis is back" in message for message in said) == 1


def test_restarted_gateway_hands_over_what_the_last_one_kept(
    tmp_path: Path, redis_server: RedisServer, make_alert: MakeAlert
) -> None:
    """A gateway that stops during the outage leaves its events to the next, which goes on."""

    async def scenario() -> None:
        redis_server.kill()
        client = connect(redis_server.socket)
        first = redis_stream(Spool(tmp_path), deliver_to(client), replace(PACE, drain=0.05))
        for flow_id in range(5):
            await first.write(make_alert(flow_id))
        await first.close()
        redis_server.start()
        second = redis_stream(Spool(tmp_path), deliver_to(client))
        second.start()
        await until(lambda: second.delivered == 5)
        await second.write(make_alert(5))
        await second.close()
        assert await arrived(client) == list(range(6))
        await client.aclose()

    asyncio.run(scenario())


def test_gateway_killed_while_handing_over_repeats_nothing(
    tmp_path: Path, redis_server: RedisServer, make_alert: MakeAlert
) -> None:
    """However a gateway is killed, every event it took is in Redis once, in order."""
    program = textwrap.dedent("""
        import asyncio, sys
        from pathlib import Path
        import msgspec
        from davylamp.events import decode
        from davylamp.outputs.redis_stream import redis_stream
        from davylamp.outputs.spool import Spool
        sys.path.insert(0, sys.argv[3])
        from tests.outputs.redis_peer import connect, deliver_to

        async def main():
            sink = redis_stream(Spool(Path(sys.argv[1])), deliver_to(connect(sys.argv[2])))
            event = decode(sys.argv[4])
            for flow_id in range(int(sys.argv[5]), 10**9):
                await sink.write(msgspec.structs.replace(event, flow_id=flow_id))
                print(flow_id, flush=True)

        asyncio.run(main())
    """)
    spool = tmp_path / "spool"
    taken = 0
    for _ in range(3):
        template = encode(make_alert(0)).decode()
        command = [sys.executable, "-c", program, str(spool), str(redis_server.socket)]
        command += [str(Path(__file__).parents[2]), template, str(taken)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(60):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
            taken += 60 + sum(line.endswith(b"\n") for line in process.stdout)

    async def rest() -> list[int]:
        client = connect(redis_server.socket)
        sink = redis_stream(Spool(spool), deliver_to(client), replace(PACE, drain=30))
        sink.start()
        await sink.close()
        found = await arrived(client)
        await client.aclose()
        return found

    found = asyncio.run(rest())
    assert set(range(taken)) <= set(found)
    firsts = sorted(set(found))
    assert firsts == list(range(firsts[-1] + 1))


def test_refused_event_does_not_hold_up_the_rest(
    tmp_path: Path, redis_server: RedisServer, make_alert: MakeAlert
) -> None:
    """An event that Redis refuses again and again is given up, counted, and passed by."""

    async def scenario() -> None:
        client = connect(redis_server.socket)
        good = deliver_to(client)
        attempts = 0

        async def deliver(line: bytes) -> None:
            nonlocal attempts
            if line == encode(make_alert(1)):
                attempts += 1
                await client.xadd("events", {"event": line}, id="0-1")
            await good(line)

        sink = redis_stream(
            Spool(tmp_path), deliver, replace(PACE, first_retry=0.001, last_retry=0.001)
        )
        for flow_id in range(3):
            await sink.write(make_alert(flow_id))
        await until(lambda: sink.delivered == 2)
        assert (attempts, sink.counters()["refused"]) == (ATTEMPTS, 1)
        assert await arrived(client) == [0, 2]
        await sink.close()
        await client.aclose()

    asyncio.run(scenario())


def test_endless_outage_stays_within_the_bound(
    tmp_path: Path, redis_server: RedisServer, make_alert: MakeAlert
) -> None:
    """What the bound costs is counted, and the rest arrives in order."""

    async def scenario() -> None:
        redis_server.kill()
        client = connect(redis_server.socket)
        spool = Spool(tmp_path, max_bytes=16 * (len(encode(make_alert(100))) + 10))
        sink = redis_stream(spool, deliver_to(client), replace(PACE, last_retry=0.05))
        for flow_id in range(100, 150):
            await sink.write(make_alert(flow_id))
        counters = sink.counters()
        assert counters["dropped"] > 0
        assert counters["dropped"] + counters["pending"] == 50
        redis_server.start()
        await until(lambda: sink.delivered == counters["pending"])
        found = await arrived(client)
        assert found == sorted(found)
        assert (found[0], found[-1]) == (100, 149)
        await sink.close()
        await client.aclose()

    asyncio.run(scenario())
