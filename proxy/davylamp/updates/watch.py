"""A new pack's probation: whether it breaks the inspection, or accuses too many at once.

A sandbox must not be able to send a pack back by mining: alerts count only from signatures that the
last pack did not have like this, and only once for each sandbox.
"""

from davylamp.config import PackConfig
from davylamp.signatures.pack import Pack

_MAX_SANDBOXES = 100_000


class Probation:
    """One new pack's first minutes.

    ``began`` is a monotonic time in seconds, ``failed`` how often each worker's inspection had
    failed by then, ``ended`` how often workers had ended.
    """

    def __init__(  # noqa: PLR0913 - all that a pack is held against
        self,
        before: Pack,
        after: Pack,
        config: PackConfig,
        *,
        failed: dict[str, int],
        ended: int,
        began: float,
    ) -> None:
        old = {(str(one.id), one.rev) for one in before.signatures.values()}
        self._new = {(str(one.id), one.rev) for one in after.signatures.values()} - old
        self._config = config
        self._until = began + config.watch_seconds
        self._accused: set[str] = set()
        self._first = dict(failed)
        self._failed: dict[str, int] = {}
        self._first_ended = ended
        self._ended = 0

    def alert(self, identity: str, rev: int, source: str) -> None:
        """Note an alert of a signature about a sandbox's address."""
        if (identity, rev) in self._new and len(self._accused) < _MAX_SANDBOXES:
            self._accused.add(source)

    def errors(self, worker: str, failed: int) -> None:
        """Note how often a worker's inspection has failed since that worker began."""
        first = self._first.setdefault(worker, 0)
        if failed < first:  # it was started again
            first = self._first[worker] = 0
        self._failed[worker] = failed - first

    def ended(self, count: int) -> None:
        """Note how often workers have ended by themselves; each may be the pack's doing."""
        self._ended = max(self._ended, count - self._first_ended)

    def over(self, now: float) -> bool:
        """Tell whether the pack has held."""
        return now >= self._until

    def verdict(self) -> str:
        """Return why the pack must go, or an empty string."""
        failed = sum(self._failed.values()) + self._ended
        if failed >= self._config.return_errors:
            return f"the inspection failed {failed} times since it is in force"
        if len(self._accused) >= self._config.return_sandboxes:
            return f"its new signatures alert on {len(self._accused)} sandboxes"
        return ""
