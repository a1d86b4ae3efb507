"""The pool checks CryptoNote shares by their shape, in the order pools check them."""

from typing import Any

import pytest

from davylamp.lab.programs.cryptonote import compact_target, search, wide_target
from davylamp.lab.programs.pool_cryptonote import CryptonoteSession

NOW = 1_760_000_000.0


class Miner:
    """Speaks to a session without a socket."""

    def __init__(self) -> None:
        self.session = CryptonoteSession(50)
        result = self.ask("login", {"login": "4wallet", "pass": "x"})["result"]
        self.id, self.job = result["id"], result["job"]

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        """Return the answer to one request."""
        request: dict[str, Any] = {"id": 1, "jsonrpc": "2.0", "method": method, "params": params}
        (message,) = self.session.answer(request, NOW).messages
        return message

    def share(self) -> dict[str, str]:
        """Return a good share of the login's job."""
        found = search(bytes.fromhex(self.job["blob"]), wide_target(self.job["target"]), 0, 1 << 16)
        assert found is not None
        nonce, result = found
        packed = nonce.to_bytes(4, "little").hex()
        return {
            "id": self.id,
            "job_id": self.job["job_id"],
            "nonce": packed,
            "result": result.hex(),
        }


def test_job_has_the_shape_of_monero() -> None:
    """The blob has 76 bytes, the target 8 hex digits, the seed 64."""
    job = Miner().job
    assert len(job["blob"]) == 152
    assert len(job["target"]) == 8
    assert len(job["seed_hash"]) == 64
    assert job["algo"] == "rx/0"


def test_share_is_accepted_once() -> None:
    """A well-formed share under the target is OK; again it is a duplicate."""
    miner = Miner()
    share = miner.share()
    assert miner.ask("submit", share)["result"] == {"status": "OK"}
    assert miner.ask("submit", share)["error"]["message"] == "Duplicate share"


@pytest.mark.parametrize(
    ("member", "value", "words"),
    [
        ("id", "another", "Unauthenticated"),
        ("job_id", "another", "Invalid job id"),
        ("nonce", "123", "Malformed nonce"),
        ("result", "00", "Malformed result"),
        ("result", "ff" * 32, "Low difficulty share"),
    ],
)
def test_a_changed_share_is_refused(member: str, value: str, words: str) -> None:
    """Changing any member of a good share refuses it."""
    miner = Miner()
    assert miner.ask("submit", miner.share() | {member: value})["error"]["message"] == words


def test_keepalived_and_getjob() -> None:
    """The session is kept alive and given another job on request."""
    miner = Miner()
    assert miner.ask("keepalived", {"id": miner.id})["result"] == {"status": "KEEPALIVED"}
    assert miner.ask("getjob", {"id": miner.id})["result"]["job_id"] != miner.job["job_id"]


@pytest.mark.parametrize("difficulty", [1, 1000, 480_045])
def test_target_widens_to_its_difficulty(difficulty: int) -> None:
    """The 64-bit bound of a compact target stands for the difficulty it was made from."""
    bound = wide_target(compact_target(difficulty))
    assert (1 << 64) // bound == pytest.approx(difficulty, rel=0.001)
