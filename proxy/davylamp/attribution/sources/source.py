"""What a source of lineage is, what it writes to, and how its health is told.

A source follows something that knows containers and tells the ledger of each bind and release. It
keeps nothing on disk: whenever it begins, it asks what runs now, and puts right what it once wrote.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from davylamp.attribution.claims import claims_of
from davylamp.attribution.model import Binding
from davylamp.attribution.store import AsyncStore

_MOST_HELD = 262_144


class Ledger(Protocol):
    """Where binds and releases go; each raises LineageUnavailable while the store is away."""

    async def bind(self, binding: Binding) -> Binding:
        """Bind an address; return the hold as it now stands."""
        ...

    async def release(self, ip: str, lifecycle: str, at: float) -> None:
        """Release an address if that lifecycle holds it."""
        ...

    async def held(self, source: str) -> list[Binding]:
        """Return what a source itself said of every hold that is current."""
        ...

    async def current(self) -> list[Binding]:
        """Return every hold that is current, with all that was said of it."""
        ...


@dataclass(slots=True)
class Health:
    """How a source is; times are seconds since the epoch.

    ``connected``: it follows what happens, and what it wrote agrees with what runs.
    """

    name: str
    connected: bool = False
    connections: int = 0
    last_event: float | None = None
    error: str = ""

    def begun(self) -> None:
        """Note that what is written agrees with what runs, and that it is followed from now on."""
        self.connected = True
        self.connections += 1
        self.error = ""

    def failed(self, error: str) -> None:
        """Note why it follows no more."""
        self.connected = False
        self.error = error

    def text(self, now: float) -> str:
        """Return all of it in one line for people."""
        state = "following" if self.connected else f"not following: {self.error or 'not yet'}"
        ago = "no event yet" if self.last_event is None else f"{now - self.last_event:.0f} s ago"
        again = max(0, self.connections - 1)
        return f"{self.name}: {state}; last event: {ago}; connected again {again} times"


class Source(Protocol):
    """Something that knows which container has which address."""

    name: str

    async def run(self, ledger: Ledger, health: Health) -> None:
        """Follow until it fails: any exception means that it is to be begun again."""
        ...


class StoreLedger:
    """The ledger in the lineage store."""

    def __init__(self, store: AsyncStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    async def bind(self, binding: Binding) -> Binding:
        """Bind an address; return the hold as it now stands."""
        return await self._store.run(self._store.operations.bind(binding, self._clock()))

    async def release(self, ip: str, lifecycle: str, at: float) -> None:
        """Release an address if that lifecycle holds it."""
        await self._store.run(self._store.operations.release(ip, lifecycle, at, self._clock()))

    async def held(self, source: str) -> list[Binding]:
        """Return what a source itself said of every hold that is current, with its address."""
        return [
            msgspec.structs.replace(claim, ip=hold.ip)
            for hold in await self.current()
            for claim in claims_of(hold)
            if claim.source == source
        ]

    async def current(self) -> list[Binding]:
        """Return every hold that is current, with all that was said of it."""
        return await self._store.run(self._store.operations.current(_MOST_HELD))
