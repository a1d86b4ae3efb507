"""A new flow's inspector: of the pack in force, and of one on trial beside it."""

from davylamp.inspection.beside import Trial, asked
from davylamp.inspection.glance import Settled, settled_as
from davylamp.inspection.inspector import InspectionLimits, Inspector
from davylamp.signatures.pack import Pack


class Inspectors:
    """Makes them; flows under inspection keep the one they began with.

    ``endpoints`` (address, port) are those that a pack lists, and ``ports`` are theirs: nearly
    every flow goes to another one.
    """

    __slots__ = ("_limits", "_measures", "_pack", "_trial", "endpoints", "ports")

    def __init__(self, pack: Pack, limits: InspectionLimits) -> None:
        self._limits = limits
        self._trial: Trial | None = None
        self.use(pack)

    def use(self, pack: Pack) -> None:
        """Inspect by another pack from now on."""
        self._pack = pack
        self._note()

    def try_beside(self, trial: Trial | None) -> None:
        """Inspect by another pack as well, or no longer."""
        self._trial = trial
        self._note()

    def new(self, *, begun: bool) -> Inspector:
        """Return an inspector; ``begun`` says that its flow is not seen from its beginning."""
        if self._trial is not None:
            inspector = self._trial.inspector(self._pack, self._limits)
        else:
            inspector = Inspector(self._pack, self._limits)
        if begun and self._measures:
            inspector.unmeasured()
        return inspector

    def settled_as(self, data: bytes) -> Settled | None:
        """Return what the first bytes of a flow make needless to inspect; see `glance`.

        While a pack is on trial nothing is, for both packs have to be asked.
        """
        if self._trial is not None:
            return None
        return settled_as(self._pack, data)

    def _note(self) -> None:
        packs = asked(self._pack, self._trial)
        listed = [one.endpoints.keys for one in packs if one.endpoints is not None]
        self.endpoints = listed[0] if len(listed) == 1 else frozenset[bytes]().union(*listed)
        self.ports = frozenset(int.from_bytes(one[-2:], "big") for one in self.endpoints)
        self._measures = any(
            one.combinations is not None and one.combinations.measures for one in packs
        )
