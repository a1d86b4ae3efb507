"""A pack: its signatures and name lists, compiled and indexed, and the three lookups.

A pack is a set of named files: ``pack.yaml`` (name and version), ``lists/NAME.tsv``, and one
``FAMILY/ID.yaml`` for each signature. Building one is pure; ``disk`` reads the files.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Self, assert_never

from davylamp.errors import PackError
from davylamp.signatures.compile import NAME_FIELDS, compile_signature
from davylamp.signatures.index import MessageIndex
from davylamp.signatures.model import (
    EventCondition,
    JsonCondition,
    Match,
    Maturity,
    NameCondition,
    NameMatch,
    Path,
    Signature,
    SignatureId,
)
from davylamp.signatures.names import Kind, NameEntry, find, parse_names
from davylamp.signatures.source import Scalar, Table, read
from davylamp.signatures.vocabulary import coin_of_algo
from davylamp.signatures.wallets import coin_of_wallet

FORMAT = 1
MANIFEST = "pack.yaml"


@dataclass(frozen=True, slots=True)
class Pack:
    """A compiled pack; immutable, so that any number of flows may read it while another loads.

    Signatures of maturity sandbox are kept but off: no lookup returns them, unless the pack was
    made by `with_sandbox`, as vectors do.
    """

    name: str
    version: str
    signatures: Mapping[SignatureId, Signature]
    lists: Mapping[str, tuple[NameEntry, ...]]
    _messages: MessageIndex
    _names: Mapping[str, Mapping[str, NameMatch]]
    _events: Mapping[str, Signature]

    @classmethod
    def build(
        cls,
        name: str,
        version: str,
        signatures: Iterable[Signature],
        lists: Mapping[str, tuple[NameEntry, ...]],
    ) -> Self:
        """Index signatures and lists; raise PackError where they contradict each other."""
        by_id: dict[SignatureId, Signature] = {}
        for signature in signatures:
            if signature.id in by_id:
                raise PackError(f"two signatures have the id {signature.id!r}; rename one")
            by_id[signature.id] = signature
        live = [one for one in by_id.values() if one.maturity is not Maturity.SANDBOX]
        names, events = _index_names_and_events(live, lists)
        return cls(
            name=name,
            version=version,
            signatures=MappingProxyType(by_id),
            lists=MappingProxyType(dict(lists)),
            _messages=MessageIndex(live),
            _names=names,
            _events=events,
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
        )

    def match_message(self, message: Mapping[str, object]) -> tuple[Match, ...]:
        """Return what a JSON object matches, surest first.

        Fallbacks are left out where a stable signature that is none matches; of several, one stays.

        ``message`` is a parsed JSON object: dict, list, str, int, float, bool and None. Costs no
        more than the message's size, however large the pack is.
        """
        found = [
            _match(signature, condition, message)
            for signature, condition in self._messages.candidates(message)
            if condition.members.test(message)
        ]
        if len(found) > 1:
            found.sort(key=lambda match: (-match.signature.confidence, match.signature.id))
            found = _without_needless_fallbacks(found)
        return tuple(found)

    def match_name(self, field: str, name: str) -> NameMatch | None:
        """Return the entry that a host name seen in ``field`` falls under, or None.

        ``field`` is one of compile.NAME_FIELDS. At most ten dictionary lookups.
        """
        table = self._names.get(field)
        match = find(table, name) if table else None
        return None if match is None or match.entry.kind is Kind.WEBSITE else match

    def match_event(self, event: str) -> Signature | None:
        """Return the signature for something that was noticed, or None."""
        return self._events.get(event)


def load(files: Mapping[str, bytes]) -> Pack:
    """Compile a pack from its files, keyed by path relative to the pack with ``/`` between.

    Markdown files are left alone. Raises PackError naming what cannot be used, and where.
    """
    if MANIFEST not in files:
        raise PackError(f"no {MANIFEST}: a pack has one, with its name and version")
    name, version = _manifest(files[MANIFEST])
    signatures: list[Signature] = []
    lists: dict[str, tuple[NameEntry, ...]] = {}
    for file in sorted(files):
        folder, _, base = file.rpartition("/")
        stem, _, suffix = base.rpartition(".")
        match suffix:
            case "tsv" if folder == "lists":
                lists[stem] = parse_names(files[file], file)
            case "yaml" if file != MANIFEST:
                signatures.append(compile_signature(files[file], file))
            case "md" | "yaml":
                pass
            case _:
                raise PackError(
                    f"{file}: not part of a pack; signatures are FAMILY/ID.yaml, "
                    "lists are lists/NAME.tsv"
                )
    return Pack.build(name, version, signatures, lists)


def _manifest(data: bytes) -> tuple[str, str]:
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
    if not values.get("name") or not values.get("version"):
        raise PackError(f"{MANIFEST}: write 'name' and 'version'")
    return values["name"], values["version"]


def _index_names_and_events(
    signatures: list[Signature], lists: Mapping[str, tuple[NameEntry, ...]]
) -> tuple[Mapping[str, Mapping[str, NameMatch]], Mapping[str, Signature]]:
    names: dict[str, dict[str, NameMatch]] = {field: {} for field in NAME_FIELDS}
    events: dict[str, Signature] = {}
    for signature in sorted(signatures, key=lambda one: (one.confidence, one.id)):
        match signature.condition:
            case NameCondition(field, list_name):
                if list_name not in lists:
                    raise PackError(
                        f"{signature.id}: there is no list {list_name!r}; add lists/{list_name}.tsv"
                    )
                table = names[field]
                for entry in lists[list_name]:
                    table[entry.name] = NameMatch(signature, entry)
            case EventCondition(event):
                if event in events:
                    raise PackError(
                        f"{signature.id} and {events[event].id} both wait for {event!r}; keep one"
                    )
                events[event] = signature
            case JsonCondition():
                pass
            case other:
                assert_never(other)
    return MappingProxyType(names), MappingProxyType(events)


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
    if not coin and len(signature.coins) == 1:
        coin = signature.coins[0]
    return Match(signature, coin, signature.detail)


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
