"""The pool accepts Stratum shares that are real work, and no others."""

from typing import Any

import pytest

from davylamp.lab.programs.pool_answer import KEPT_JOBS
from davylamp.lab.programs.pool_stratum import StratumSession
from davylamp.lab.programs.stratum_v1 import Job, search, target_of

DIFFICULTY = 1e-6  # about 4,300 hashes
NOW = 1_760_000_000.0


class Miner:
    """Speaks to a session without a socket."""

    def __init__(self) -> None:
        self.session = StratumSession(DIFFICULTY)
        self.extranonce1 = self.ask("mining.subscribe", ["t/1"])[0]["result"][1]
        authorized = self.ask("mining.authorize", ["w", "x"])
        self.job = Job.from_params(authorized[2]["params"])

    def ask(self, method: str, params: list[Any]) -> tuple[Any, ...]:
        """Return the messages that one request is answered with."""
        return self.session.answer({"id": 1, "method": method, "params": params}, NOW).messages

    def share(self, extra: str = "00000000", version: int | None = None) -> list[str]:
        """Return a good share of the first job, hashed for real."""
        extranonce = bytes.fromhex(self.extranonce1 + extra)
        rolled = self.job.version if version is None else version
        header = self.job.header(extranonce, self.job.ntime, 0, rolled)
        nonce = search(header, target_of(DIFFICULTY), 0, 1 << 20)
        assert nonce is not None
        return ["w", self.job.job_id, extra, f"{self.job.ntime:08x}", f"{nonce:08x}"]

    def submit(self, *share: str) -> Any:
        """Return True where the share is accepted, else the error's code."""
        (answer,) = self.ask("mining.submit", list(share))
        return answer["result"] or answer["error"][0]


def test_real_work_is_accepted_once() -> None:
    """A share that meets the target counts; the same share again is error 22."""
    miner = Miner()
    share = miner.share()
    assert miner.submit(*share) is True
    assert miner.submit(*share) == 22


@pytest.mark.parametrize(
    ("position", "value", "code"),
    [
        (0, "someone else", 24),
        (1, "no such job", 21),
        (2, "00000001", 23),
        (2, "zz000000", 20),
        (2, "00", 20),
        (3, "00000000", 20),
        (4, "nonsense", 20),
    ],
)
def test_a_changed_share_is_refused(position: int, value: str, code: int) -> None:
    """Changing any member of a good share makes it the error that the protocol names."""
    miner = Miner()
    share = miner.share()
    share[position] = value
    assert miner.submit(*share) == code


def test_version_rolling() -> None:
    """Rolled version bits are hashed into the header once the mask is agreed, not before."""
    miner = Miner()
    bits = 0x00002000
    share = [*miner.share(version=miner.job.version | bits), f"{bits:08x}"]
    assert miner.submit(*share) == 20
    (configured,) = miner.ask(
        "mining.configure", [["version-rolling"], {"version-rolling.mask": "1fffe000"}]
    )
    assert configured["result"] == {
        "version-rolling": True,
        "version-rolling.mask": "1fffe000",
    }
    assert miner.submit(*share) is True


def test_old_jobs_are_forgotten() -> None:
    """Jobs are kept for late shares, but only so many."""
    miner = Miner()
    share = miner.share()
    for _ in range(KEPT_JOBS):
        miner.session.push(NOW)
    assert miner.submit(*share) == 21


def test_work_before_introduction_is_refused() -> None:
    """A share without mining.subscribe is error 25."""
    session = StratumSession(DIFFICULTY)
    params = ["w", "1", "00000000", "00000000", "00000000"]
    answer = session.answer({"id": 1, "method": "mining.submit", "params": params}, NOW)
    assert answer.share is False
    assert answer.messages[0]["error"] == [25, "Not subscribed", None]
