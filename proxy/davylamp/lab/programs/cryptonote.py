"""The shapes of CryptoNote (Monero) stratum: blob, target, share.

Source: XMRig's ``doc/STRATUM.md`` and the Monero block hashing blob (major, minor, timestamp,
previous id, nonce at byte 39, merkle root, transaction count: 76 bytes at today's heights).

RandomX is out of reach here: a share is found and checked by its *shape* (known job, 8-hex nonce,
64-hex result under the target, as pools check first), with SHA3-256 standing in for the hash.
"""

import hashlib
import secrets
import struct
from dataclasses import dataclass

from davylamp.lab.programs.report import Json

NONCE_AT = 39


@dataclass(frozen=True, slots=True)
class Job:
    """One job of CryptoNote stratum; ``difficulty`` is the mean number of hashes a share takes."""

    job_id: str
    blob: bytes
    difficulty: int
    height: int
    seed_hash: bytes

    @classmethod
    def fresh(cls, difficulty: int, height: int, seed_hash: bytes, now: float) -> "Job":
        """Return a job on a new random block; ``now`` is Unix time in seconds."""
        stamp = int(now)
        varint = bytes(((stamp >> shift) & 0x7F) | 0x80 for shift in (0, 7, 14, 21))
        head = b"\x10\x10" + varint + bytes((stamp >> 28,)) + secrets.token_bytes(32)
        blob = head + bytes(4) + secrets.token_bytes(32) + b"\x15"
        return cls(secrets.token_hex(8), blob, difficulty, height, seed_hash)

    def members(self) -> dict[str, Json]:
        """Return the job object that login and job messages carry."""
        return {
            "blob": self.blob.hex(),
            "job_id": self.job_id,
            "target": compact_target(self.difficulty),
            "algo": "rx/0",
            "height": self.height,
            "seed_hash": self.seed_hash.hex(),
        }


def compact_target(difficulty: int) -> str:
    """Return the 8-hex little-endian target that pools send for a difficulty."""
    return struct.pack("<I", 0xFFFFFFFF // difficulty).hex()


def wide_target(target: str) -> int:
    """Return a compact (8 hex) or full (16 hex) target as a 64-bit bound; ValueError otherwise.

    XMRig ``Job::setTarget`` widens the compact form through the difficulty it stands for.
    """
    raw = bytes.fromhex(target)
    if len(raw) == 8:
        return int.from_bytes(raw, "little")
    if len(raw) != 4:
        raise ValueError("a target has 8 or 16 hex digits")
    compact = max(1, int.from_bytes(raw, "little"))
    return 0xFFFFFFFFFFFFFFFF // (0xFFFFFFFF // compact)


def result_value(result: bytes) -> int:
    """Return the part of a 32-byte result that is compared with the target."""
    return int.from_bytes(result[24:32], "little")


def stand_in_hash(blob: bytes, nonce: int) -> bytes:
    """Return SHA3-256 of the blob with the nonce in place: a stand-in for RandomX."""
    packed = struct.pack("<I", nonce)
    return hashlib.sha3_256(blob[:NONCE_AT] + packed + blob[NONCE_AT + 4 :]).digest()


def search(blob: bytes, bound: int, start: int, count: int) -> tuple[int, bytes] | None:
    """Try ``count`` nonces from ``start`` on; return the first nonce and result under the bound."""
    for nonce in range(start, min(start + count, 1 << 32)):
        result = stand_in_hash(blob, nonce)
        if result_value(result) <= bound:
            return nonce, result
    return None
