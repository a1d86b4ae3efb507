"""The arithmetic of Bitcoin Stratum v1: jobs, coinbase, merkle root, header, target.

Sources: the Stratum v1 documentation (braiins.com/stratum-v1/docs) for the fields and their byte
orders, BIP 310 for version rolling, the Bitcoin developer reference for the 80-byte header.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from davylamp.lab.programs.report import Json

# The target of difficulty 1 in pools' reckoning (Stratum v1, mining.set_difficulty).
DIFFICULTY_ONE = 0xFFFF << 208
MAX_TARGET = (1 << 256) - 1


def sha256d(data: bytes) -> bytes:
    """Return Bitcoin's double SHA-256."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def target_of(difficulty: float) -> int:
    """Return the largest hash that a share of this difficulty may have."""
    return min(MAX_TARGET, int(DIFFICULTY_ONE / difficulty))


def swap_words(data: bytes) -> bytes:
    """Reverse the bytes of each 32-bit word, as the previous hash travels in mining.notify."""
    words = struct.unpack(f"<{len(data) // 4}I", data)
    return struct.pack(f">{len(words)}I", *words)


@dataclass(frozen=True, slots=True)
class Job:
    """One mining.notify: what a miner needs to build block headers of its own.

    ``prev_hash`` and ``branches`` are in the header's byte order, 32 bytes each.
    """

    job_id: str
    prev_hash: bytes
    coinb1: bytes
    coinb2: bytes
    branches: tuple[bytes, ...]
    version: int
    nbits: int
    ntime: int
    clean: bool

    def params(self) -> list[Json]:
        """Return the params array of mining.notify."""
        return [
            self.job_id,
            swap_words(self.prev_hash).hex(),
            self.coinb1.hex(),
            self.coinb2.hex(),
            [branch.hex() for branch in self.branches],
            f"{self.version:08x}",
            f"{self.nbits:08x}",
            f"{self.ntime:08x}",
            self.clean,
        ]

    @classmethod
    def from_params(cls, params: Sequence[Json]) -> Self:
        """Read a mining.notify params array; raise ValueError where it is not one."""
        match params:
            case [str(job_id), str(prev), str(one), str(two), list(branches), *rest]:
                pass
            case _:
                raise ValueError("not a notify of Stratum v1")
        match rest:
            case [str(version), str(nbits), str(ntime), bool(clean)]:
                pass
            case _:
                raise ValueError("not a notify of Stratum v1")
        return cls(
            job_id,
            swap_words(bytes.fromhex(prev)),
            bytes.fromhex(one),
            bytes.fromhex(two),
            tuple(bytes.fromhex(str(branch)) for branch in branches),
            int(version, 16),
            int(nbits, 16),
            int(ntime, 16),
            clean,
        )

    def merkle_root(self, extranonce: bytes) -> bytes:
        """Return the root over the coinbase (with both extranonces in it) and the branches."""
        root = sha256d(self.coinb1 + extranonce + self.coinb2)
        for branch in self.branches:
            root = sha256d(root + branch)
        return root

    def header(self, extranonce: bytes, ntime: int, nonce: int, version: int) -> bytes:
        """Return the 80 bytes that are hashed."""
        return struct.pack(
            "<I32s32sIII",
            version,
            self.prev_hash,
            self.merkle_root(extranonce),
            ntime,
            self.nbits,
            nonce,
        )


def share_value(header: bytes) -> int:
    """Return a header's hash as the number that is compared with a target."""
    return int.from_bytes(sha256d(header), "little")


def search(header: bytes, target: int, start: int, count: int) -> int | None:
    """Hash ``count`` nonces from ``start`` on; return the first that meets the target.

    The first 64 bytes are hashed once (the midstate), as every CPU miner does.
    """
    midstate = hashlib.sha256(header[:64])
    tail = header[64:76]
    sha256 = hashlib.sha256
    for nonce in range(start, min(start + count, 1 << 32)):
        first = midstate.copy()
        first.update(tail + nonce.to_bytes(4, "little"))
        if int.from_bytes(sha256(first.digest()).digest(), "little") <= target:
            return nonce
    return None
