"""Finds the conditions that a ClientHello can meet: by fingerprint, else by name, else by ALPN."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from davylamp.signatures.conditions import ANY
from davylamp.signatures.model import Signature, TlsCondition
from davylamp.signatures.names import find_all
from davylamp.signatures.prefixes import Prefixes

type Filed = tuple[Signature, TlsCondition]

_KIND = 4  # characters of a fingerprint that say version and whether there is a name
_HEAD = 10  # characters of a fingerprint before its first underscore


class Hello(Protocol):
    """What is asked about a ClientHello."""

    @property
    def server_names(self) -> tuple[str, ...]:
        """The host names offered, lower-case."""
        ...

    @property
    def alpn(self) -> tuple[str, ...]:
        """The protocols offered."""
        ...

    @property
    def ech(self) -> bool:
        """Whether an encrypted hello is there."""
        ...

    @property
    def ja4_kind(self) -> str:
        """The fingerprint's first four characters; nearly free."""
        ...

    @property
    def ja4_head(self) -> str:
        """The fingerprint up to its first underscore; cheap."""
        ...

    @property
    def ja4(self) -> str:
        """The fingerprint, computed at each access."""
        ...


class HelloIndex:
    """TLS conditions of a pack."""

    __slots__ = ("_alpn", "_heads", "_ja4", "_ja4_starts", "_kinds", "_names")

    def __init__(self, conditions: Iterable[Filed]) -> None:
        self._heads: set[str] = set()
        self._ja4: dict[str, list[Filed]] = {}
        self._ja4_starts: Prefixes[str, Filed] = Prefixes()
        self._names: dict[str, list[Filed]] = {}
        self._alpn: dict[str, list[Filed]] = {}
        for filed in conditions:
            self._file(filed)
        self._kinds = frozenset(head[:_KIND] for head in self._heads)

    def __bool__(self) -> bool:
        return bool(self._heads or self._names or self._alpn)

    def match(self, hello: Hello) -> tuple[Signature, ...]:
        """Return what a ClientHello meets, each once."""
        found: list[Filed] = []
        ja4 = ""
        if hello.ja4_kind in self._kinds and hello.ja4_head in self._heads:
            ja4 = hello.ja4
            found += self._ja4.get(ja4, ())
            found += self._ja4_starts.find(ja4)
        if self._names:
            for name in hello.server_names:
                for filed in find_all(self._names, name):
                    found += filed
        if self._alpn:
            for protocol in hello.alpn:
                found += self._alpn.get(protocol, ())
        if not found:
            return ()
        return tuple(
            {signature: None for signature, condition in found if fits(condition, hello, ja4)}
        )

    def places(self) -> Iterator[tuple[str, list[Filed]]]:
        """Yield every place of the index, in words, with the conditions that are filed there."""
        for ja4, filed in self._ja4.items():
            yield f"hellos with JA4 {ja4}", filed
        for start, filed in self._ja4_starts.items():
            yield f"hellos with JA4 {start}{ANY}", filed
        for name, filed in self._names.items():
            yield f"hellos for {name}", filed
        for protocol, filed in self._alpn.items():
            yield f"hellos that offer {protocol}", filed

    def _file(self, filed: Filed) -> None:
        condition = filed[1]
        for ja4 in condition.ja4:
            self._heads.add(ja4[:_HEAD])
            if ja4.endswith(ANY):
                self._ja4_starts.add(ja4.removesuffix(ANY), filed)
            else:
                self._ja4.setdefault(ja4, []).append(filed)
        if condition.ja4:
            return
        tables = (self._names, condition.sni) if condition.sni else (self._alpn, condition.alpn)
        for key in tables[1]:
            tables[0].setdefault(key, []).append(filed)


def fits(condition: TlsCondition, hello: Hello, ja4: str = "") -> bool:
    """Tell whether a hello meets a condition; ``ja4`` is its fingerprint, if that is known."""
    if condition.names_server not in (None, bool(hello.server_names)):
        return False
    if condition.ech not in (None, hello.ech):
        return False
    if condition.alpn and not set(condition.alpn) & set(hello.alpn):
        return False
    if condition.sni:
        wanted = dict.fromkeys(condition.sni, True)
        if not any(find_all(wanted, name) for name in hello.server_names):
            return False
    if not condition.ja4:
        return True
    known = ja4 or hello.ja4
    return any(
        known.startswith(one.removesuffix(ANY)) if one.endswith(ANY) else known == one
        for one in condition.ja4
    )
