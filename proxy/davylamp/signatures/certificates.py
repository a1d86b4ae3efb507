"""Finds the conditions that a server's certificate can meet: by digest, else by name or issuer.

What is inside a certificate is read by ``cryptography``, whose reader is a memory-safe one of ASN.1
in Rust; it is imported when an index is built that asks for names, and by no one else, since that
takes a quarter of a second and some megabytes. Digests need nothing of it.
"""

from base64 import b64decode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from davylamp.signatures.model import CertificateCondition, Signature
from davylamp.signatures.names import find_all

if TYPE_CHECKING:
    from cryptography import x509

type Filed = tuple[Signature, CertificateCondition]

MAX_NAMES = 256
"""Names of one certificate that are looked at."""

MAX_NAME = 255


@dataclass(frozen=True, slots=True)
class Certificate:
    """What conditions ask of a certificate.

    ``sha256`` is of its DER, in lower-case hexadecimal. ``names`` are its subject's common names
    and its alternative names (hosts and addresses), in lower case; ``issuers`` its issuer's common
    names, or its organisations where it has none. ``self_signed`` says that subject and issuer
    are the same, which is what it claims: no signature is checked. Of one that cannot be read only
    the digest is known, and ``self_signed`` is None.
    """

    sha256: str
    names: tuple[str, ...] = ()
    issuers: tuple[str, ...] = ()
    self_signed: bool | None = None


def load_reader() -> None:
    """Import what `read_certificate` needs, so that no packet waits for it."""
    from cryptography import x509  # noqa: F401, PLC0415 - see above


def read_certificate(der: bytes) -> Certificate:
    """Return what a certificate says; of what is none only the digest. Never raises."""
    from cryptography import x509  # noqa: PLC0415 - see above

    digest = sha256(der).hexdigest()
    try:
        certificate = x509.load_der_x509_certificate(der)
        subject, issuer = certificate.subject, certificate.issuer
        return Certificate(
            digest,
            tuple(dict.fromkeys((*_common(subject), *_alternative(certificate))))[:MAX_NAMES],
            _common(issuer) or _texts(issuer, x509.NameOID.ORGANIZATION_NAME),
            self_signed=subject == issuer,
        )
    except Exception:  # noqa: BLE001 - a stranger wrote it, and the reader has many ways to say no
        return Certificate(digest)


def from_pem(text: str) -> bytes:
    """Return the DER of the first certificate in a text; raise ValueError where there is none."""
    _, begin, rest = text.partition("-----BEGIN CERTIFICATE-----")
    inside, end, _ = rest.partition("-----END CERTIFICATE-----")
    if not begin or not end:
        raise ValueError("a certificate is PEM: from its BEGIN line to its END line")
    try:
        return b64decode("".join(inside.split()), validate=True)
    except ValueError as error:
        raise ValueError("between its BEGIN and END lines a certificate is base64") from error


def misses(condition: CertificateCondition, certificate: Certificate) -> Iterator[str]:
    """Yield what a condition asks for and a certificate has not, in words."""
    if condition.digests and certificate.sha256 not in condition.digests:
        yield f"sha256: asked for {_any_of(condition.digests)}, got {certificate.sha256}"
    wanted = dict.fromkeys(condition.names, True)
    if wanted and not any(find_all(wanted, name) for name in certificate.names):
        yield f"name: asked for {_any_of(condition.names)}, got {_all_of(certificate.names)}"
    issuers = certificate.issuers
    if condition.issuers and not any(one.lower() in condition.issuers for one in issuers):
        yield f"issuer: asked for {_any_of(condition.issuers)}, got {_all_of(issuers)}"
    if condition.self_signed not in (None, certificate.self_signed):
        yield f"self_signed: asked for {condition.self_signed}, got {certificate.self_signed}"


def _any_of(words: tuple[str, ...]) -> str:
    return " or ".join(words)


def _all_of(words: tuple[str, ...]) -> str:
    return ", ".join(words) or "none"


def _common(name: "x509.Name") -> tuple[str, ...]:
    from cryptography.x509 import NameOID  # noqa: PLC0415 - see above

    return tuple(text.lower() for text in _texts(name, NameOID.COMMON_NAME))


def _texts(name: "x509.Name", what: "x509.ObjectIdentifier") -> tuple[str, ...]:
    return tuple(
        attribute.value[:MAX_NAME]
        for attribute in name.get_attributes_for_oid(what)[:MAX_NAMES]
        if isinstance(attribute.value, str)
    )


def _alternative(certificate: "x509.Certificate") -> tuple[str, ...]:
    """Return the hosts and addresses in a certificate's extension, where that can be read."""
    from cryptography import x509  # noqa: PLC0415 - see above

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError, x509.DuplicateExtension):
        return ()
    return tuple(
        str(one.value)[:MAX_NAME].lower().removesuffix(".")
        for one in extension.value
        if isinstance(one, x509.DNSName | x509.IPAddress)
    )


class CertificateIndex:
    """Certificate conditions of a pack."""

    __slots__ = ("_digests", "_issuers", "_names", "_reads")

    def __init__(self, conditions: Iterable[Filed]) -> None:
        self._digests: dict[str, list[Filed]] = {}
        self._names: dict[str, list[Filed]] = {}
        self._issuers: dict[str, list[Filed]] = {}
        self._reads = False
        for filed in conditions:
            self._file(filed)
        if self._reads:
            load_reader()

    def __bool__(self) -> bool:
        return bool(self._digests or self._names or self._issuers)

    def read(self, der: bytes) -> Certificate:
        """Return what a certificate says, as far as some condition asks."""
        return read_certificate(der) if self._reads else Certificate(sha256(der).hexdigest())

    def match(self, certificate: Certificate) -> tuple[Signature, ...]:
        """Return what a certificate meets, each once."""
        found = list(self._digests.get(certificate.sha256, ()))
        if self._names:
            for name in certificate.names:
                for filed in find_all(self._names, name):
                    found += filed
        if self._issuers:
            for issuer in certificate.issuers:
                found += self._issuers.get(issuer.lower(), ())
        return tuple(
            {signature: None for signature, condition in found if fits(condition, certificate)}
        )

    def places(self) -> Iterator[tuple[str, list[Filed]]]:
        """Yield every place of the index, in words, with the conditions that are filed there."""
        for digest, filed in self._digests.items():
            yield f"certificates with SHA-256 {digest}", filed
        for name, filed in self._names.items():
            yield f"certificates of {name}", filed
        for issuer, filed in self._issuers.items():
            yield f"certificates by {issuer}", filed

    def _file(self, filed: Filed) -> None:
        condition = filed[1]
        asks = condition.names or condition.issuers or condition.self_signed is not None
        self._reads = self._reads or bool(asks)
        if condition.digests:
            table, keys = self._digests, condition.digests
        elif condition.names:
            table, keys = self._names, condition.names
        else:
            table, keys = self._issuers, condition.issuers
        for key in keys:
            table.setdefault(key, []).append(filed)


def fits(condition: CertificateCondition, certificate: Certificate) -> bool:
    """Tell whether a certificate meets a condition."""
    return next(misses(condition, certificate), None) is None
