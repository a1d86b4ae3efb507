"""The nouns of a signature pack: signature, condition, match.

A signature says one thing that is certain in itself; how sure it is stands in ``confidence``, how
far it is trusted in ``maturity``. What to do about a match is policy's business, not the pack's.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from davylamp.flow import Direction
from davylamp.signatures.endpoints import EndpointEntry
from davylamp.signatures.flights import Sized
from davylamp.signatures.names import NameEntry
from davylamp.signatures.shape import Shape
from davylamp.signatures.source import Place

SignatureId = NewType("SignatureId", str)

type Path = tuple[str | int, ...]

FAMILY = ".*"  # ends a method that stands for all with the same word before their first dot


def family_of(method: str) -> str:
    """Return the family of a method, as ``mining.*``; empty where it has no dot."""
    word, dot, _ = method.partition(".")
    return f"{word}{FAMILY}" if dot else ""


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
    ``direction`` is who says it, None where either may.
    """

    methods: tuple[str, ...]
    members: Shape
    wallet_at: Path = ()
    algo_at: Path = ()
    direction: Direction | None = None


@dataclass(frozen=True, slots=True)
class NameCondition:
    """A host name seen in ``field`` (``tls.sni``, ``http.host``) is on the list ``list``."""

    field: str
    list: str


@dataclass(frozen=True, slots=True)
class EventCondition:
    """The inspector or the reassembler noticed ``event``, as ``tcp.overlap-conflict``."""

    event: str


@dataclass(frozen=True, slots=True)
class LineCondition:
    """One line of text, without its line break.

    It begins with one of ``starts`` and ends with one of ``ends`` (of which one is not empty), has
    all of ``contains`` in it, and split at ``split`` has the shape ``fields``.
    """

    direction: Direction | None
    starts: tuple[bytes, ...]
    ends: tuple[bytes, ...]
    contains: tuple[bytes, ...] = ()
    split: str = ""
    fields: Shape | None = None

    def fits(self, line: bytes) -> bool:
        """Tell whether a line is one; the cost is a few times its length."""
        if self.starts and not line.startswith(self.starts):
            return False
        if self.ends and not line.endswith(self.ends):
            return False
        if not all(part in line for part in self.contains):
            return False
        if self.fields is None:
            return True
        return self.fields.test(line.decode("utf-8", "replace").split(self.split))


@dataclass(frozen=True, slots=True)
class BytesCondition:
    """The first bytes of a direction: one of ``starts``, and ``contains`` within ``within``."""

    direction: Direction | None
    starts: tuple[bytes, ...]
    contains: tuple[bytes, ...]
    within: int

    def judge(self, data: bytes) -> bool | None:
        """Tell whether a direction that begins so is one; None while more bytes may tell."""
        if not data.startswith(self.starts):
            waits = any(start.startswith(data) for start in self.starts)
            return None if waits else False
        head = data[: self.within]
        if all(part in head for part in self.contains):
            return True
        return None if len(data) < self.within else False

    def end(self, data: bytes) -> int:
        """Return how many bytes it takes to tell that a direction that begins so is one."""
        start = min(len(start) for start in self.starts if data.startswith(start))
        return max((start, *(data.index(part) + len(part) for part in self.contains)))


@dataclass(frozen=True, slots=True)
class HttpCondition:
    """The head of a request, or of a response where ``direction`` is the responder's.

    What is empty (``headers``: None) is not asked about. A path that ends with ``*`` is a
    beginning; a host that begins with ``*.`` is every name beneath.
    """

    direction: Direction
    methods: tuple[str, ...]
    paths: tuple[str, ...]
    hosts: tuple[str, ...]
    headers: Shape | None


@dataclass(frozen=True, slots=True)
class TlsCondition:
    """A ClientHello; what is empty or None is not asked about."""

    ja4: tuple[str, ...]
    sni: tuple[str, ...]
    alpn: tuple[str, ...]
    names_server: bool | None
    ech: bool | None


@dataclass(frozen=True, slots=True)
class EndpointCondition:
    """The address and port that a flow goes to are on the list ``list``."""

    list: str


@dataclass(frozen=True, slots=True)
class CertificateCondition:
    """A server's own certificate; what is empty or None is not asked about.

    ``digests`` are SHA-256 of its DER in hexadecimal; ``names`` and ``issuers`` are in lower case.
    """

    digests: tuple[str, ...]
    names: tuple[str, ...]
    issuers: tuple[str, ...]
    self_signed: bool | None

    @property
    def surest(self) -> int:
        """How sure it can be by itself: what shows in the clear anybody can show."""
        return 90 if self.digests else 70


