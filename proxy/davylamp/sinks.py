"""The sinks that a configuration asks for."""

import sys
from pathlib import Path

import rich.console

from davylamp.config import OutputConfig
from davylamp.events import AlertEvent, LineageEvent
from davylamp.outputs.console import ConsoleSink
from davylamp.outputs.jsonl import JsonLinesFile, JsonLinesStream
from davylamp.outputs.redis_stream import Deliver, RedisStream
from davylamp.outputs.renderings.render import Format, renderer
from davylamp.outputs.select import Only
from davylamp.outputs.sink import Sink
from davylamp.outputs.spool import Spool


def sinks_of(config: OutputConfig, spool: Path, deliver: Deliver) -> dict[str, Sink]:
    """Return the sinks by name, from within a running loop.

    ``spool`` is the folder of what waits for Redis, ``deliver`` hands a line to it. Raises
    ConfigError where one cannot be what is asked.
    """
    sinks: dict[str, Sink] = {}
    if config.console:
        sinks["console"] = Only(ConsoleSink(rich.console.Console()), AlertEvent)
    if config.file:
        sinks["file"] = _file_of(config)
    if config.redis:
        stream = RedisStream(Spool(spool, max_bytes=config.spool_bytes), deliver)
        stream.start()
        sinks["redis"] = Only(stream, AlertEvent, LineageEvent)
    return sinks


def _file_of(config: OutputConfig) -> Sink:
    render = renderer(Format(config.format))
    if config.file == "-":
        return JsonLinesStream(sys.stdout.buffer, render=render)
    return JsonLinesFile(Path(config.file), render=render)
