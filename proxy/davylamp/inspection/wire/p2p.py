r"""How blockchain nodes open a conversation with their peers: facts for a category of its own.

Strategy: only a stream's first bytes are looked at, from either side. Three families are told by
their openings; each is matched whole or not at all.

    family    first bytes                                                answer
    bitcoin   magic, "version" and five NULs, length, checksum, payload  if the checksum fits
    levin     01 21 01 01 01 01 01 01, length, command, ... version 1    if every field fits
    p2pool    00 + 16, 01 + 40, 02 + port, 03 + 32 zeros                 if every field fits

Bitcoin and its children say ``version`` first, from both sides, under a magic of their own; the
checksum is the beginning of a double SHA-256 of the payload, so a magic that we do not know is
no hindrance: the network is then "". (Decred and Groestlcoin use another hash and are not seen.)

Levin is Monero's and every other CryptoNote coin's; a handshake names its network by sixteen
bytes, and if they come within the first 512 of the payload the network is told.

P2Pool (Monero's decentralised pool: a peer is a miner): a challenge and its solution, the
listening port and a request for the chain's tip. The opener's solution must end in a number
under 2^64 / 10,000. Fixed bytes and zeros pin 300 bits. The solution cannot be verified here: it
hashes an identity that is never sent.

What cannot be seen: BIP 324 (Bitcoin's v2 transport) and RLPx (Ethereum's devp2p over TCP) are
uniformly random from their first byte to their last. An RLPx opening of 307 bytes or more has
neither a magic nor, since EIP-8, a fixed size; its two-byte length in front is all there is, and
no evidence. Destination and behaviour remain.

Sources: developer.bitcoin.org "P2P Network" (header, version), each coin's chainparams.cpp, BIP 94
(testnet4), BIP 325 (signet); monero docs/LEVIN_PROTOCOL.md, src/p2p/p2p_protocol_defs.h and
src/cryptonote_config.h; SChernykh/p2pool src/p2p_server.h and p2p_server.cpp (on_read,
send_handshake_challenge, on_handshake_solution, on_after_handshake).
"""

from enum import StrEnum
from hashlib import sha256

import msgspec

from davylamp.inspection.wire.prefix import Parsed, PrefixReader
from davylamp.inspection.wire.reader import Malformed, printable

MAX_VERSION_PAYLOAD = 4096
"""Bytes in a version message; those on the wire have 85 to some 400."""

_LEVIN_LOOK = 512
_LEVIN_MOST = 100_000_000

_VERSION = b"version".ljust(12, b"\0")
_MAGICS = {
    "f9beb4d9": "bitcoin",
    "0b110907": "bitcoin-testnet3",
    "1c163f28": "bitcoin-testnet4",
    "0a03cf40": "bitcoin-signet",
    "fabfb5da": "regtest",
    "e3e1f3e8": "bitcoin-cash",
    "f9beb4fe": "namecoin",
    "fbc0b6db": "litecoin",
    "fdd2c8f1": "litecoin-testnet",
    "c0c0c0c0": "dogecoin",
    "fcc1b7dc": "dogecoin-testnet",
    "24e92764": "zcash",
    "bf0c6bbd": "dash",
}
_NETWORKS = {bytes.fromhex(magic): name for magic, name in _MAGICS.items()}

_LEVIN = b"\x01\x21" + b"\x01" * 6
_LEVIN_HANDSHAKE = 1001
_LEVIN_COMMANDS = frozenset({*range(1001, 1008), *range(2001, 2012)})
_NETWORK_ID = b"\x0anetwork_id\x0a\x40"
_MONERO = bytes.fromhex("1230f171610441611731008216a1a1")
_MONERO_NETWORKS = {0x10: "monero", 0x11: "monero-testnet", 0x12: "monero-stagenet"}

_P2POOL_SIZE = 17 + 41 + 5 + 33
_P2POOL_MARKS = (
    (0, 0),
    (17, 1),
    (58, 2),
    (61, 0),
    (62, 0),
    (63, 3),
    *((n, 0) for n in range(64, 96)),
)
_P2POOL_MOST = 1 << 64


