"""JA4, the TLS client fingerprint (FoxIO, technical_details/JA4.md; BSD 3-Clause).

Only JA4 itself: the other methods of the JA4+ suite are under another licence and are not here.

    t13d1516h2_8daaf6152771_e5627efa2ab1
    |`-'|`-'`-'`'  |            `- 12 hex of SHA-256 over "sorted extensions_signature algorithms",
    | | | |  | |   |               extensions without SNI (0000) and ALPN (0010)
    | | | |  | |   `- 12 hex of SHA-256 over the sorted cipher suites
    | | | |  | `- first and last character of the first ALPN value
    | | | |  `- extensions, SNI and ALPN counted, at most 99
    | | | `- cipher suites, at most 99
    | | `- d: there is an SNI extension, i: there is none
    | `- the highest version offered
    `- t: TLS over TCP

GREASE values (RFC 8701) count nowhere.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from struct import pack

GREASE = frozenset(0x0A0A + 0x1010 * n for n in range(16))
"""The reserved values of RFC 8701 section 2 that clients sprinkle in to keep servers honest."""

_SNI, _ALPN = 0x0000, 0x0010
_NOTHING = "000000000000"
_VERSIONS = {
    0x0304: "13",
    0x0303: "12",
    0x0302: "11",
    0x0301: "10",
    0x0300: "s3",
    0x0002: "s2",
}


def fingerprint(
    *,
    version: int,
    first_alpn: bytes,
    ciphers: Iterable[int],
    extensions: Iterable[int],
    signature_algorithms: Iterable[int],
) -> str:
    """Return the JA4 of a ClientHello sent over TCP.

    Lists are in wire order and may hold GREASE. ``version`` is the highest of
    supported_versions, or the hello's own where there is no such extension.
    """
    ciphers, extensions = tuple(ciphers), tuple(extensions)
    suites = sorted(c for c in ciphers if c not in GREASE)
    kinds = sorted(e for e in extensions if e not in GREASE)
    hashed = [e for e in kinds if e not in (_SNI, _ALPN)]
    algorithms = [s for s in signature_algorithms if s not in GREASE]
    tail = _hex(hashed) + ("_" + _hex(algorithms) if algorithms else "")
    head = counts(version=version, first_alpn=first_alpn, ciphers=ciphers, extensions=extensions)
    return (
        f"{head}"
        f"_{_digest(_hex(suites)) if suites else _NOTHING}"
        f"_{_digest(tail) if hashed else _NOTHING}"
    )


def kind(version: int, extensions: Sequence[int]) -> str:
    """Return the fingerprint's first four characters."""
    return f"t{_VERSIONS.get(version, '00')}{'d' if _SNI in extensions else 'i'}"


def counts(
    *, version: int, first_alpn: bytes, ciphers: Sequence[int], extensions: Sequence[int]
) -> str:
    """Return the fingerprint up to its first underscore, which needs no digest."""
    return (
        f"{kind(version, extensions)}"
        f"{_ungreased(ciphers):02}{_ungreased(extensions):02}{alpn_code(first_alpn)}"
    )


def _ungreased(values: Sequence[int]) -> int:
    """Return how many values are no GREASE, 99 at most."""
    if GREASE.isdisjoint(values):
        return min(len(values), 99)
    return min(sum(1 for value in values if value not in GREASE), 99)


def alpn_code(first: bytes) -> str:
    """Return the two characters for the first ALPN value (JA4.md, "ALPN Extension Value")."""
    if not first:
        return "00"
    if first[:1].isalnum() and first[-1:].isalnum():
        return chr(first[0]) + chr(first[-1])
    return f"{first[0] >> 4:x}{first[-1] & 0x0F:x}"


def _hex(values: list[int]) -> str:
    return pack(f">{len(values)}H", *values).hex(",", 2) if values else ""


def _digest(text: str) -> str:
    return sha256(text.encode("ascii")).hexdigest()[:12]
