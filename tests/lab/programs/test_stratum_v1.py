"""The arithmetic agrees with blocks that the Bitcoin network accepted."""

import struct

import pytest

from davylamp.lab.programs.stratum_v1 import (
    DIFFICULTY_ONE,
    Job,
    search,
    sha256d,
    share_value,
    swap_words,
    target_of,
)

# The coinbase transactions of block 0 and block 170, from the public block chain.
GENESIS_COINBASE = bytes.fromhex(
    "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff00"
    "1d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b20"
    "6f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000434104678afd"
    "b0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c"
    "384df7ba0b8d578a4c702b6bf11d5fac00000000"
)
TXID_170_COINBASE = "b1fea52486ce0c62bb442b530a3f0132b826c74e473d1f2c220bfa78111c5082"
TXID_170_OTHER = "f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16"
ROOT_170 = "7dac2c5666815c17a3b36427de37bb9d2e2c5ccec3f8633eb91a4205cb4c10ff"


def genesis() -> tuple[Job, bytes]:
    """Return block 0 as a job, eight bytes of its coinbase taken as the extranonces."""
    job = Job(
        job_id="0",
        prev_hash=bytes(32),
        coinb1=GENESIS_COINBASE[:60],
        coinb2=GENESIS_COINBASE[68:],
        branches=(),
        version=1,
        nbits=0x1D00FFFF,
        ntime=1231006505,
        clean=True,
    )
    return job, GENESIS_COINBASE[60:68]


def test_genesis_block() -> None:
    """The header built from the parts of block 0 has block 0's hash."""
    job, extranonce = genesis()
    header = job.header(extranonce, job.ntime, 2083236893, 1)
    assert sha256d(header)[::-1].hex() == (
        "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
    )
    assert share_value(header) <= target_of(1)
    assert share_value(header[:-1] + b"\0") > target_of(1)


def test_search_finds_the_genesis_nonce() -> None:
    """The search from just before finds exactly the nonce that the network accepted."""
    job, extranonce = genesis()
    header = job.header(extranonce, job.ntime, 0, 1)
    assert search(header, target_of(1), 2083236893 - 500, 1000) == 2083236893
    assert search(header, target_of(1), 2083236893 - 500, 500) is None


def test_merkle_branch() -> None:
    """A branch is hashed after the coinbase, as in block 170 with its two transactions."""
    coinbase = bytes.fromhex(TXID_170_COINBASE)[::-1]
    other = bytes.fromhex(TXID_170_OTHER)[::-1]
    assert sha256d(coinbase + other)[::-1].hex() == ROOT_170
    job, extranonce = genesis()
    alone = job.merkle_root(extranonce)
    branched = Job(**{**{name: getattr(job, name) for name in Job.__slots__}, "branches": (other,)})
    assert branched.merkle_root(extranonce) == sha256d(alone + other)


def test_notify_round_trip() -> None:
    """What a job says in mining.notify is read back as the same job."""
    job, _ = genesis()
    assert Job.from_params(job.params()) == job


@pytest.mark.parametrize("params", [[], ["a"], ["a", "zz" * 32, "", "", [], "1", "1", "1", True]])
def test_notify_of_another_shape(params: list[str]) -> None:
    """Params that are no notify raise ValueError, which the miner expects."""
    with pytest.raises(ValueError, match=r"."):
        Job.from_params(params)


def test_words_are_swapped() -> None:
    """The previous hash travels with the bytes of each 32-bit word reversed."""
    assert swap_words(struct.pack("<2I", 1, 2)) == struct.pack(">2I", 1, 2)


def test_targets() -> None:
    """Twice the difficulty is half the target, and tiny difficulties stay inside 256 bits."""
    assert target_of(1) == DIFFICULTY_ONE
    assert target_of(2) == DIFFICULTY_ONE // 2
    assert target_of(1e-12) < 1 << 256
