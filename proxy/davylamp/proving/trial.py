"""Vectors through the production engine, however their streams are cut.

A vector is shown to the inspector whole, byte by byte and cut at every boundary. It passes if its
signature matches (or does not) as it says, nothing else of the pack does but what it lists, and
every way of cutting tells the same evidence at the same byte.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, islice

from davylamp.flow import Direction
from davylamp.inspection.inspector import Inspector, inspect_certificate
from davylamp.signatures.model import Signature, SignatureId
from davylamp.signatures.pack import Pack
from davylamp.signatures.source import Place
from davylamp.signatures.vectors import (
    Bytes,
    Name,
    Noticed,
    Reached,
    Shown,
    Vector,
    byte_by_byte,
    feedings,
)

MAX_STREAM = 16 * 1024
"""Bytes of a vector's stream: each of them is a boundary to cut at."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was found where, and ``after`` how many bytes of both directions it was told."""

    identity: SignatureId
    direction: Direction
    offset: int
    end: int
    layers: tuple[str, ...]
    after: int


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that is not as a vector says; ``fed`` is how its stream was cut."""

    place: Place
    vector: str
    fed: str
    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a signature's vectors came to: how many, shown in how many ways, and what failed."""

    identity: SignatureId
    vectors: int
    feedings: int
    failures: tuple[Failure, ...]


class Trial:
    """Runs vectors of one pack. Signatures of the sandbox are tried, but bother no others."""

    def __init__(self, pack: Pack, ways: int | None = None) -> None:
        """Try ``pack``; each stream in ``ways`` at most: whole, byte by byte, then each cut."""
        self._pack = pack
        self._ways = ways
        self._everything = pack.with_sandbox()

    def outcomes(self, vectors: Iterable[tuple[SignatureId, Vector]]) -> Iterator[Outcome]:
        """Try each signature of the pack by its vectors; yield in the order of their files."""
        by_signature: dict[SignatureId, list[Vector]] = {one: [] for one in self._pack.signatures}
        strays: dict[SignatureId, list[Vector]] = {}
        for identity, vector in vectors:
            known = by_signature if identity in by_signature else strays
            known.setdefault(identity, []).append(vector)
        for identity, own in by_signature.items():
            yield self._outcome(self._pack.signatures[identity], own)
        for identity, own in strays.items():
            place = own[0].place
            lost = f"a signature {identity!r} that these vectors are for"
            failure = Failure(place, own[0].name, "", lost, "there is none in the pack")
            yield Outcome(identity, len(own), 0, (failure,))

    def judge(self, identity: SignatureId, vector: Vector) -> tuple[int, tuple[Failure, ...]]:
        """Return in how many ways a vector was shown, and what failed; at most one of each kind."""
        size = sum(len(step.data) for step in vector.steps if isinstance(step, Bytes))
        if size > MAX_STREAM:
            tell = _Teller(vector, "")
            return 0, (tell(f"at most {MAX_STREAM:,} bytes", f"{size:,} bytes"),)
        if not size:
            return 1, tuple(self._looked_up(identity, vector))
        return self._shown(identity, vector)

    def silent(self, vector: Vector) -> tuple[Failure, ...]:
        """Return what the pack finds in traffic in which it should find nothing but ``also``."""
        for fed, steps in feedings(_stream(vector)):
            found = {one.identity for one in _told(self._pack, vector, steps)} - set(vector.also)
            if found:
                return (_Teller(vector, fed)("nothing", _listed(found)),)
        return ()

    def _outcome(self, signature: Signature, vectors: list[Vector]) -> Outcome:
        shown = 0
        failures: list[Failure] = []
        place = signature.place or Place(f"{signature.id}.yaml", 1, 1)
        for fires, what in ((True, "match"), (False, "near miss")):
            if not any(vector.fires is fires for vector in vectors):
                expected = f"at least one {what} ('expect: {'match' if fires else 'none'}')"
                failures.append(Failure(place, "", "", expected, "no such vector"))
        for vector in vectors:
            ways, found = self.judge(signature.id, vector)
            shown += ways
            failures += found
        return Outcome(signature.id, len(vectors), shown, tuple(failures))

    def _shown(self, identity: SignatureId, vector: Vector) -> tuple[int, tuple[Failure, ...]]:
        stream = _stream(vector)
        exact = _told(self._everything, vector, byte_by_byte(stream))
        tell = _Teller(vector, "byte by byte")
        failures = [*self._wrong(identity, vector, {one.identity for one in exact}, tell)]
        others = {one.identity for one in _told(self._pack, vector, stream)} - {identity}
        if others != set(vector.also):
            expected = f"of others {_listed(vector.also)} ('also')"
            failures.append(_Teller(vector, "whole")(expected, _listed(others)))
        shown = 0
        for fed, feeding in islice(feedings(stream), self._ways):
            shown += 1
            found = _told(self._everything, vector, feeding)
            if failures or found == _as_cut(exact, feeding):
                continue
            failures.append(_Teller(vector, fed)(_evidence(exact), _evidence(found)))
        return shown, tuple(failures)

    def _looked_up(self, identity: SignatureId, vector: Vector) -> Iterator[Failure]:
        """Judge a vector that no stream shows."""
        tell = _Teller(vector, "looked up")
        found = set(_lookups(self._everything, vector))
        yield from self._wrong(identity, vector, found, tell)
        others = set(_lookups(self._pack, vector)) - {identity}
        if others != set(vector.also):
            yield tell(f"of others {_listed(vector.also)} ('also')", _listed(others))

    @staticmethod
    def _wrong(
        identity: SignatureId, vector: Vector, found: set[SignatureId], tell: "_Teller"
    ) -> Iterator[Failure]:
        if (identity in found) is not vector.fires:
            expected = f"{'a' if vector.fires else 'no'} match of {identity}"
            yield tell(expected, _listed(found))


