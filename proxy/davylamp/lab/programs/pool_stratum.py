"""The pool's side of Bitcoin Stratum v1; shares are verified with real double SHA-256.

Sources: the Stratum v1 documentation (braiins.com/stratum-v1/docs) for messages and error codes,
BIP 310 for mining.configure and version rolling, BIP 34 for the height in the coinbase.
"""

import secrets
import struct
from collections.abc import Mapping, Sequence

from davylamp.lab.programs.pool_answer import KEPT_JOBS, MAX_SHARES, Answer
from davylamp.lab.programs.report import Json
from davylamp.lab.programs.stratum_v1 import Job, share_value, target_of

EXTRANONCE2_SIZE = 4
# The bits that BIP 320 sets aside for version rolling.
VERSION_MASK = 0x1FFFE000
# A miner may roll the time this far ahead of the job's (Bitcoin consensus allows two hours).
NTIME_AHEAD = 7200


class StratumSession:
    """One connection's state: its extranonce, its recent jobs, the shares it has sent."""

    def __init__(self, difficulty: float) -> None:
        self._difficulty = difficulty
        self._target = target_of(difficulty)
        self._extranonce1 = secrets.token_bytes(4)
        self._mask = 0
        self._subscribed = False
        self._workers: set[str] = set()
        self._jobs: dict[str, Job] = {}
        self._seen: set[tuple[str, ...]] = set()
        self._height = 870_000 + secrets.randbelow(10_000)

    def push(self, now: float) -> Answer:
        """Return the difficulty and a job on a fresh block."""
        job = self._new_job(now)
        return Answer(
            (
                _push("mining.set_difficulty", [self._difficulty]),
                _push("mining.notify", job.params()),
            )
        )

    def answer(self, request: Mapping[str, Json], now: float) -> Answer:
        """Answer one request; whatever is not understood gets the protocol's error 20."""
        number, params = request.get("id"), request.get("params")
        arguments: Sequence[Json] = params if isinstance(params, list) else []
        match request.get("method"):
            case "mining.submit":
                return self._submit(number, arguments)
            case "mining.authorize":
                return self._authorize(number, arguments, now)
            case "mining.suggest_difficulty" | "mining.suggest_target":
                message = _push("mining.set_difficulty", [self._difficulty])
            case "mining.configure":
                message = _result(number, self._configure(arguments))
            case "mining.subscribe":
                message = _result(number, self._subscribe())
            case "mining.extranonce.subscribe":
                message = _result(number, True)
            case _:
                message = _error(number, 20, "Unknown method")
        return Answer((message,))

    def _configure(self, arguments: Sequence[Json]) -> dict[str, Json]:
        match arguments:
            case [list(wanted), *rest]:
                options = rest[0] if rest and isinstance(rest[0], dict) else {}
            case _:
                return {}
        agreed: dict[str, Json] = {}
        if "version-rolling" in wanted:
            asked = _number(options.get("version-rolling.mask"))
            self._mask = VERSION_MASK & (0xFFFFFFFF if asked is None else asked)
            agreed["version-rolling"] = True
            agreed["version-rolling.mask"] = f"{self._mask:08x}"
        for extension in ("minimum-difficulty", "subscribe-extranonce"):
            if extension in wanted:
                agreed[extension] = True
        return agreed

    def _subscribe(self) -> list[Json]:
        self._subscribed = True
        token = self._extranonce1.hex()
        pushed = [["mining.set_difficulty", token], ["mining.notify", token]]
        return [pushed, token, EXTRANONCE2_SIZE]

    def _authorize(self, number: Json, arguments: Sequence[Json], now: float) -> Answer:
        match arguments:
            case [str(worker), *_] if worker and len(self._workers) < KEPT_JOBS:
                self._workers.add(worker)
                return Answer((_result(number, True), *self.push(now).messages))
            case _:
                return Answer((_error(number, 24, "Unauthorized worker"),))

    def _new_job(self, now: float) -> Job:
        self._height += 1
        # BIP 34: a push of three bytes of height, then room for both extranonces.
        script = b"\x03" + self._height.to_bytes(3, "little") + b"\x0a/lab pool/"
        room = len(self._extranonce1) + EXTRANONCE2_SIZE
        length = bytes((len(script) + room,))
        pay = bytes((0x00, 0x14)) + secrets.token_bytes(20)
        output = struct.pack("<Q", 312_500_000) + bytes((len(pay),)) + pay
        job = Job(
            job_id=secrets.token_hex(4),
            prev_hash=secrets.token_bytes(28) + bytes(4),
            coinb1=struct.pack("<IB32sI", 1, 1, bytes(32), 0xFFFFFFFF) + length + script,
            coinb2=b"\xff\xff\xff\xff\x01" + output + bytes(4),
            branches=tuple(secrets.token_bytes(32) for _ in range(11)),
            version=0x20000000,
            nbits=0x17028C61,
            ntime=int(now),
            clean=True,
        )
        self._jobs[job.job_id] = job
        while len(self._jobs) > KEPT_JOBS:
            del self._jobs[next(iter(self._jobs))]
        return job

    def _submit(self, number: Json, arguments: Sequence[Json]) -> Answer:
        code, reason = self._judge(arguments)
        if code:
            return Answer((_error(number, code, reason),), share=False, reason=reason)
        return Answer((_result(number, True),), share=True)

    def _judge(self, arguments: Sequence[Json]) -> tuple[int, str]:
        """Return the error code and words for a share, or zero where it is valid."""
        match arguments:
            case [str(worker), str(job_id), str(extra), str(ntime), str(nonce), *rest]:
                share = (job_id, extra, ntime, nonce, *(str(one) for one in rest[:1]))
            case _:
                return 20, "Malformed share"
        if not self._subscribed:
            return 25, "Not subscribed"
        if worker not in self._workers:
            return 24, "Unauthorized worker"
        if (job := self._jobs.get(job_id)) is None:
            return 21, "Job not found"
        if share in self._seen or len(self._seen) >= MAX_SHARES:
            return 22, "Duplicate share"
        return self._judge_work(job, share)

    def _judge_work(self, job: Job, share: tuple[str, ...]) -> tuple[int, str]:
        _, extra, ntime, nonce, *bits = share
        when, number = _number(ntime), _number(nonce)
        rolled = _number(bits[0]) if bits else 0
        if when is None or number is None or rolled is None or len(extra) != 2 * EXTRANONCE2_SIZE:
            return 20, "Malformed share"
        if not job.ntime <= when <= job.ntime + NTIME_AHEAD:
            return 20, "Time out of range"
        if rolled & ~self._mask:
            return 20, "Version bits outside the mask"
        try:
            extranonce = self._extranonce1 + bytes.fromhex(extra)
        except ValueError:
            return 20, "Malformed share"
        version = (job.version & ~self._mask) | rolled
        if share_value(job.header(extranonce, when, number, version)) > self._target:
            return 23, "Low difficulty share"
        self._seen.add(share)
        return 0, ""


def _number(text: Json) -> int | None:
    """Return an eight-digit hexadecimal number, or None."""
    if not isinstance(text, str) or len(text) != 8:
        return None
    try:
        return int.from_bytes(bytes.fromhex(text), "big")
    except ValueError:
        return None


def _result(number: Json, result: Json) -> dict[str, Json]:
    return {"id": number, "result": result, "error": None}


def _error(number: Json, code: int, words: str) -> dict[str, Json]:
    return {"id": number, "result": None, "error": [code, words, None]}


def _push(method: str, params: list[Json]) -> dict[str, Json]:
    return {"id": None, "method": method, "params": params}
