"""Verdicts on rollouts, read in turns by the readers of a group: for as long as a trainer wants."""

import logging
import time
from collections.abc import Generator

from davylamp.attribution.feedback import FeedbackOperations, RolloutVerdict
from davylamp.attribution.store import Store
from davylamp.errors import LineageUnavailable

_BLOCK = 1.0  # less than a command may take at all
_PAUSE_FIRST, _PAUSE_LAST = 0.1, 2.0

_log = logging.getLogger("davylamp.lineage")


def follow(  # noqa: PLR0913 - who reads, from where, for how long
    store: Store,
    operations: FeedbackOperations,
    group: str,
    consumer: str,
    *,
    wait: float | None,
    since_start: bool,
    idle: float,
) -> Generator[RolloutVerdict]:
    """Yield verdicts, each acknowledged when the next is asked for; see `Client.feedback`.

    A verdict comes again where its acknowledgement was lost with the connection.
    """
    heard = time.monotonic()
    pause, joined = _PAUSE_FIRST, False
    block = _BLOCK if wait is None else min(_BLOCK, max(wait / 4, 0.01))
    while wait is None or time.monotonic() - heard < wait:
        try:
            if joined:
                found = store.run(operations.left(group, consumer, idle))
                found = found or store.run(operations.take(group, consumer, block))
            else:  # also after an outage: what was not acknowledged is ours still
                store.run(operations.join(group, "0" if since_start else "$"))
                found = store.run(operations.own(group, consumer))
                joined = True
            for one in found:
                if one.verdict is not None:
                    yield one.verdict
                store.run(operations.done(group, one.place))
                heard = time.monotonic()
        except LineageUnavailable as error:
            _log.warning("verdicts on rollouts cannot be read: %s", error)
            joined = False
            time.sleep(pause)
            pause = min(pause * 2, _PAUSE_LAST)
        else:
            pause = _PAUSE_FIRST
