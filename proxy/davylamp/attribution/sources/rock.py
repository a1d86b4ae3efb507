"""Alibaba ROCK as a source: which experiment and user a sandbox is of, by ROCK's own record of it.

ROCK names a sandbox's container by the sandbox's id and keeps ``alive:SANDBOX_ID`` in its Redis, a
RedisJSON document with ``experiment_id``, ``user_id``, ``namespace`` and the host's address, but
none of the container (`rock/admin/core/redis_key.py`, `rock/actions/sandbox/sandbox_info.py` in
alibaba/ROCK). So a container runtime says who has which address, and this adds what ROCK knows to
each of those holds. Nothing else of the record is asked for: it has the sandbox's credentials, too.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from itertools import batched
from typing import Any

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from davylamp.attribution.claims import claims_of, has_spoken
from davylamp.attribution.model import LABEL_PREFIX, Binding, Grade
from davylamp.attribution.sources.facts import described, label_names, plain
from davylamp.attribution.sources.source import Health, Ledger
from davylamp.errors import ConfigError, LineageUnavailable

_PATHS = ("experiment_id", "user_id", "namespace")
_BATCH = 256
_ANSWER_SECONDS = 10.0
_PATIENCE_SECONDS = 120.0
"""ROCK writes its record when the sandbox is up; a container without one by then is not ROCK's."""
_MOST_REMEMBERED = 262_144

logger = logging.getLogger(__name__)


class RockSource:
    """The source; it asks every ``pause`` seconds. ``clock`` gives seconds since the epoch.

    ``url`` is of ROCK's Redis, ``redis://`` or ``rediss://``. Raises ConfigError where it is none.
    """

    name = "rock"

    def __init__(
        self, url: str, *, pause: float = 2.0, clock: Callable[[], float] = time.time
    ) -> None:
        try:
            self._redis = redis.asyncio.Redis.from_url(
                url,
                protocol=2,
                socket_timeout=_ANSWER_SECONDS,
                socket_connect_timeout=_ANSWER_SECONDS,
            )
        except ValueError as error:
            raise ConfigError(f"lineage.sources.rock.url: {error}") from error
        self._pause = pause
        self._clock = clock
        self._names = label_names({})
        self._others: set[int] = set()

    async def run(self, ledger: Ledger, health: Health) -> None:
        """Ask again and again; raise LineageUnavailable when either Redis does not answer."""
        self._others.clear()
        async with aclosing(self._redis):
            while True:
                told = await self._ask(ledger)
                if not health.connected:
                    health.begun()
                if told:
                    health.last_event = self._clock()
                await asyncio.sleep(self._pause)

    async def _ask(self, ledger: Ledger) -> int:
        """Look up the holds that ROCK may know; return how many it did."""
        now = self._clock()
        unknown = [hold for hold in await ledger.current() if self._may_know(hold)]
        told = 0
        for some in batched(unknown, _BATCH):
            for hold, record in zip(some, await self._records(some), strict=True):
                if record:
                    told += 1
                    await self._bind(ledger, hold, record)
                elif now - hold.valid_from > _PATIENCE_SECONDS:
                    self._give_up(hold)
        return told

    def _may_know(self, hold: Binding) -> bool:
        seen = any(claim.grade is Grade.OBSERVED for claim in claims_of(hold))
        return seen and hold.serial not in self._others and not has_spoken(hold, self.name)

    async def _records(self, holds: tuple[Binding, ...]) -> list[Mapping[str, str]]:
        paths = [f"$.{name}" for name in _PATHS]
        pipeline = self._redis.pipeline(transaction=False)
        for hold in holds:
            pipeline.execute_command("JSON.GET", f"alive:{hold.container}", *paths)
        try:
            return [dict(_texts(reply)) for reply in await pipeline.execute()]
        except (RedisError, OSError) as error:
            raise LineageUnavailable(f"ROCK's Redis does not answer: {error}") from error

    async def _bind(self, ledger: Ledger, hold: Binding, record: Mapping[str, str]) -> None:
        labels = {f"rock.{name}": value for name, value in record.items()}
        if "experiment_id" in record:
            labels[f"{LABEL_PREFIX}experiment_id"] = record["experiment_id"]
        binding = Binding(
            ip=hold.ip,
            lifecycle_id=hold.lifecycle_id,
            valid_from=hold.valid_from,
            container=hold.container,
            container_id=hold.container_id,
            grade=Grade.OBSERVED,
            source=self.name,
        )
        try:
            await ledger.bind(described(binding, labels, self._names))
        except ConfigError as error:
            logger.warning("what ROCK says of %s is left out: %s", plain(hold.container), error)
            self._give_up(hold)

    def _give_up(self, hold: Binding) -> None:
        if len(self._others) >= _MOST_REMEMBERED:
            self._others.clear()
        self._others.add(hold.serial)


def _texts(reply: Any) -> Iterator[tuple[str, str]]:
    """Yield the members that are there, from a reply of one list of values for each path."""
    if not isinstance(reply, bytes):
        return
    try:
        found = msgspec.json.decode(reply)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    if not isinstance(found, dict):
        return
    for name in _PATHS:
        values = found.get(f"$.{name}")
        if isinstance(values, list) and values and isinstance(values[0], str) and values[0]:
            yield name, plain(values[0])
