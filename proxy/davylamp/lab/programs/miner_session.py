"""What both miners share: the budget they may spend, questions awaiting answers, the two tasks."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from davylamp.lab.programs.link import Link
from davylamp.lab.programs.report import Json

# Nonces hashed before the event loop gets its turn: under 10 ms, so a reset is seen at once.
SLICE = 4096
NONCES = 1 << 32


@dataclass(slots=True)
class Budget:
    """What a run may still spend, over all its connections; a share limit of zero is none."""

    hashes: int
    shares: int = 0
    accepted: int = 0
    rejected: int = 0

    @property
    def spent(self) -> bool:
        """Whether it is time to stop."""
        return self.hashes <= 0 or (0 < self.shares <= self.accepted)


@dataclass(frozen=True, slots=True)
class MinerOptions:
    """Who mines, and how often it speaks; times in seconds."""

    user: str
    password: str
    agent: str
    share_interval: float = 0.5
    keepalive: float = 60.0


class MinerSession(ABC):
    """One connection's mining: a task that listens, and one that works and asks."""

    def __init__(self, link: Link, options: MinerOptions, budget: Budget) -> None:
        self.link = link
        self.options = options
        self.budget = budget
        self._next_id = 1
        self._waiting: dict[int, asyncio.Future[Mapping[str, Json]]] = {}
        self._fresh_job = asyncio.Event()

    async def run(self) -> None:
        """Mine until the budget is spent; raise what ended the connection otherwise."""
        tasks = {asyncio.create_task(self._listen()), asyncio.create_task(self.work())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    @abstractmethod
    async def work(self) -> None:
        """Introduce ourselves and mine until the budget is spent."""

    @abstractmethod
    def pushed(self, message: Mapping[str, Json]) -> None:
        """Take a message that the pool sent unasked."""

    def request(self, method: str, params: Json) -> dict[str, Json]:
        """Return a request with an id of its own."""
        number = self._next_id
        self._next_id += 1
        return {"id": number, "method": method, "params": params}

    async def ask(self, *requests: dict[str, Json]) -> list[Mapping[str, Json]]:
        """Send a batch and await all its answers; raise TimeoutError when patience ends."""
        loop = asyncio.get_running_loop()
        numbers = [number for one in requests if isinstance(number := one["id"], int)]
        futures = [loop.create_future() for _ in numbers]
        self._waiting.update(zip(numbers, futures, strict=True))
        try:
            await self.link.send(*requests)
            async with asyncio.timeout(self.link.options.patience):
                return [await future for future in futures]
        finally:
            for number in numbers:
                self._waiting.pop(number, None)

    async def job_came(self) -> None:
        """Wait for the pool's next job; raise TimeoutError when patience ends."""
        async with asyncio.timeout(self.link.options.patience):
            await self._fresh_job.wait()

    def take_job(self) -> None:
        """Note that a job is there (``job_came``) and is the one to work on."""
        self._fresh_job.set()

    def job_seen(self) -> None:
        """Note that the current job is being worked on, so that a newer one interrupts."""
        self._fresh_job.clear()

    @property
    def stale(self) -> bool:
        """Whether a newer job has come since ``job_seen``."""
        return self._fresh_job.is_set()

    async def submit(self, request: dict[str, Json]) -> None:
        """Submit a share and count the pool's word on it, then pause for the share interval."""
        (answer,) = await self.ask(request)
        error: Json = answer.get("error")
        if error or not answer.get("result"):
            self.budget.rejected += 1
            self.link.reporter.say("share_rejected", error=error)
        else:
            self.budget.accepted += 1
            self.link.reporter.say("share_accepted", total=self.budget.accepted)
        if not self.budget.spent:
            await asyncio.sleep(self.options.share_interval)

    async def _listen(self) -> None:
        while True:
            message = await self.link.receive()
            number = message.get("id")
            if "method" in message or not isinstance(number, int):
                self.pushed(message)
            elif (future := self._waiting.get(number)) and not future.done():
                future.set_result(message)
