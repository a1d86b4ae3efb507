"""The pool's side of CryptoNote (Monero) stratum; shares are checked by shape, not by RandomX.

Source: XMRig's ``doc/STRATUM.md``; error words as nodejs-pool's users know them.
"""

import re
import secrets
from collections.abc import Mapping

from davylamp.lab.programs.cryptonote import Job, result_value, wide_target
from davylamp.lab.programs.pool_answer import KEPT_JOBS, MAX_SHARES, Answer
from davylamp.lab.programs.report import Json

_HEX_8 = re.compile(r"[0-9a-fA-F]{8}")
_HEX_64 = re.compile(r"[0-9a-fA-F]{64}")


class CryptonoteSession:
    """One connection's state: its session id, its recent jobs, the shares it has sent."""

    def __init__(self, difficulty: int) -> None:
        self._difficulty = difficulty
        self._id = secrets.token_hex(16)
        self._logged_in = False
        self._jobs: dict[str, Job] = {}
        self._seen: set[tuple[str, str]] = set()
        self._height = 3_300_000 + secrets.randbelow(10_000)
        self._seed_hash = secrets.token_bytes(32)

    def push(self, now: float) -> Answer:
        """Return a job on a fresh block."""
        job: Json = self._new_job(now)
        return Answer(({"jsonrpc": "2.0", "method": "job", "params": job},))

    def answer(self, request: Mapping[str, Json], now: float) -> Answer:
        """Answer one request; whatever is not understood gets a JSON-RPC error."""
        number, params = request.get("id"), request.get("params")
        members = params if isinstance(params, dict) else {}
        method = request.get("method")
        if method == "login":
            return self._login(number, members, now)
        if not self._logged_in or members.get("id") != self._id:
            return _refuse(number, "Unauthenticated", share=method == "submit")
        match method:
            case "keepalived":
                return Answer((_result(number, {"status": "KEEPALIVED"}),))
            case "getjob":
                return Answer((_result(number, self._new_job(now)),))
            case "submit":
                return self._submit(number, members)
            case _:
                return _refuse(number, "Invalid method")

    def _login(self, number: Json, members: Mapping[str, Json], now: float) -> Answer:
        if not isinstance(members.get("login"), str) or not members["login"]:
            return _refuse(number, "Invalid address used for login")
        self._logged_in = True
        result: dict[str, Json] = {
            "id": self._id,
            "job": self._new_job(now),
            "extensions": ["algo", "connect", "keepalive"],
            "status": "OK",
        }
        return Answer((_result(number, result),))

    def _new_job(self, now: float) -> dict[str, Json]:
        self._height += 1
        job = Job.fresh(self._difficulty, self._height, self._seed_hash, now)
        self._jobs[job.job_id] = job
        while len(self._jobs) > KEPT_JOBS:
            del self._jobs[next(iter(self._jobs))]
        return job.members()

    def _submit(self, number: Json, members: Mapping[str, Json]) -> Answer:
        if reason := self._fault(members):
            return _refuse(number, reason, share=True)
        return Answer((_result(number, {"status": "OK"}),), share=True)

    def _fault(self, members: Mapping[str, Json]) -> str:
        """Return what is wrong with a share, or nothing."""
        job_id, nonce, result = (members.get(name) for name in ("job_id", "nonce", "result"))
        if not isinstance(job_id, str) or (job := self._jobs.get(job_id)) is None:
            return "Invalid job id"
        if not isinstance(nonce, str) or not _HEX_8.fullmatch(nonce):
            return "Malformed nonce"
        if not isinstance(result, str) or not _HEX_64.fullmatch(result):
            return "Malformed result"
        if (job_id, nonce.lower()) in self._seen or len(self._seen) >= MAX_SHARES:
            return "Duplicate share"
        target = str(job.members()["target"])
        if result_value(bytes.fromhex(result)) > wide_target(target):
            return "Low difficulty share"
        self._seen.add((job_id, nonce.lower()))
        return ""


def _result(number: Json, result: Json) -> dict[str, Json]:
    return {"id": number, "jsonrpc": "2.0", "error": None, "result": result}


def _refuse(number: Json, words: str, *, share: bool = False) -> Answer:
    error: Json = {"code": -1, "message": words}
    message: dict[str, Json] = {"id": number, "jsonrpc": "2.0", "error": error}
    return Answer((message,), share=False if share else None, reason=words)
