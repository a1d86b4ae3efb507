"""A CryptoNote (Monero) stratum miner with XMRig's messages and a stand-in for RandomX.

Source: XMRig's ``doc/STRATUM.md`` and ``Client.cpp``: login, submit and keepalived as it sends
them, ``jsonrpc`` included. Its shares are well-formed and under the target of the stand-in hash.
"""

import asyncio
import secrets
from collections.abc import Mapping

from davylamp.lab.programs import cryptonote
from davylamp.lab.programs.miner_session import NONCES, SLICE, MinerSession
from davylamp.lab.programs.report import Json
from davylamp.lab.programs.wire import batches

_ALGORITHMS = """
    cn/1 cn/2 cn/r cn/fast cn/half cn/xao cn/rto cn/rwz cn/zls cn/double cn/ccx cn-lite/1
    cn-heavy/0 cn-heavy/tube cn-heavy/xhv cn-pico cn-pico/tlo cn/upx2 rx/0 rx/wow rx/arq
    rx/graft rx/sfx rx/keva argon2/chukwa argon2/chukwav2 argon2/ninja ghostrider
"""


class CryptonoteMiner(MinerSession):
    """login; then look for shares of the pool's job, submit them, and keep the session alive."""

    _session = ""
    _job_id = ""
    _blob = b""
    _bound = 0

    async def work(self) -> None:
        """Introduce ourselves and mine until the budget is spent."""
        introduction: Json = {
            "login": self.options.user,
            "pass": self.options.password,
            "agent": self.options.agent,
            "algo": _ALGORITHMS.split(),
        }
        opening = [self.request("login", introduction), self.request("keepalived", {"id": ""})]
        first, *_ = batches(self.link.options.style, opening)
        answers = await self.ask(*first)
        self._logged_in(answers[0])
        async with asyncio.TaskGroup() as group:
            beat = group.create_task(self._keep_alive())
            while not self.budget.spent:
                await self._mine()
            beat.cancel()

    def request(self, method: str, params: Json) -> dict[str, Json]:
        """Return a request in XMRig's order of members."""
        plain = super().request(method, params)
        return {"id": plain["id"], "jsonrpc": "2.0", "method": method, "params": params}

    def pushed(self, message: Mapping[str, Json]) -> None:
        """Take a job."""
        if message.get("method") == "job":
            self._take(message.get("params"))

    def _logged_in(self, answer: Mapping[str, Json]) -> None:
        match answer.get("result"):
            case {"id": str(session), "job": job}:
                self._session = session
                self._take(job)
            case _:
                self.link.reporter.say("refused_by_pool", error=answer.get("error"))
                raise ConnectionAbortedError("the pool refused the login")

    def _take(self, job: Json) -> None:
        match job:
            case {"job_id": str(job_id), "blob": str(blob), "target": str(target)}:
                pass
            case _:
                self.link.reporter.say("job_not_understood", error="members are missing")
                return
        try:
            self._blob, self._bound = bytes.fromhex(blob), cryptonote.wide_target(target)
        except ValueError as error:
            self.link.reporter.say("job_not_understood", error=str(error))
            return
        self._job_id = job_id
        self.take_job()

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self.options.keepalive)
            await self.ask(self.request("keepalived", {"id": self._session}))

    async def _mine(self) -> None:
        """Look for one share of the current job; give up where a newer job comes."""
        self.job_seen()
        job_id, blob, bound = self._job_id, self._blob, self._bound
        begin = secrets.randbelow(NONCES // 2)
        for start in range(begin, NONCES, SLICE):
            if self.stale or self.budget.spent:
                return
            found = cryptonote.search(blob, bound, start, SLICE)
            self.budget.hashes -= SLICE
            await asyncio.sleep(0)
            if found is not None:
                nonce, result = found
                share: Json = {
                    "id": self._session,
                    "job_id": job_id,
                    "nonce": nonce.to_bytes(4, "little").hex(),
                    "result": result.hex(),
                    "algo": "rx/0",
                }
                await self.submit(self.request("submit", share))
                return
