"""The nouns of a signature pack: signature, condition, match.

A signature says one thing that is certain in itself; how sure it is stands in ``confidence``, how
far it is trusted in ``maturity``. What to do about a match is policy's business, not the pack's.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from davylamp.signatures.names import NameEntry
from davylamp.signatures.shape import Shape

SignatureId = NewType("SignatureId", str)

type Path = tuple[str | int, ...]

FAMILY = ".*"  # ends a method that stands for all with the same word before their first dot


class Maturity(StrEnum):
    """How far a signature is trusted: sandbox is off, incubating alerts, stable may block."""

    SANDBOX = "sandbox"
    INCUBATING = "incubating"
    STABLE = "stable"


class Category(StrEnum):
    """What a match means."""

    MINING = "mining"
    POOL = "pool"
    TUNNEL = "tunnel"
    P2P = "p2p"
    SOLO = "solo"
    ANOMALY = "anomaly"
    RESOLVER = "resolver"


class Kind(StrEnum):
    """What a message does in a session.

    Two findings of one flow support each other when their kinds differ: a program may log in with a
    string that looks like an address, and another may send a digest beside a number, but one that
    does both is a miner. The same kind seen twice is one observation.
    """

    LOGIN = "login"
    JOB = "job"
    SHARE = "share"
    REPLY = "reply"
    CONTROL = "control"
    NAME = "name"
    EVENT = "event"
    MESSAGE = "message"


class Role(StrEnum):
    """Who says it."""

    MINER = "miner"
    POOL = "pool"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class JsonCondition:
    """One JSON object, seen whole.

    ``methods`` are the values of the ``method`` member, any of which will do (``mining.*`` is every
    method with ``mining`` before its first dot), or empty where any or no method will do;
    ``members`` is the shape of the whole object. ``wallet_at`` and ``algo_at`` say where the coin
    can be read from, as a path of member names and list indexes; empty where it cannot.
    """

    methods: tuple[str, ...]
    members: Shape
    wallet_at: Path = ()
    algo_at: Path = ()


@dataclass(frozen=True, slots=True)
class NameCondition:
    """A host name seen in ``field`` (``tls.sni``, ``http.host``) is on the list ``list``."""

    field: str
    list: str


@dataclass(frozen=True, slots=True)
class EventCondition:
    """The inspector or the reassembler noticed ``event``, as ``tcp.overlap-conflict``."""

    event: str


type Condition = JsonCondition | NameCondition | EventCondition


@dataclass(frozen=True, slots=True)
class Signature:
    """One thing to recognise.

    ``confidence`` runs from 0 to 100, ``severity`` from 1 (worst) to 4. ``coins`` are the tickers
    it can be about; empty when it does not say. ``detail`` is one sentence for people.
    ``technique`` is an ATT&CK technique id or empty. ``kind`` says which findings are independent.
    A ``fallback`` speaks only where no stable signature of the pack matches the message better.
    """

    id: SignatureId
    rev: int
    title: str
    category: Category
    dialect: str
    role: Role
    confidence: int
    severity: int
    maturity: Maturity
    detail: str
    condition: Condition
    coins: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    technique: str = ""
    kind: Kind = Kind.MESSAGE
    fallback: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """A message has a signature's shape; ``coin`` is a ticker or empty, ``detail`` a sentence."""

    signature: Signature
    coin: str
    detail: str


@dataclass(frozen=True, slots=True)
class NameMatch:
    """A host name is on a signature's list, by ``entry``."""

    signature: Signature
    entry: NameEntry

    @property
    def confidence(self) -> int:
        """The signature's confidence, or the entry's where that is lower."""
        return min(self.signature.confidence, self.entry.confidence)

    @property
    def coin(self) -> str:
        """The ticker, where the host serves one coin only; else empty."""
        return self.entry.coins[0] if len(self.entry.coins) == 1 else ""