@dataclass(frozen=True, slots=True)
class _Teller:
    """Makes failures of one vector."""

    vector: Vector
    fed: str

    def __call__(self, expected: str, got: str) -> Failure:
        return Failure(self.vector.place, self.vector.name, self.fed, expected, got)


def _stream(vector: Vector) -> tuple[Bytes, ...]:
    return tuple(step for step in vector.steps if isinstance(step, Bytes) and step.data)


def _told(pack: Pack, vector: Vector, stream: tuple[Bytes, ...]) -> list[Told]:
    """Return what the inspector finds in a stream, in order."""
    inspector, after = Inspector(pack), 0
    for step in vector.steps:
        if isinstance(step, Reached):
            inspector.reach(step.key, step.now)
        if isinstance(step, Shown):
            inspector.certified(step.der)
    found: list[Told] = []
    for step in stream:
        after += len(step.data)
        found += [
            Told(one.signature.id, one.direction, one.offset, one.end, one.layers, after)
            for one in inspector.receive(step.direction, step.data, 0.0)
        ]
    return found


def _as_cut(exact: list[Told], feeding: tuple[Bytes, ...]) -> list[Told]:
    """Return what must be told of a stream cut so: each by the piece that completes it."""
    ends = list(accumulate(len(step.data) for step in feeding))
    return [
        Told(
            one.identity,
            one.direction,
            one.offset,
            one.end,
            one.layers,
            ends[bisect_left(ends, one.after)],
        )
        for one in exact
    ]


def _lookups(pack: Pack, vector: Vector) -> Iterator[SignatureId]:
    for step in vector.steps:
        match step:
            case Name(field, name):
                if (found := pack.match_name(field, name)) is not None:
                    yield found.signature.id
            case Noticed(event):
                if (signature := pack.match_event(event)) is not None:
                    yield signature.id
            case Reached() | Shown():
                yield from _to_whom(pack, step)
            case Bytes():
                pass


def _to_whom(pack: Pack, step: Reached | Shown) -> Iterator[SignatureId]:
    if isinstance(step, Shown):
        yield from (finding.signature.id for finding in inspect_certificate(pack, step.der))
    elif pack.endpoints is not None:
        for match in pack.endpoints.match(step.key, step.now):
            if match.signature.part is None:
                yield match.signature.id


def _listed(identities: Iterable[str]) -> str:
    return ", ".join(sorted(identities)) or "nothing"


def _evidence(told: list[Told]) -> str:
    parts = [
        f"{one.identity} ({one.direction}, bytes {one.offset} to {one.end}, told at {one.after})"
        for one in told
    ]
    return "; ".join(parts) or "nothing"
