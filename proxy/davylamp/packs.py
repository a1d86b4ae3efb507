"""The pack in force in a running gateway: found at the start, watched, changed, given back.

Whoever changes the store (`davylamp pack ...`) leaves a candidate there. The gateway has all
workers prepare it and try it on live traffic, writes down that it is in force, and switches all of
them; in that order, so that a gateway killed anywhere starts again with one whole pack. A pack
that breaks the inspection, or accuses many sandboxes of what the last one did not, is given back.
"""

import asyncio
import contextlib
import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from davylamp.config import GatewayConfig
from davylamp.errors import PackError
from davylamp.events import AlertEvent, AnyEvent, StatsEvent
from davylamp.signatures.memo import Memo
from davylamp.signatures.pack import Pack
from davylamp.updates.facts import pack_event
from davylamp.updates.install import GATEWAY_LOCK
from davylamp.updates.loading import Loaded, PackSource, load_source
from davylamp.updates.state import Candidate, Selection, State
from davylamp.updates.store import Lock, Store
from davylamp.updates.watch import Probation
from davylamp.workers.orders import TrialReport
from davylamp.workers.switchover import Switchover

_LOOK_SECONDS = 0.25
_AGAIN_SECONDS = 2.0
"""Until what failed for the moment is tried again: a worker was being started, a disk was full."""
_LOCK_SECONDS = 5.0
"""A command that finds no gateway has the gateway's lock for as long as it writes the state."""
_EXPIRY_SECONDS = 3600.0
_SLOWER = 3.0
"""How many times as long as the live pack a new one may take over the same bytes."""
_SLOW_SECONDS = 0.5
"""Spent in a trial before that ratio says anything."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Next:
    """What is to be in force: what was chosen, where it is read from, and what it is."""

    selection: Selection
    source: PackSource
    loaded: Loaded


class PackKeeper:
    """Keeps one gateway's pack; nothing of it changes before `watch` runs."""

    def __init__(self, config: GatewayConfig, store: Store, fixed: PackSource | None) -> None:
        """Find the pack to begin with; raise PackError where not even the shipped one can be used.

        ``fixed`` is a folder that the configuration names: only a SIGHUP reads it again then.
        """
        self._config = config.pack
        self._store = store
        self._fixed = fixed
        self._memo = Memo()
        self._notices: list[str] = []
        self._selection, self.source, self._loaded = self._find()
        self._stamp = (0, 0)
        self._due = 0.0
        """When to look again though nothing changed, on the monotonic clock; 0 for never."""
        self._again = asyncio.Event()
        self._probation: Probation | None = None
        self._failed: dict[str, int] = {}
        self._publish: Callable[[AnyEvent], None] = lambda _event: None

    @property
    def pack(self) -> Pack:
        """The pack in force now."""
        return self._loaded.pack

    @property
    def title(self) -> str:
        """The pack's name and version, for people."""
        return f"{self._loaded.pack.name} {self._loaded.pack.version}"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Have the store meanwhile; raise PackError where another gateway has it."""
        if self._fixed is not None:
            yield
            return
        with self._locked():
            self._refuse_left_over()
            yield

    def look_again(self) -> None:
        """Read the store, and the files of the pack, again (SIGHUP)."""
        self._again.set()

    def heard(self, event: AnyEvent) -> None:
        """Take note of an alert or of statistics: a pack that is new is on probation."""
        match event:
            case AlertEvent() if self._probation is not None:
                self._probation.alert(event.alert.signature_id, event.alert.rev, event.src_ip)
            case StatsEvent():
                failed = event.counters.get("exceptions", 0) + event.counters.get("failures", 0)
                self._failed[event.worker] = failed
                if self._probation is not None:
                    self._probation.errors(event.worker, failed)
            case _:
                pass

    async def watch(self, switchover: Switchover, publish: Callable[[AnyEvent], None]) -> None:
        """Follow the store until cancelled; say at once what is in force."""
        self._publish = publish
        for reason in self._notices:
            self._tell("refused", self._loaded, reason)
        self._tell("in-force", self._loaded, "")
        next_expiry = 0.0
        while True:
            now = time.monotonic()
            if now >= next_expiry:
                next_expiry = now + _EXPIRY_SECONDS
                self._tell_expiry()
            try:
                await self._look(switchover)
            except PackError as error:
                logger.error("the packs cannot be read: %s", error)  # noqa: TRY400 - no trace
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._again.wait(), _LOOK_SECONDS)

    # --- the start --------------------------------------------------------------------------

    def _locked(self) -> Lock:
        deadline = time.monotonic() + _LOCK_SECONDS
        while (lock := self._store.lock(GATEWAY_LOCK, wait=False)) is None:
            if time.monotonic() > deadline:
                raise PackError(
                    f"{self._store.folder}: another gateway uses these packs; "
                    "give each a pack.directory"
                )
            time.sleep(_LOOK_SECONDS / 10)
        return lock

    def _refuse_left_over(self) -> None:
        """Refuse what the last gateway was asked to take up, and ended over: it may be why."""
        with contextlib.suppress(PackError):  # that the state cannot be read was said
            if (left := self._store.state().candidate) is not None:
                reason = "the gateway was started again meanwhile; try again"
                self._change(lambda state: state.refuse(left, reason))

    def _find(self) -> tuple[Selection, PackSource, Loaded]:
        if self._fixed is not None:
            return Selection(), self._fixed, load_source(self._fixed, self._memo)
        try:
            state = self._store.state()
        except PackError as error:
            self._notice(error)
            state = State()
        for selection in (state.in_force, state.last_good or Selection()):
            source = self._store.source(selection)
            alone = msgspec.structs.replace(source, local="")
            for one in (source, alone):
                try:
                    return selection, one, load_source(one, self._memo)
                except PackError as error:
                    self._notice(error)
        bare = PackSource(path=self._store.source(Selection()).path)
        return Selection(), bare, load_source(bare, self._memo)

    def _notice(self, error: PackError) -> None:
        logger.error("the pack that was in force cannot be used as it was: %s", error)
        self._notices.append(str(error))

    # --- changes ----------------------------------------------------------------------------

    async def _look(self, switchover: Switchover) -> None:
        again = self._again.is_set()
        self._again.clear()
        if self._fixed is not None:
            if again:
                await self._reload(switchover, self._fixed)
            return
        stamp, due = self._store.stamp(), 0 < self._due <= time.monotonic()
        if stamp != self._stamp or due:
            self._stamp, self._due = stamp, 0.0
            state = self._store.state()
            if state.candidate is not None:
                await self._take_up(switchover, state.candidate)
            elif state.in_force != self._selection:
                await self._follow(switchover, state.in_force)
        if again:
            await self._reload(switchover, self._store.source(self._selection))
        if self._probation is not None and not self._due:
            await self._judge_probation(switchover)

    async def _take_up(self, switchover: Switchover, candidate: Candidate) -> None:
        """Try a candidate and put it in force, or refuse it; either is written down and said."""
        source = self._store.source(candidate.selection)
        try:
            loaded = await asyncio.to_thread(load_source, source, self._memo)
            await switchover.prepare(source, candidate.shadow_flows)
            shown = await self._try(switchover, candidate.shadow_flows)
            self._store.change(lambda state: state.take(candidate, shown))
        except PackError as error:
            switchover.drop()
            reason = str(error)
            self._change(lambda state: state.refuse(candidate, reason))
            self._tell("refused", self._loaded, f"{candidate.reason}: {reason}")
            return
        after = _Next(candidate.selection, source, loaded)
        await self._switch(switchover, after, shown, probation=candidate.probation)

    async def _follow(
        self, switchover: Switchover, selection: Selection, *, returning: bool = False
    ) -> None:
        """Take up what was put in force while there was no gateway to ask, or the last good."""
        source = self._store.source(selection)
        try:
            loaded = await asyncio.to_thread(load_source, source, self._memo)
        except PackError as error:
            self._tell("refused", self._loaded, str(error))
            return
        try:
            await switchover.prepare(source)
        except PackError as error:
            if not returning:
                logger.warning("the pack that was put in force is taken up later: %s", error)
                self._due = time.monotonic() + _AGAIN_SECONDS
                return
            # The pack that is left may be why; those that have not prepared are started again.
            logger.warning("the last good pack is taken up all the same: %s", error)
        after = _Next(selection, source, loaded)
        await self._switch(switchover, after, "the store was changed", probation=not returning)

    async def _reload(self, switchover: Switchover, source: PackSource) -> None:
        """Read the same pack again, for files that were changed."""
        try:
            loaded = await asyncio.to_thread(load_source, source, self._memo)
            if loaded.digest == self._loaded.digest:
                logger.info("the pack is as it was: %s", self.title)
                return
            await switchover.prepare(source)
        except PackError as error:
            self._tell("refused", self._loaded, str(error))
            return
        after = _Next(self._selection, source, loaded)
        await self._switch(switchover, after, "read again", probation=False)

    async def _try(self, switchover: Switchover, flows: int) -> str:
        """Let a prepared pack see live traffic; return how it did, or raise PackError."""
        if not flows:
            return "in force, not tried on traffic"
        deadline = time.monotonic() + self._config.shadow_seconds
        report = TrialReport()
        while time.monotonic() < deadline and report.flows < flows:
            await asyncio.sleep(_LOOK_SECONDS)
            report = await switchover.report()
        _check_trial(report)
        return _shown(report)

    async def _switch(
        self, switchover: Switchover, after: _Next, reason: str, *, probation: bool
    ) -> None:
        if after.selection.pack != self._selection.pack:
            # Before: workers that have switched may accuse somebody before all have.
            self._probation = self._begun(switchover, after.loaded) if probation else None
        pause = await switchover.switch(after.source)
        self._selection, self.source, self._loaded = after.selection, after.source, after.loaded
        self._tell("switched", after.loaded, reason, pause)
        self._tell_expiry()

    def _begun(self, switchover: Switchover, after: Loaded) -> Probation | None:
        if not self._config.watch_seconds:
            return None
        return Probation(
            self._loaded.pack,
            after.pack,
            self._config,
            failed=self._failed,
            ended=switchover.ended,
            began=time.monotonic(),
        )

    async def _judge_probation(self, switchover: Switchover) -> None:
        assert self._probation is not None
        now = time.monotonic()
        self._probation.ended(switchover.ended)
        reason = self._probation.verdict()
        if not reason:
            if self._probation.over(now):
                self._probation = None
            return
        last = self._store.state().last_good
        damaged = last is not None and not self._store.holds(last)
        state = self._change(lambda state: state.give_back(reason, shipped=damaged))
        if state is None:
            self._due = now + _AGAIN_SECONDS
            return
        self._tell("returned", self._loaded, reason)
        self._probation = None
        await self._follow(switchover, state.in_force, returning=True)

    def _change(self, changed: Callable[[State], State]) -> State | None:
        try:
            return self._store.change(changed)
        except PackError as error:
            logger.error("the packs' state cannot be written: %s", error)  # noqa: TRY400 - no trace
            return None

    # --- what is said -----------------------------------------------------------------------

    def _tell_expiry(self) -> None:
        manifest = self._loaded.manifest
        if manifest is not None and manifest.expires < dt.datetime.now(dt.UTC):
            reason = f"expired on {manifest.expires:%Y-%m-%d}: it goes on enforcing; update it"
            self._tell("expired", self._loaded, reason)

    def _tell(self, change: str, loaded: Loaded, reason: str, pause: float = 0.0) -> None:
        event = pack_event(change, loaded, dt.datetime.now(dt.UTC), reason, pause)
        bad = change in ("refused", "returned", "expired")
        logger.log(
            logging.ERROR if bad else logging.INFO,
            "pack %s %s %s%s%s",
            event.pack,
            event.version,
            change,
            ": " if reason else "",
            reason,
        )
        self._publish(event)


def _check_trial(report: TrialReport) -> None:
    if report.errors:
        raise PackError(f"the inspection failed on {report.errors} of {report.flows} live flows")
    if report.seconds > max(_SLOW_SECONDS, _SLOWER * report.live_seconds):
        raise PackError(
            f"too slow on live traffic: {report.seconds:.2f} s where the old pack took "
            f"{report.live_seconds:.2f} s"
        )


def _shown(report: TrialReport) -> str:
    def listed(found: dict[str, int]) -> str:
        most = sorted(found.items(), key=lambda pair: -pair[1])[:10]
        return ", ".join(f"{identity} on {count}" for identity, count in most)

    if not report.flows:
        return "in force, not tried on traffic: no new flow came meanwhile"
    differences = [
        f"{who} found {listed(found)}"
        for who, found in (("it alone", report.extra), ("the old pack alone", report.missing))
        if found
    ]
    return f"in force, tried on {report.flows} flows: " + (
        "; ".join(differences) or "both packs found the same"
    )
