"""The attempts at one action: so many, each with its time, and nothing is lost between them.

Strategy. What undoing will need is on record before anything is done, for an attempt may end half
way, with this gateway if need be. What an earlier attempt wrote stands: a later one sees only what
that one left.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from davylamp.actions.executor import Executor, Foreseeing
from davylamp.actions.model import Kind, Record, Status
from davylamp.errors import ActionRefused, ConfigError

_PAUSE_FIRST, _PAUSE_LAST = 0.2, 10.0
_OUTCOME = 300


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one attempt may take, in seconds, and how often it is made."""

    timeout: float = 10.0
    attempts: int = 5

    @property
    def lease(self) -> float:
        """Seconds after which an action that is not over has been forgotten by somebody."""
        return self.attempts * (self.timeout + _PAUSE_LAST) + 30.0


class Attempts:
    """Carries actions out, and undoes them.

    ``note`` puts a record on record in the place of another, and says whether it could.
    """

    def __init__(
        self,
        executors: Mapping[Kind, Executor],
        limits: Limits,
        note: Callable[[Record, Record], Awaitable[bool]],
        clock: Callable[[], float],
    ) -> None:
        self._executors = executors
        self._limits = limits
        self._note = note
        self._clock = clock

    async def make(self, record: Record) -> tuple[Record, Record]:
        """Do or undo it; return what is on record of it by now, and what is to be."""
        executor = self._executors.get(record.planned.kind)
        pause, attempts, why = _PAUSE_FIRST, 0, "this gateway is not set up for it"
        after: Record | None = None
        while executor is not None and attempts < self._limits.attempts and after is None:
            attempts += 1
            try:
                async with asyncio.timeout(self._limits.timeout):
                    record = await self._foreseen(executor, record)
                    after = await self._attempt(executor, record)
            except (ActionRefused, ConfigError) as error:
                why = str(error)
                break
            except Exception as error:  # noqa: BLE001 - whatever it was, it is tried again
                why = str(error) or type(error).__name__
                if attempts < self._limits.attempts:
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _PAUSE_LAST)
        after = after or failed(record, why)
        return record, replace(after, ended=self._clock(), attempts=attempts)

    async def _foreseen(self, executor: Executor, record: Record) -> Record:
        """Return the record with what undoing will need; it is in the store then."""
        if record.status is Status.UNDOING or not isinstance(executor, Foreseeing):
            return record
        memo = await executor.foresee(record.planned, self._clock()) | record.memo
        if memo == record.memo:
            return record
        fuller = replace(record, memo=memo)
        if not await self._note(record, fuller):
            raise ActionRefused("somebody else has changed its record")
        return fuller

    async def _attempt(self, executor: Executor, record: Record) -> Record:
        now = self._clock()
        if record.status is Status.UNDOING:
            said = await executor.undo(record, now)
            return replace(record, status=Status.UNDONE, outcome=said[:_OUTCOME])
        done = await executor.do(record.planned, now)
        memo = done.memo | record.memo
        return replace(record, status=Status.DONE, outcome=done.outcome[:_OUTCOME], memo=memo)


def failed(record: Record, why: str) -> Record:
    """Return what is on record then. What could not be undone stays done, for another try."""
    if record.status is Status.UNDOING:
        return replace(record, status=Status.DONE, outcome=f"not undone: {why}"[:_OUTCOME])
    return replace(record, status=Status.FAILED, outcome=why[:_OUTCOME])
