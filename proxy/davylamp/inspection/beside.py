"""A new pack tried beside the live one: the same bytes to both, and only the live one counts.

Strategy: of the flows that begin while a trial runs, a bounded number is inspected twice. Both see
the same bytes at the same time, so what differs in a call's findings is the packs' difference.
Whatever the new pack does, the live one's answer is returned, and an error ends that flow's trial.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from davylamp.flow import Direction
from davylamp.inspection.finding import Finding
from davylamp.inspection.inspector import InspectionLimits, Inspector, inspect_certificate
from davylamp.inspection.wire.tls import ClientHello
from davylamp.signatures.pack import Pack

_MAX_SIGNATURES = 100
"""Differences that are kept by name; what a sandbox sends decides how many there could be."""


@dataclass(slots=True)
class Trial:
    """One trial of ``pack`` on up to ``wanted`` flows, and how it goes; times in seconds."""

    pack: Pack
    wanted: int
    clock: Callable[[], float]
    flows: int = 0
    errors: int = 0
    extra: dict[str, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    live_seconds: float = 0.0

    def inspector(self, live: Pack, limits: InspectionLimits) -> Inspector:
        """Return a new flow's inspector, on trial if that is still wanted."""
        return self.beside(live, limits) if self.admit() else Inspector(live, limits)

    def admit(self) -> bool:
        """Tell whether a new flow is to be on trial; it is counted then."""
        if self.flows >= self.wanted:
            return False
        self.flows += 1
        return True

    def beside(self, live: Pack, limits: InspectionLimits) -> Inspector:
        """Return an inspector of a flow that was admitted, or of a part of it."""
        return TriedInspector(live, limits, self)

    def noticed(self, event: str, live: Pack) -> None:
        """Note that something was noticed outside the bytes of a flow that was admitted."""
        self.differ(_waiting_for(event, live), _waiting_for(event, self.pack))

    def certified(self, der: bytes, found: tuple[Finding, ...]) -> None:
        """Note what the live pack found in a server's certificate, before any byte of the flow."""
        try:
            self.compare(found, inspect_certificate(self.pack, der))
        except Exception:  # noqa: BLE001 - whatever it is, it says that the pack is not fit
            self.errors += 1

    def compare(self, live: tuple[Finding, ...], new: tuple[Finding, ...]) -> None:
        """Note what only one of the packs found."""
        ours = {str(one.signature.id) for one in live}
        theirs = {str(one.signature.id) for one in new}
        self.differ(ours, theirs)

    def differ(self, ours: set[str], theirs: set[str]) -> None:
        """Note the ids of signatures that only one of the packs matched."""
        for counts, found in ((self.extra, theirs - ours), (self.missing, ours - theirs)):
            for identity in found:
                if identity in counts or len(counts) < _MAX_SIGNATURES:
                    counts[identity] = counts.get(identity, 0) + 1


def asked(live: Pack, trial: Trial | None) -> tuple[Pack, ...]:
    """Return the packs that a flow is shown to: the live one, and one on trial."""
    return (live,) if trial is None else (live, trial.pack)


def _waiting_for(event: str, pack: Pack) -> set[str]:
    signature = pack.match_event(event)
    return set() if signature is None else {str(signature.id)}


class TriedInspector(Inspector):
    """An inspector of the live pack that shows everything to one of the new pack as well."""

    __slots__ = ("_beside", "_trial")

    def __init__(self, live: Pack, limits: InspectionLimits, trial: Trial) -> None:
        super().__init__(live, limits)
        self._trial = trial
        self._beside: Inspector | None = Inspector(trial.pack, limits)

    @property
    def settled(self) -> bool:
        """Whether both have judged the first bytes: what one waits for stays with both."""
        return super().settled and (self._beside is None or self._beside.settled)

    @property
    def held(self) -> int:
        """Bytes that both inspections' buffers hold."""
        return super().held + (self._beside.held if self._beside is not None else 0)

    def receive(self, direction: Direction, data: bytes, now: float) -> tuple[Finding, ...]:
        """Take the next bytes; return what the live pack makes of them."""
        began = self._trial.clock()
        found = super().receive(direction, data, now)
        self._trial.live_seconds += self._trial.clock() - began
        beside = self._beside
        if beside is not None:
            began = self._trial.clock()
            try:
                new = beside.receive(direction, data, now)
                self._trial.compare(found, new)
            except Exception:  # noqa: BLE001 - whatever it is, it says that the pack is not fit
                self._fail()
            self._trial.seconds += self._trial.clock() - began
        return found

    def reach(self, key: bytes, now: float) -> None:
        """Note where the flow goes."""
        super().reach(key, now)
        self._also(lambda beside: beside.reach(key, now))

    def greeted(self, hello: ClientHello) -> None:
        """Note the hello of the TLS around."""
        super().greeted(hello)
        self._also(lambda beside: beside.greeted(hello))

    def certified(self, der: bytes) -> None:
        """Note the server's certificate."""
        super().certified(der)
        self._also(lambda beside: beside.certified(der))

    def unmeasured(self) -> None:
        """Ask nothing about sizes."""
        super().unmeasured()
        self._also(lambda beside: beside.unmeasured())

    def gap(self, direction: Direction, size: int) -> None:
        """Note a hole."""
        super().gap(direction, size)
        self._also(lambda beside: beside.gap(direction, size))

    def rewind(self, direction: Direction, offset: int) -> None:
        """Note that earlier bytes come."""
        super().rewind(direction, offset)
        self._also(lambda beside: beside.rewind(direction, offset))

    def conflict(self, direction: Direction, payload: bytes) -> tuple[Finding, ...]:
        """Note a contradiction."""
        self._also(lambda beside: beside.conflict(direction, payload))
        return super().conflict(direction, payload)

    def _also(self, show: Callable[[Inspector], object]) -> None:
        if self._beside is None:
            return
        try:
            show(self._beside)
        except Exception:  # noqa: BLE001 - as above
            self._fail()

    def _fail(self) -> None:
        self._trial.errors += 1
        self._beside = None
