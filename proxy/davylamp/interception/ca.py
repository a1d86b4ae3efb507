"""The authority that signs in the place of servers: made on first start, and changed for another.

It is kept as mitmproxy wants it: ``mitmproxy-ca.pem`` holds the key and what is sent with every
certificate, ``mitmproxy-ca-cert.pem`` what clients are to trust.

A change must not break clients that trust the old authority only: images are not rebuilt in a
moment. So the old one signs the new one's key once more, for the days of grace, and that
cross-certificate (RFC 4158 section 1.5.2) and the old root are sent along: whoever trusts the old
root finds a way to it, whoever trusts the new one needs neither. The old key has no work left, and
is gone. When its time is up the cross-certificate is no longer valid, whoever tidies up or not.
"""

import contextlib
import datetime as dt
import fcntl
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from davylamp.attribution.place import Place
from davylamp.errors import ConfigError

BASENAME = "mitmproxy"
KEY_FILE = f"{BASENAME}-ca.pem"
CERTIFICATE_FILE = f"{BASENAME}-ca-cert.pem"
PREVIOUS_FILE = f"{BASENAME}-ca-cert.previous.pem"
_COPY_FILE = f"{BASENAME}-ca-cert.cer"  # the same again, under the name that Android wants
_BUNDLES = (f"{BASENAME}-ca.p12", f"{BASENAME}-ca-cert.p12")
_LOCK_FILE = ".davylamp-ca.lock"

# RSA, because a leaf has the authority's own key in mitmproxy and every client can verify RSA.
_KEY_BITS = 2048
_LIFETIME = dt.timedelta(days=3650)
_BACKDATE = dt.timedelta(days=2)  # for clients whose clocks run behind
_MAX_CHAIN = 4  # cross-certificates and roots of changes that followed each other within the grace

type Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Rotated:
    """A change of authority; ``until`` is when clients of the old one fail, RFC 3339, or empty."""

    certificate: Path
    previous: Path | None
    until: str


@dataclass(frozen=True, slots=True)
class _Held:
    """What a key file holds; of ``chain`` the first is what leaves are issued by.

    ``crossed`` says that this is a cross-certificate of ours. A site's own authority may be an
    intermediate one, which is nobody's to change.
    """

    key: Key
    chain: tuple[x509.Certificate, ...]
    crossed: bool


def authority_folder(place: Place) -> Path:
    """Return where the gateway that has its lineage store at this place keeps its authority."""
    return place.state.parent / "ca"


def ensure(folder: Path, now: dt.datetime) -> Path:
    """Make an authority where there is none, and drop from one what its grace is over for.

    Return its certificate. Raises ConfigError where the folder or what is in it cannot be used.
    """
    with _locked(folder):
        held = _read(folder)
        if held is None:
            key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
            _install(folder, key, _root(key, now), ())
            return folder / CERTIFICATE_FILE
        root = _root_of(folder, held, now)
        over = held.crossed and held.chain[0].not_valid_after_utc <= now
        if over or not _published(folder, root):
            _install(folder, held.key, root, () if over else held.chain)
        if over:
            (folder / PREVIOUS_FILE).unlink(missing_ok=True)
        return folder / CERTIFICATE_FILE


def rotate(folder: Path, grace: dt.timedelta, now: dt.datetime) -> Rotated:
    """Put another authority in an authority's place; without grace, at once and for everybody.

    Whoever has mitmproxy running on it takes it up without a restart, if it is davylamp's.
    Raises ConfigError where there is none, or where it cannot be written.
    """
    with _locked(folder):
        held = _read(folder)
        if held is None:
            raise ConfigError(f"{folder / KEY_FILE}: there is none to change; start the gateway")
        old = _root_of(folder, held, now)
        key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
        root = _root(key, now)
        previous = folder / PREVIOUS_FILE
        if grace <= dt.timedelta(0):
            _install(folder, key, root, ())
            previous.unlink(missing_ok=True)
            return Rotated(folder / CERTIFICATE_FILE, None, "")
        until = min(now + grace, old.not_valid_after_utc)
        cross = _signed(root.subject, key, old, held.key, now, until)
        _write(previous, _pem(old), 0o644)
        _install(folder, key, root, (cross, *held.chain)[:_MAX_CHAIN])
        return Rotated(folder / CERTIFICATE_FILE, previous, until.isoformat(timespec="seconds"))


