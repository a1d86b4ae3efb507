"""The ledger of an agent: what is held on its host is held on that host alone.

Inner addresses are the same on every host (172.17.0.2 is some container's on each), so in the store
they have the host before them: ``worker-1/172.17.0.2``. All else is as for any other address: the
history, the container's record, tool calls, news that come late or twice.
"""

import msgspec

from davylamp.attribution.hosts.model import SOURCE
from davylamp.attribution.model import Binding, address_on
from davylamp.attribution.sources.source import Ledger


class HostLedger:
    """Passes on to another ledger what sources say, as the word of the agent of a host."""

    def __init__(self, ledger: Ledger, host: str) -> None:
        self._ledger = ledger
        self._host = host

    async def bind(self, binding: Binding) -> Binding:
        """Bind an address of the host's own."""
        own = msgspec.structs.replace(
            binding, ip=address_on(self._host, binding.ip), source=f"{SOURCE}{self._host}"
        )
        return await self._ledger.bind(own)

    async def release(self, ip: str, lifecycle: str, at: float) -> None:
        """Release an address of the host's own."""
        await self._ledger.release(address_on(self._host, ip), lifecycle, at)

    async def held(self, source: str) -> list[Binding]:  # noqa: ARG002 - all are the agent's
        """Return what this host's agent said of every current hold, as its source knows it."""
        prefix = f"{self._host}/"
        return [
            msgspec.structs.replace(claim, ip=claim.ip.removeprefix(prefix))
            for claim in await self._ledger.held(f"{SOURCE}{self._host}")
            if claim.ip.startswith(prefix)
        ]

    async def current(self) -> list[Binding]:
        """Return every hold of the host's own, as its source knows it."""
        prefix = f"{self._host}/"
        return [
            msgspec.structs.replace(hold, ip=hold.ip.removeprefix(prefix))
            for hold in await self._ledger.current()
            if hold.ip.startswith(prefix)
        ]
