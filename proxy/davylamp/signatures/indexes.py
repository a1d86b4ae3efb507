"""Every index of a pack, built together."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self, assert_never

from davylamp.errors import PackError
from davylamp.signatures.certificates import CertificateIndex
from davylamp.signatures.combined import CombinationIndex, Combined
from davylamp.signatures.endpoints import EndpointEntry
from davylamp.signatures.heads import HeadIndex
from davylamp.signatures.hellos import HelloIndex
from davylamp.signatures.index import MessageIndex
from davylamp.signatures.listed import EndpointIndex, NameIndex
from davylamp.signatures.model import (
    BytesCondition,
    CertificateCondition,
    CombinedCondition,
    EndpointCondition,
    EventCondition,
    HttpCondition,
    JsonCondition,
    LineCondition,
    NameCondition,
    Signature,
    Simple,
    TlsCondition,
)
from davylamp.signatures.names import NameEntry
from davylamp.signatures.texts import LineIndex, StartIndex

_NAME = re.compile(r"[^/.\s][^/\s]*(?<!\.tsv)")


@dataclass(frozen=True, slots=True)
class Indexes:
    """What a pack's lookups read."""

    messages: MessageIndex
    names: NameIndex
    events: Mapping[str, Signature]
    event_parts: Mapping[str, Signature]
    lines: LineIndex
    starts: StartIndex
    heads: HeadIndex
    hellos: HelloIndex
    certificates: CertificateIndex
    endpoints: EndpointIndex
    combinations: CombinationIndex

    @classmethod
    def build(
        cls,
        signatures: Iterable[Signature],
        lists: Mapping[str, tuple[NameEntry, ...]],
        endpoint_lists: Mapping[str, tuple[EndpointEntry, ...]],
    ) -> Self:
        """Index live signatures; raise PackError where they contradict each other."""
        combined: list[Combined] = []
        filing = _Filing(lists, endpoint_lists)
        for signature in signatures:
            if isinstance(signature.condition, CombinedCondition):
                combined.append((signature, signature.condition))
            else:
                filing.file(signature, signature.condition)
        combinations = CombinationIndex(combined)
        for signature, condition in combined:
            for leaf in condition.leaves():
                filing.check(signature.where, leaf.condition)
        for part in combinations.parts:
            assert part.part is not None
            filing.file(part, part.part.condition)
        return cls(
            messages=MessageIndex(filing.messages),
            names=NameIndex(filing.names, lists),
            events=filing.events,
            event_parts=filing.event_parts,
            lines=LineIndex(filing.lines),
            starts=StartIndex(filing.starts),
            heads=HeadIndex(filing.heads),
            hellos=HelloIndex(filing.hellos),
            certificates=CertificateIndex(filing.certificates),
            endpoints=EndpointIndex(filing.endpoints, endpoint_lists),
            combinations=combinations,
        )

    def places(self) -> Iterator[tuple[str, list[Signature]]]:
        """Yield every place of every index, in words, with what is filed there."""
        for index in (
            *(self.messages, self.lines, self.starts, self.heads),
            *(self.hellos, self.certificates),
        ):
            for word, filed in index.places():
                yield word, [signature for signature, _ in filed]
        for listed in (self.names, self.endpoints):
            yield from listed.places()
        for event, signature in self.events.items():
            yield f"the event {event}", [signature]
        for event, part in self.event_parts.items():
            yield f"the event {event}", [part]
        for word, combined in self.combinations.places():
            yield word, [signature for signature, _ in combined]


class _Filing:
    """Conditions by their type, each with whose it is."""

    def __init__(
        self,
        lists: Mapping[str, tuple[NameEntry, ...]],
        endpoint_lists: Mapping[str, tuple[EndpointEntry, ...]],
    ) -> None:
        self._lists = lists
        self._endpoint_lists = endpoint_lists
        self.messages: list[tuple[Signature, JsonCondition]] = []
        self.names: list[tuple[Signature, NameCondition]] = []
        self.events: dict[str, Signature] = {}
        self.event_parts: dict[str, Signature] = {}
        self.lines: list[tuple[Signature, LineCondition]] = []
        self.starts: list[tuple[Signature, BytesCondition]] = []
        self.heads: list[tuple[Signature, HttpCondition]] = []
        self.hellos: list[tuple[Signature, TlsCondition]] = []
        self.endpoints: list[tuple[Signature, EndpointCondition]] = []
        self.certificates: list[tuple[Signature, CertificateCondition]] = []

    def check(self, where: str, condition: Simple) -> None:
        """Raise PackError where a condition's list is not there, or is one of another kind."""
        if isinstance(condition, NameCondition) and condition.list not in self._lists:
            raise _no_list(where, condition.list, "host names", self._endpoint_lists)
        if isinstance(condition, EndpointCondition) and condition.list not in self._endpoint_lists:
            raise _no_list(where, condition.list, "addresses", self._lists)

    def file(self, signature: Signature, condition: Simple) -> None:
        """File one condition."""
        self.check(signature.where, condition)
        match condition:
            case JsonCondition():
                self.messages.append((signature, condition))
            case NameCondition():
                self.names.append((signature, condition))
            case EventCondition(event):
                self._event(signature, event)
            case LineCondition():
                self.lines.append((signature, condition))
            case BytesCondition():
                self.starts.append((signature, condition))
            case HttpCondition():
                self.heads.append((signature, condition))
            case TlsCondition():
                self.hellos.append((signature, condition))
            case EndpointCondition():
                self.endpoints.append((signature, condition))
            case CertificateCondition():
                self.certificates.append((signature, condition))
            case other:
                assert_never(other)

    def _event(self, signature: Signature, event: str) -> None:
        if signature.part is not None:
            self.event_parts[event] = signature
            return
        if event in self.events:
            other = self.events[event]
            raise PackError(
                f"{signature.where}: {signature.id} and {other.id} both wait for {event!r};"
                " keep one"
            )
        self.events[event] = signature


def _no_list(where: str, name: str, what: str, others: Mapping[str, object]) -> PackError:
    if name in others:
        return PackError(f"{where}: the list {name!r} is not one of {what}; name another list")
    if not _NAME.fullmatch(name):
        return PackError(f"{where}: a list is named without folder and ending, and not {name!r}")
    return PackError(f"{where}: there is no list {name!r}; add lists/{name}.tsv")