def _root_of(folder: Path, held: _Held, now: dt.datetime) -> x509.Certificate:
    """Return a key's own root; make it anew if whoever changed the authority did not get so far."""
    first = held.chain[0]
    if not held.crossed:
        return first
    with contextlib.suppress(OSError, ValueError):
        found = x509.load_pem_x509_certificate((folder / CERTIFICATE_FILE).read_bytes())
        if found.public_key() == held.key.public_key():
            return found
    return _root(held.key, now, first.subject)


def _published(folder: Path, root: x509.Certificate) -> bool:
    try:
        return (folder / CERTIFICATE_FILE).read_bytes() == _pem(root)
    except OSError:
        return False


def _read(folder: Path) -> _Held | None:
    path = folder / KEY_FILE
    try:
        text = path.read_bytes()
        key = serialization.load_pem_private_key(text, None)
        chain = tuple(x509.load_pem_x509_certificates(text))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; run this as who runs the gateway") from error
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path}: not a key and its certificate: {error}") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ConfigError(f"{path}: the key is neither RSA nor on an elliptic curve; remove it")
    if chain[0].public_key() != key.public_key():
        raise ConfigError(f"{path}: the first certificate is not the key's own; remove it")
    crossed = chain[0].issuer != chain[0].subject and (folder / PREVIOUS_FILE).exists()
    return _Held(key, chain, crossed)


def _root(key: Key, now: dt.datetime, subject: x509.Name | None = None) -> x509.Certificate:
    """Return a certificate that vouches for itself.

    No two have the same name, or a client that trusts both might try the wrong one only.
    """
    if subject is None:
        words = f"davylamp {now:%Y-%m-%d} {secrets.token_hex(4)}"
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, words),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "davylamp"),
            ]
        )
    return _signed(subject, key, None, key, now, now + _LIFETIME)


def _signed(  # noqa: PLR0913, PLR0917 - a certificate is all of these
    subject: x509.Name,
    key: Key,
    issuer: x509.Certificate | None,
    issuer_key: Key,
    now: dt.datetime,
    until: dt.datetime,
) -> x509.Certificate:
    public = key.public_key()
    builder = (
        x509.CertificateBuilder(issuer_name=subject if issuer is None else issuer.subject)
        .subject_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_MAY_SIGN, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    if issuer is not None:
        builder = builder.add_extension(_identifier_of(issuer), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _identifier_of(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Return how a certificate names its issuer's key: as that names it itself (RFC 5280)."""
    try:
        named = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key = issuer.public_key()
        assert isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(named)


_MAY_SIGN = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _install(
    folder: Path, key: Key, root: x509.Certificate, chain: tuple[x509.Certificate, ...]
) -> None:
    """Write every file. The key's is the one that counts: the rest can be made from it."""
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _write(folder / KEY_FILE, private + b"".join(map(_pem, chain or (root,))), 0o600)
    _write(folder / CERTIFICATE_FILE, _pem(root), 0o644)
    _write(folder / _COPY_FILE, _pem(root), 0o644)
    for name, secret in zip(_BUNDLES, (key, None), strict=True):
        if (folder / name).exists():  # mitmproxy wrote them, and would not write them again
            bundle = pkcs12.serialize_key_and_certificates(
                BASENAME.encode(), secret, root, None, serialization.NoEncryption()
            )
            _write(folder / name, bundle, 0o600 if secret else 0o644)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Put a file in place whole, with these permissions from its first byte on."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep others from changing the folder; make it, for nobody else to look into."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = folder.stat().st_uid
        if owner != os.geteuid():
            raise ConfigError(f"{folder} belongs to uid {owner}; run this as that user")
        lock = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ConfigError(
            f"the authority cannot be kept in {folder}: {error.strerror}; "
            "choose a state_dir that this user may write"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    except OSError as error:
        raise ConfigError(f"the authority in {folder} cannot be written: {error}") from error
    finally:
        os.close(lock)
