"""A Bitcoin Stratum v1 miner that hashes for real, on the CPU.

Sources: the Stratum v1 documentation (braiins.com/stratum-v1/docs) and BIP 310.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence

from davylamp.lab.programs import stratum_v1
from davylamp.lab.programs.link import Link
from davylamp.lab.programs.miner_session import NONCES, SLICE, Budget, MinerOptions, MinerSession
from davylamp.lab.programs.report import Json
from davylamp.lab.programs.wire import batches

MAX_EXTRANONCE2 = 16


class StratumMiner(MinerSession):
    """configure, subscribe, authorize; then hash what the pool notifies and submit."""

    def __init__(self, link: Link, options: MinerOptions, budget: Budget) -> None:
        super().__init__(link, options, budget)
        self._job: stratum_v1.Job | None = None
        self._target = stratum_v1.target_of(1)
        self._extranonce1 = b""
        self._extranonce2_size = 0

    async def work(self) -> None:
        """Introduce ourselves and mine until the budget is spent."""
        rolling: Json = {"version-rolling.mask": "1fffe000", "version-rolling.min-bit-count": 2}
        opening = [
            self.request("mining.configure", [["version-rolling"], rolling]),
            self.request("mining.subscribe", [self.options.agent]),
            self.request("mining.authorize", [self.options.user, self.options.password]),
        ]
        subscribe = opening[1]["id"]
        for batch in batches(self.link.options.style, opening):
            for answer in await self.ask(*batch):
                if answer.get("id") == subscribe:
                    self._subscribed(answer.get("result"))
                elif answer.get("error"):
                    self.link.reporter.say("refused_by_pool", error=answer["error"])
        await self.job_came()
        while not self.budget.spent:
            await self._mine()

    def pushed(self, message: Mapping[str, Json]) -> None:
        """Take a job, a difficulty or a new extranonce."""
        params = message.get("params")
        arguments: Sequence[Json] = params if isinstance(params, list) else []
        match message.get("method"), arguments:
            case "mining.notify", _:
                self._notified(arguments)
            case "mining.set_difficulty", [int() | float() as difficulty] if difficulty > 0:
                self._target = stratum_v1.target_of(difficulty)
            case "mining.set_extranonce", [str(), int()]:
                self._subscribed([None, *arguments])
            case _:
                pass

    def _notified(self, arguments: Sequence[Json]) -> None:
        try:
            self._job = stratum_v1.Job.from_params(arguments)
        except ValueError as error:
            self.link.reporter.say("job_not_understood", error=str(error))
        else:
            self.take_job()

    def _subscribed(self, result: Json) -> None:
        match result:
            case [_, str(extranonce1), int(size)] if 0 < size <= MAX_EXTRANONCE2:
                self._extranonce1 = bytes.fromhex(extranonce1)
                self._extranonce2_size = size
            case _:
                raise ConnectionAbortedError("the pool's answer to mining.subscribe is not one")

    async def _mine(self) -> None:
        """Look for one share of the current job; give up where a newer job comes."""
        job, target = self._job, self._target
        assert job is not None
        self.job_seen()
        extra = secrets.token_bytes(self._extranonce2_size)
        header = job.header(self._extranonce1 + extra, job.ntime, 0, job.version)
        for start in range(0, NONCES, SLICE):
            if self.stale or self.budget.spent:
                return
            nonce = stratum_v1.search(header, target, start, SLICE)
            self.budget.hashes -= SLICE
            await asyncio.sleep(0)
            if nonce is not None:
                await self.submit(self._share(job, extra, nonce))
                return

    def _share(self, job: stratum_v1.Job, extra: bytes, nonce: int) -> dict[str, Json]:
        return self.request(
            "mining.submit",
            [self.options.user, job.job_id, extra.hex(), f"{job.ntime:08x}", f"{nonce:08x}"],
        )
