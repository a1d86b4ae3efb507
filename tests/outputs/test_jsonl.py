"""EVE JSON lines on real files and streams."""

import asyncio
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from davylamp.errors import ConfigError
from davylamp.events import AlertEvent, decode, encode
from davylamp.outputs.jsonl import JsonLinesFile, JsonLinesStream

MakeAlert = Callable[..., AlertEvent]


def flow_ids(path: Path) -> list[int]:
    """Return the flows of a file's events, in order; every line must decode."""
    found = [decode(line) for line in path.read_bytes().splitlines()]
    return [event.flow_id for event in found if isinstance(event, AlertEvent)]


def test_reader_sees_each_event_at_once(tmp_path: Path, make_alert: MakeAlert) -> None:
    """An event is whole in the file when write returns, and decodes to what was written."""
    path = tmp_path / "eve.json"

    async def scenario() -> None:
        sink = JsonLinesFile(path)
        await sink.write(make_alert(7))
        assert decode(path.read_bytes()) == make_alert(7)
        await sink.write(make_alert(8))
        assert flow_ids(path) == [7, 8]
        await sink.close()

    asyncio.run(scenario())


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    """The file is created for its owner alone, whatever the umask."""
    path = tmp_path / "eve.json"
    before = os.umask(0)
    try:
        asyncio.run(JsonLinesFile(path).close())
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def test_unwritable_place_is_a_config_error(tmp_path: Path) -> None:
    """A file in a directory that does not exist is refused at the start, by name."""
    with pytest.raises(ConfigError, match="nowhere"):
        JsonLinesFile(tmp_path / "nowhere" / "eve.json")


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_rotation_keeps_the_newest(tmp_path: Path, make_alert: MakeAlert, keep: int) -> None:
    """Files rotate at the bound, lines stay whole, and only ``keep`` old files remain."""
    path = tmp_path / "eve.json"
    bound = 2 * (len(encode(make_alert(100))) + 1)

    async def scenario() -> None:
        sink = JsonLinesFile(path, max_bytes=bound, keep=keep)
        for flow_id in range(100, 109):
            await sink.write(make_alert(flow_id))
        await sink.close()

    asyncio.run(scenario())
    old = [tmp_path / f"eve.json.{number}" for number in range(keep, 0, -1)]
    assert sorted(tmp_path.iterdir()) == sorted([*old, path])
    kept = [flow_id for file in [*old, path] for flow_id in flow_ids(file)]
    assert kept == list(range(108 - 2 * keep, 109))
    assert all(file.stat().st_size <= bound for file in tmp_path.iterdir())


def test_torn_line_costs_one_event(tmp_path: Path, make_alert: MakeAlert) -> None:
    """After a crash in the middle of a line the next event begins a line of its own."""
    path = tmp_path / "eve.json"
    path.write_bytes(encode(make_alert(1))[:50])

    async def scenario() -> None:
        sink = JsonLinesFile(path)
        await sink.write(make_alert(2))
        await sink.close()

    asyncio.run(scenario())
    _, second = path.read_bytes().splitlines()
    assert decode(second) == make_alert(2)


def test_file_moved_away_is_opened_anew(tmp_path: Path, make_alert: MakeAlert) -> None:
    """A file that logrotate renamed gets no more events; its name gets a new file."""
    path, moved = tmp_path / "eve.json", tmp_path / "eve.old"

    async def scenario() -> None:
        sink = JsonLinesFile(path)
        await sink.write(make_alert(1))
        path.rename(moved)
        await sink.write(make_alert(2))
        path.unlink()
        await sink.write(make_alert(3))
        await sink.close()

    asyncio.run(scenario())
    assert flow_ids(moved) == [1]
    assert flow_ids(path) == [3]


def test_full_disk_is_an_error_and_then_heals(tmp_path: Path, make_alert: MakeAlert) -> None:
    """A write the disk cuts short raises; once there is room, events are whole lines again."""
    path = tmp_path / "eve.json"
    one = len(encode(make_alert(1))) + 1
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    async def scenario() -> None:
        sink = JsonLinesFile(path)
        await sink.write(make_alert(1))
        resource.setrlimit(resource.RLIMIT_FSIZE, (one + one // 2, hard))
        with pytest.raises(OSError, match=r"took \d+ of"):
            await sink.write(make_alert(2))
        with pytest.raises(OSError, match="File too large"):
            await sink.write(make_alert(3))
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await sink.write(make_alert(4))
        await sink.close()

    try:
        asyncio.run(scenario())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    first, torn, last = path.read_bytes().splitlines()
    assert (decode(first), decode(last)) == (make_alert(1), make_alert(4))
    assert encode(make_alert(2)).startswith(torn)


def test_stream_gets_lines_and_stays_open(make_alert: MakeAlert) -> None:
    """Standard output, or any stream, gets each event at once and is not closed."""
    reader, writer = os.pipe()

    async def scenario() -> None:
        with os.fdopen(writer, "wb") as stream:
            sink = JsonLinesStream(stream)
            await sink.write(make_alert(1))
            assert decode(os.read(reader, 65536)) == make_alert(1)
            await sink.close()
            assert not stream.closed

    try:
        asyncio.run(scenario())
    finally:
        os.close(reader)
