"""A pack: its signatures and lists, compiled and indexed, and the lookups.

A pack is a set of named files: ``pack.yaml`` (name and version), ``lists/NAME.tsv``, one
``FAMILY/ID.yaml`` for each signature and, beside them, its vectors as ``vectors/FAMILY/ID.yaml``.
Building one is pure; ``disk`` reads the files.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Self

from davylamp.errors import PackError
from davylamp.flow import Direction
from davylamp.signatures.certificates import CertificateIndex
from davylamp.signatures.combined import CombinationIndex
from davylamp.signatures.compile import compile_signature
from davylamp.signatures.endpoints import EndpointEntry, lists_endpoints, parse_endpoints
from davylamp.signatures.heads import HeadIndex
from davylamp.signatures.hellos import HelloIndex
from davylamp.signatures.indexes import Indexes
from davylamp.signatures.listed import EndpointIndex
from davylamp.signatures.memo import Memo
from davylamp.signatures.model import (
    JsonCondition,
    Match,
    Maturity,
    NameMatch,
    Path,
    Signature,
    SignatureId,
)
from davylamp.signatures.names import NameEntry, parse_names
from davylamp.signatures.source import Scalar, Table, fault, read, suggest
from davylamp.signatures.texts import LineIndex, StartIndex
from davylamp.signatures.vocabulary import coin_of_algo
from davylamp.signatures.wallets import coin_of_wallet

FORMAT = 1
MANIFEST = "pack.yaml"
_MANIFEST = ("name", "version", "format")
VECTORS = "vectors"
"""The folder of a pack with its signatures' examples."""

LISTS = "lists"

type Lists = Mapping[str, tuple[NameEntry, ...]]
type EndpointLists = Mapping[str, tuple[EndpointEntry, ...]]


@dataclass(frozen=True, slots=True)
class Pack:
    """A compiled pack; immutable, so that any number of flows may read it while another loads.

    Signatures of maturity sandbox are kept but off: no lookup returns them, unless the pack was
    made by `with_sandbox`, as vectors do.
    """

    name: str
    version: str
    signatures: Mapping[SignatureId, Signature]
    lists: Lists
    endpoint_lists: EndpointLists
    indexes: Indexes
    lines: LineIndex | None
    starts: StartIndex | None
    heads: HeadIndex | None
    hellos: HelloIndex | None
    endpoints: EndpointIndex | None
    certificates: CertificateIndex | None
    combinations: CombinationIndex | None
    """The conditions of one kind; None where there is none, for each flow asks."""

    @classmethod
    def build(
        cls,
        name: str,
        version: str,
        signatures: Iterable[Signature],
        lists: Lists,
        endpoint_lists: EndpointLists = MappingProxyType({}),
    ) -> Self:
        """Index signatures and lists; raise PackError where they contradict each other."""
        by_id: dict[SignatureId, Signature] = {}
        for signature in signatures:
            if signature.id in by_id:
                other = by_id[signature.id]
                raise PackError(
                    f"{signature.where}: two signatures have the id {signature.id!r}, here and at"
                    f" {other.where}; rename one"
                )
            by_id[signature.id] = signature
        live = [one for one in by_id.values() if one.maturity is not Maturity.SANDBOX]
        indexes = Indexes.build(live, lists, endpoint_lists)
        return cls(
            name=name,
            version=version,
            signatures=MappingProxyType(by_id),
            lists=MappingProxyType(dict(lists)),
            endpoint_lists=MappingProxyType(dict(endpoint_lists)),
            indexes=indexes,
            lines=indexes.lines or None,
            starts=indexes.starts or None,
            heads=indexes.heads or None,
            hellos=indexes.hellos or None,
            endpoints=indexes.endpoints or None,
            certificates=indexes.certificates or None,
            combinations=indexes.combinations or None,
        )

    def with_sandbox(self) -> Self:
        """Return the same pack with its sandbox signatures on, as incubating ones."""
        return type(self).build(
            self.name,
            self.version,
            (
                replace(one, maturity=Maturity.INCUBATING)
                if one.maturity is Maturity.SANDBOX
                else one
                for one in self.signatures.values()
            ),
            self.lists,
            self.endpoint_lists,
        )

    def match_message(
        self, message: Mapping[str, object], direction: Direction | None = None
    ) -> tuple[Match, ...]:
        """Return what a JSON object matches, surest first; parts of combinations are among it.

        Fallbacks are left out where a stable signature that is none matches; of several, one stays.

        ``message`` is a parsed JSON object: dict, list, str, int, float, bool and None;
        ``direction`` is who says it, None where that is not known and conditions that ask for one
        are met by either. Costs no more than the message's size, however large the pack is.
        """
        found = [
            _match(signature, condition, message)
            for signature, condition in self.indexes.messages.candidates(message)
            if (
                condition.direction is None or direction is None or condition.direction is direction
            )
            and condition.members.test(message)
        ]
        if len(found) > 1:
            found.sort(key=lambda match: (-match.signature.confidence, match.signature.id))
            found = _without_needless_fallbacks(found)
        return tuple(found)

    def match_name(self, field: str, name: str) -> NameMatch | None:
        """Return the entry that a host name seen in ``field`` falls under, or None.

        ``field`` is one of language.NAME_FIELDS. At most ten dictionary lookups.
        """
        return self.indexes.names.match(field, name)

    def match_names(self, field: str, name: str) -> tuple[NameMatch, ...]:
        """Return the same, and the entries that it falls under for parts of combinations."""
        return self.indexes.names.match_all(field, name)

    def match_event(self, event: str) -> Signature | None:
        """Return the signature for something that was noticed, or None."""
        return self.indexes.events.get(event)

    def match_events(self, event: str) -> Iterator[Signature]:
        """Yield the same, and the part of combinations that waits for it."""
        for table in (self.indexes.events, self.indexes.event_parts):
            if (signature := table.get(event)) is not None:
                yield signature


