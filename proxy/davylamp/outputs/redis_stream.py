"""Events to Redis by way of the spool, one after another.

Lines may be handed over twice, as every `SpooledSink` says; the lineage store takes a repeat as
done, for it knows events by their content.
"""

from collections.abc import Awaitable, Callable, Sequence

from davylamp.errors import LineageUnavailable
from davylamp.outputs.spool import Spool
from davylamp.outputs.spooled import Fate, Outcome, Pace, SpooledSink

Take = Callable[[bytes], Awaitable[object]]
"""Takes one line; raises LineageUnavailable where Redis cannot be reached just now."""

PACE = Pace(ahead=16, first_retry=0.1, last_retry=5.0)


def redis_stream(spool: Spool, take: Take, pace: Pace = PACE) -> SpooledSink:
    """Return a sink that keeps events in ``spool`` and hands them to ``take``."""

    async def deliver(lines: Sequence[bytes]) -> Outcome:
        try:
            for line in lines:
                await take(line)
        except LineageUnavailable as error:
            return Outcome(Fate.AWAY, str(error))
        return Outcome(Fate.TAKEN)

    return SpooledSink("Redis", spool, deliver, pace=pace)