type Simple = (
    JsonCondition
    | NameCondition
    | EventCondition
    | LineCondition
    | BytesCondition
    | HttpCondition
    | TlsCondition
    | EndpointCondition
    | CertificateCondition
)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A simple condition inside a combination; two that are written alike are the same."""

    written: str
    condition: Simple = field(compare=False)


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of the parts."""

    parts: "tuple[Tree, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one of the parts."""

    parts: "tuple[Tree, ...]"


@dataclass(frozen=True, slots=True)
class Absent:
    """``leaf`` is not among the first ``enough`` bytes of who could say it.

    ``direction`` is who could: None for either, so that enough of both must have been seen.
    """

    leaf: Leaf
    enough: int
    direction: Direction | None


type Tree = Leaf | AllOf | AnyOf | Absent | Sized


@dataclass(frozen=True, slots=True)
class CombinedCondition:
    """Several conditions on one flow; at least one of them is positive in every way to meet it.

    Conditions on the sizes of flights are no leaves: no index can find them.
    """

    tree: AllOf | AnyOf

    def leaves(self) -> Iterator[Leaf]:
        """Yield every leaf as written, the absent ones too."""
        yield from _leaves(self.tree)

    def sized(self) -> Iterator[Sized]:
        """Yield every condition on the sizes of flights."""
        yield from _sized(self.tree)

    def positive(self) -> Iterator[Leaf]:
        """Yield every leaf that must be seen, as written."""
        yield from (leaf for leaf in _leaves(self.tree, absent=False))


def _leaves(tree: Tree, *, absent: bool = True) -> Iterator[Leaf]:
    match tree:
        case Leaf():
            yield tree
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from _leaves(part, absent=absent)
        case Absent(leaf):
            if absent:
                yield leaf
        case Sized():
            pass


def _sized(tree: Tree) -> Iterator[Sized]:
    match tree:
        case Sized():
            yield tree
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from _sized(part)
        case Leaf() | Absent():
            pass


type Condition = Simple | CombinedCondition


@dataclass(frozen=True, slots=True)
class Signature:
    """One thing to recognise.

    ``confidence`` runs from 0 to 100, ``severity`` from 1 (worst) to 4. ``coins`` are the tickers
    it can be about; empty when it does not say. ``detail`` is one sentence for people.
    ``technique`` is an ATT&CK technique id or empty. ``kind`` says which findings are independent.
    A ``fallback`` speaks only where no stable signature of the pack matches the message better.
    ``place`` is where it is written, and ``written`` all that it means, in one canonical line.
    ``part`` is the condition inside combinations that this one stands for: such a signature is
    made when a pack is built, and what it finds is told to no one but them.
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
    place: Place | None = field(default=None, compare=False)
    written: str = field(default="", compare=False)
    part: Leaf | None = None

    @property
    def where(self) -> str:
        """Where it is written, for messages; its id where that is not known."""
        return str(self.place or self.id)

    @property
    def coin(self) -> str:
        """The one coin that it can be about; empty where there are several, or none is said."""
        return self.coins[0] if len(self.coins) == 1 else ""


@dataclass(frozen=True, slots=True)
class Match:
    """A message has a signature's shape; ``coin`` is a ticker or empty, ``detail`` a sentence."""

    signature: Signature
    coin: str
    detail: str


@dataclass(frozen=True, slots=True)
class ListMatch[Entry: (NameEntry, EndpointEntry)]:
    """What a flow is about is on a signature's list, by ``entry``."""

    signature: Signature
    entry: Entry

    @property
    def confidence(self) -> int:
        """The signature's confidence, or the entry's where that is lower."""
        return min(self.signature.confidence, self.entry.confidence)

    @property
    def coin(self) -> str:
        """The ticker, where what is listed serves one coin only; else empty."""
        return self.entry.coins[0] if len(self.entry.coins) == 1 else ""


class NameMatch(ListMatch[NameEntry]):
    """A host name is on a signature's list."""

    __slots__ = ()


class EndpointMatch(ListMatch[EndpointEntry]):
    """A flow goes to an address and port on a signature's list."""

    __slots__ = ()
