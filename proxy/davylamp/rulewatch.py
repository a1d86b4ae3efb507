"""Whether the rules are still in force; they are put back where they are not.

Most firewalls begin by flushing all that is there (``nft flush ruleset``), so loading one again on
the host of a gateway would let everything by unjudged, and no packet would tell. The table is asked
for once a second, which costs a message to the kernel; iptables' rules less often, for they are
another program's to ask for.
"""

import asyncio
import logging
from collections.abc import Callable
from itertools import count

from davylamp.enforcement.kernel import Kernel
from davylamp.errors import KernelError

_LOOK_SECONDS = 1.0
_THOROUGH_EVERY = 10

logger = logging.getLogger(__name__)


class RuleWatch:
    """The task: ``run()`` until cancelled.

    ``restored`` counts how often rules were put back, ``problem`` says why they cannot be;
    ``on_restored`` is called after each time, for all that the sets held is gone; and again if it
    raises KernelError, as it does where they are taken out again at once.
    """

    def __init__(self, kernel: Kernel, on_restored: Callable[[], None]) -> None:
        self._kernel = kernel
        self._on_restored = on_restored
        self.restored = 0
        self.problem = ""
        self._untold = False

    async def run(self) -> None:
        """Look, and go on looking whatever is found."""
        for number in count(1):
            await asyncio.sleep(_LOOK_SECONDS)
            await self._look(thorough=number % _THOROUGH_EVERY == 0)

    async def _look(self, *, thorough: bool) -> None:
        before = self.problem
        try:
            restored = await asyncio.to_thread(self._kernel.restore, thorough=thorough)
            self.problem = ""
            if restored:
                self._tell_restored()
            if self._untold:
                self._on_restored()
                self._untold = False
        except KernelError as error:
            self.problem = f"the rules are not in force: {error}"
            if not before:
                logger.error("%s", self.problem)  # noqa: TRY400 - the kernel's own words

    def _tell_restored(self) -> None:
        self.restored += 1
        self._untold = True
        logger.error(
            "somebody else took the rules out, and they are in force again; what passed in "
            "between was not judged. Have the host's firewall leave other tables alone "
            "(docs/operations.md#davylamprulestaken)"
        )