def load(files: Mapping[str, bytes], memo: Memo | None = None) -> Pack:
    """Compile a pack from its files, keyed by path relative to the pack with ``/`` between.

    Markdown files and vectors are left alone; ``memo`` spares what an earlier pack had as well.
    Raises PackError naming what cannot be used, and where.
    """
    memo = memo or Memo()
    memo.keep(files)
    if MANIFEST not in files:
        raise PackError(f"no {MANIFEST}: a pack has one, with its name and version")
    name, version = read_manifest(files[MANIFEST])
    signatures: list[Signature] = []
    lists: dict[str, tuple[NameEntry, ...]] = {}
    endpoint_lists: dict[str, tuple[EndpointEntry, ...]] = {}
    for file in sorted(files):
        folder, _, base = file.rpartition("/")
        stem, _, suffix = base.rpartition(".")
        match suffix:
            case "tsv" if folder == LISTS:
                if lists_endpoints(files[file]):
                    endpoint_lists[stem] = memo.result(files[file], file, parse_endpoints)
                else:
                    lists[stem] = memo.result(files[file], file, parse_names)
            case "yaml" if folder.partition("/")[0] == VECTORS:
                pass
            case "yaml" if file != MANIFEST:
                signatures.append(memo.result(files[file], file, compile_signature))
            case "md" | "yaml":
                pass
            case _:
                raise PackError(
                    f"{file}: not part of a pack; signatures are FAMILY/ID.yaml, "
                    "lists are lists/NAME.tsv"
                )
    return Pack.build(name, version, signatures, lists, endpoint_lists)


def read_manifest(data: bytes) -> tuple[str, str]:
    """Return a pack's name and version; raise PackError where this davylamp cannot read it."""
    node = read(data, MANIFEST)
    values = {
        key.text: value.text
        for key, value in (node.entries if isinstance(node, Table) else ())
        if isinstance(value, Scalar)
    }
    if values.get("format") != str(FORMAT):
        raise PackError(
            f"{MANIFEST}: format {values.get('format')!r} cannot be read; "
            f"this davylamp reads format {FORMAT}"
        )
    for key, _ in node.entries if isinstance(node, Table) else ():
        if key.text not in _MANIFEST:
            raise fault(key.place, f"unknown field {key.text!r}; {suggest(key.text, _MANIFEST)}")
    if not values.get("name") or not values.get("version"):
        raise PackError(f"{MANIFEST}: write 'name' and 'version'")
    return values["name"], values["version"]


def _without_needless_fallbacks(found: list[Match]) -> list[Match]:
    """Keep one fallback, the surest stable one, and none beside a stable match of its own right."""
    own = [match for match in found if not match.signature.fallback]
    if len(own) == len(found) or any(_is_stable(match) for match in own):
        return own
    fallbacks = [match for match in found if match.signature.fallback]
    kept = next(filter(_is_stable, fallbacks), fallbacks[0])
    return [match for match in found if match is kept or not match.signature.fallback]


def _is_stable(match: Match) -> bool:
    return match.signature.maturity is Maturity.STABLE


def _match(signature: Signature, condition: JsonCondition, message: Mapping[str, object]) -> Match:
    coin = ""
    if condition.wallet_at:
        coin = coin_of_wallet(_text_at(message, condition.wallet_at))
    if not coin and condition.algo_at:
        coin = coin_of_algo(_text_at(message, condition.algo_at))
    return Match(signature, coin or signature.coin, signature.detail)


def _text_at(message: object, path: Path) -> str:
    value = message
    for step in path:
        if isinstance(value, Mapping) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return ""
    return value if isinstance(value, str) else ""