class P2pFamily(StrEnum):
    """Who speaks so."""

    BITCOIN = "bitcoin"
    LEVIN = "levin"
    P2POOL = "p2pool"


class P2pOpening(msgspec.Struct, frozen=True):
    """A peer's first message, from the stream's first byte to ``end``.

    ``network`` names the chain ("" if unknown); ``agent`` is the software's name for itself and
    ``port`` where a P2Pool peer listens, where the bytes tell.
    """

    family: P2pFamily
    network: str
    command: str
    end: int
    agent: str = ""
    port: int = 0


class P2pReader(PrefixReader[P2pOpening]):
    """Reads one direction's first message, of the peer that opened the connection or the other."""

    __slots__ = ("_from_opener",)
    LIMIT = 24 + MAX_VERSION_PAYLOAD

    def __init__(self, *, from_opener: bool) -> None:
        super().__init__()
        self._from_opener = from_opener

    def parse(self, data: bytes) -> Parsed[P2pOpening]:
        """Read the stream's first bytes."""
        if data[:8] == _LEVIN[: len(data)]:
            return _levin(data)
        if data[4:16] == _VERSION[: max(0, len(data) - 4)]:
            return _bitcoin(data)
        return _p2pool(data, from_opener=self._from_opener)


def _bitcoin(data: bytes) -> Parsed[P2pOpening]:
    if len(data) < 24:
        return len(data) + 1
    length = int.from_bytes(data[16:20], "little")
    if not 46 <= length <= MAX_VERSION_PAYLOAD:
        return Malformed("not a version message", 0, data)
    end = 24 + length
    if len(data) < end:
        return end
    payload = data[24:end]
    if sha256(sha256(payload).digest()).digest()[:4] != data[20:24]:
        return Malformed("checksum does not fit", 0, data)
    network = _NETWORKS.get(data[:4], "")
    agent = printable(payload[81 : 81 + payload[80]]) if len(payload) > 80 else ""
    return P2pOpening(P2pFamily.BITCOIN, network, "version", end, agent)


def _levin(data: bytes) -> Parsed[P2pOpening]:
    if len(data) < 33:
        return 33 if len(data) >= 8 else len(data) + 1
    length, command = int.from_bytes(data[8:16], "little"), int.from_bytes(data[17:21], "little")
    fits = length <= _LEVIN_MOST and data[16] <= 1 and command in _LEVIN_COMMANDS
    if not fits or data[25] not in (1, 2, 4, 8) or data[26:33] != b"\0\0\0\x01\0\0\0":
        return Malformed("not a Levin header", 0, data)
    end = 33
    if command == _LEVIN_HANDSHAKE:
        end += min(length, _LEVIN_LOOK)
    if len(data) < end:
        return end
    return P2pOpening(P2pFamily.LEVIN, _monero(data[33:end]), str(command), end)


def _monero(payload: bytes) -> str:
    at = payload.find(_NETWORK_ID) + len(_NETWORK_ID)
    name = payload[at : at + 16]
    if at < len(_NETWORK_ID) or len(name) < 16 or name[:15] != _MONERO:
        return ""
    return _MONERO_NETWORKS.get(name[15], "")


def _p2pool(data: bytes, *, from_opener: bool) -> Parsed[P2pOpening]:
    for at, value in _P2POOL_MARKS:
        if at >= len(data):
            return at + 1
        if data[at] != value:
            return Malformed("not a peer's opening that we know", 0, data)
    work = int.from_bytes(data[42:50], "little") * 10_000
    port = int.from_bytes(data[59:61], "little")
    if from_opener and work >= _P2POOL_MOST:
        return Malformed("not enough work in a P2Pool solution", 0, data)
    end = _P2POOL_SIZE
    return P2pOpening(P2pFamily.P2POOL, "monero-p2pool", "handshake", end, port=port)
