"""One event to many sinks, some of which misbehave."""

import asyncio
import errno
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from davylamp.events import AlertEvent, AnyEvent
from davylamp.outputs.fanout import FanOut
from davylamp.outputs.jsonl import JsonLinesFile

MakeAlert = Callable[..., AlertEvent]


class Slow:
    """A sink that takes nothing until it is let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.got: list[int] = []

    async def write(self, event: AnyEvent) -> None:
        """Wait to be let go, then take the event."""
        await self.go.wait()
        assert isinstance(event, AlertEvent)
        self.got.append(event.flow_id)

    async def close(self) -> None:
        """Close at once."""


class Broken:
    """A sink that refuses everything while ``broken``, and cannot be closed either."""

    broken = True

    async def write(self, event: AnyEvent) -> None:
        """Refuse, or take the event and forget it."""
        if self.broken:
            raise OSError(errno.ENOSPC, f"no space left for {event.timestamp}")

    async def close(self) -> None:
        """Refuse."""
        raise OSError("still no space left")


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what must happen, and fail after 30 s if it does not."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for is a file or a counter
            await asyncio.sleep(0.001)


def test_slow_sink_delays_no_other(tmp_path: Path, make_alert: MakeAlert) -> None:
    """While one sink takes nothing the other has every event, and the writer never waits."""
    path = tmp_path / "eve.json"

    async def scenario() -> None:
        slow = Slow()
        fanout = FanOut({"slow": slow, "file": JsonLinesFile(path)})
        for flow_id in range(20):
            await fanout.write(make_alert(flow_id))
        await until(lambda: path.read_bytes().count(b"\n") == 20)
        assert slow.got == []
        assert fanout.counters()["slow.waiting"] == 19
        slow.go.set()
        await fanout.close()
        assert slow.got == list(range(20))

    asyncio.run(scenario())


def test_full_queue_drops_the_oldest_and_counts(make_alert: MakeAlert) -> None:
    """A stuck sink costs a bounded queue, and keeps what is newest."""

    async def scenario() -> None:
        slow = Slow()
        fanout = FanOut({"slow": slow}, capacity=5)
        fanout.publish(make_alert(0))
        await asyncio.sleep(0)
        for flow_id in range(1, 21):
            fanout.publish(make_alert(flow_id))
        assert fanout.counters()["slow.dropped"] == 15
        slow.go.set()
        await fanout.close()
        assert slow.got == [0, 16, 17, 18, 19, 20]
        assert fanout.counters() == {
            "slow.written": 6,
            "slow.dropped": 15,
            "slow.failed": 0,
            "slow.waiting": 0,
        }

    asyncio.run(scenario())


def test_failing_sink_is_counted_said_once_and_heals(
    tmp_path: Path, make_alert: MakeAlert, caplog: pytest.LogCaptureFixture
) -> None:
    """A sink that raises loses its own events only, and is spoken of when that begins and ends."""
    path = tmp_path / "eve.json"

    async def scenario() -> None:
        broken = Broken()
        fanout = FanOut({"broken": broken, "file": JsonLinesFile(path)})
        for flow_id in range(3):
            fanout.publish(make_alert(flow_id))
        await until(lambda: fanout.counters()["broken.failed"] == 3)
        [said] = fanout.problems()
        assert said.startswith("output broken fails, events for it are lost: no space left for ")
        broken.broken = False
        fanout.publish(make_alert(3))
        await until(lambda: fanout.counters()["broken.written"] == 1)
        assert fanout.problems() == ()
        await fanout.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert path.read_bytes().count(b"\n") == 4
    said = [record.getMessage() for record in caplog.records]
    assert sum("events for it are lost" in message for message in said) == 1
    assert sum("works again, 3 lost" in message for message in said) == 1
    assert sum("did not close" in message for message in said) == 1


def test_stuck_sink_cannot_stop_the_gateway_from_stopping(make_alert: MakeAlert) -> None:
    """Closing waits for a stuck sink no longer than the grace, and counts what it never took."""

    async def scenario() -> None:
        fanout = FanOut({"stuck": Slow()}, grace=0.05)
        for flow_id in range(4):
            fanout.publish(make_alert(flow_id))
        async with asyncio.timeout(30):
            await fanout.close()
        assert fanout.counters()["stuck.dropped"] == 4
        fanout.publish(make_alert(4))
        assert fanout.counters()["stuck.dropped"] == 5

    asyncio.run(scenario())
