"""Where alerts go in a worker of the gateway's: to the gateway, and nowhere else.

Strategy. Everything is said at once and without waiting (`workers.link`). What is left, and the
statistics, go by a clock on mitmproxy's own event loop; that clock also looks for another authority
in the place of ours, and for whether there is still a gateway at all.
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable
from pathlib import Path

from mitmproxy import ctx
from mitmproxy.net import tls

from davylamp.events import AlertEvent, Event, StatsEvent, rfc3339
from davylamp.flow import FlowKey
from davylamp.interception.ca import KEY_FILE
from davylamp.interception.records import BlockRecord, QuestionRecord
from davylamp.updates.loading import Loaded
from davylamp.workers.changing import PackChange, TryBeside
from davylamp.workers.link import EventLink, read_brief
from davylamp_mitm.answers import Answers

_TICK_SECONDS = 0.25

logger = logging.getLogger(__name__)


class GatewayLink:
    """The worker's end of its line to the gateway, given as a file descriptor.

    ``switch`` is called with another pack when the gateway puts one in force, and ``try_beside``
    with one on trial, or its end. Raises EOFError where the gateway is gone already.
    """

    def __init__(
        self, descriptor: int, switch: Callable[[Loaded], None], try_beside: TryBeside
    ) -> None:
        end = socket.socket(fileno=descriptor)
        self.brief = read_brief(end)
        self._link = EventLink(end)
        self._change = PackChange(self.tell, switch, try_beside)
        self._answers = Answers(end, self._change.take)
        self._task: asyncio.Task[None] | None = None

    def start(self, summary: Callable[[], StatsEvent]) -> None:
        """Tell the gateway that we listen, and go on telling it how we are."""
        self._task = asyncio.get_running_loop().create_task(self._tend(summary))

    def take(self, alert: AlertEvent) -> None:
        """Tell the gateway of an alert."""
        self.tell(alert)

    def tell(self, event: Event) -> None:
        """Tell the gateway of anything else."""
        self._link.send(event)
        self._link.flush()

    def block(self, key: FlowKey) -> None:
        """Ask the gateway to block a flow's responder to its originator."""
        self.tell(BlockRecord.of(key, rfc3339(time.time())))

    async def bound(self, key: FlowKey, name: str) -> bool:
        """Tell whether a flow's originator was told that a name is at its responder's address."""
        number, answer = self._answers.expect()
        question = QuestionRecord(
            timestamp=rfc3339(time.time()),
            number=number,
            src_ip=key.orig_ip,
            dest_ip=key.resp_ip,
            name=name,
        )
        self.tell(question)
        return await answer

    def stop(self, last: StatsEvent) -> None:
        """Say a last word."""
        if self._task is not None:
            self._task.cancel()
        self.tell(last)

    async def _tend(self, summary: Callable[[], StatsEvent]) -> None:
        authority = _Authority()
        self._answers.listen()
        due = 0.0
        while True:
            now = time.monotonic()
            if now >= due:
                due = now + self.brief.config.outputs.stats_seconds
                self._link.send(summary())
            self._change.poll()
            self._link.flush()
            if self._link.lost or self._answers.ended:
                logger.error("davylamp: the gateway is gone, and so are we")
                ctx.master.shutdown()
                return
            authority.look()
            await asyncio.sleep(_TICK_SECONDS)


class _Authority:
    """The authority's file, which `davylamp ca rotate` changes behind mitmproxy's back."""

    def __init__(self) -> None:
        self._path = Path(ctx.options.confdir) / KEY_FILE
        self._seen = self._identity()

    def look(self) -> None:
        """Have mitmproxy read it again if it is another; connections that are open stay."""
        now = self._identity()
        if now is None or now == self._seen:
            return
        self._seen = now
        # Contexts are kept by the name of the chain's file, and that stays the same.
        tls.create_client_proxy_context.cache_clear()
        # Its class is not imported: that would be all of mitmproxy's addons, and what they need.
        shown = ctx.master.addons.get("tlsconfig")
        assert shown is not None
        try:
            shown.configure({"confdir"})
        except (OSError, ValueError):
            logger.exception("davylamp: the authority cannot be read; the old one stays")
        else:
            logger.warning("davylamp: another authority is in force")

    def _identity(self) -> tuple[int, int] | None:
        with contextlib.suppress(OSError):
            status = self._path.stat()
            return status.st_ino, status.st_mtime_ns
        return None
