"""A lab certificate authority and the leaf certificates it signs.

Keys are ECDSA on P-256: small, quick to make, and what most web servers present today.
"""

import contextlib
import datetime as dt
import ipaddress
import os
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from davylamp.errors import ConfigError
from davylamp.lab.programs.report import Reporter

LIFETIME = dt.timedelta(days=30)
# A verifier whose clock runs behind ours must still find the certificate valid.
BACKDATE = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Leaf:
    """The files of one certificate: its chain and its private key, both PEM."""

    chain: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """Return a server-side context that presents this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority, kept as ``ca.pem`` and ``ca.key`` in a folder only we may read."""

    folder: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def bundle(self) -> Path:
        """The file that clients are told to trust."""
        return self.folder / "ca.pem"

    @classmethod
    def create(cls, folder: Path, name: str = "davylamp lab CA") -> Self:
        """Make an authority in a folder; raise FileExistsError where one lives there already."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = _named(name)
        certificate = (
            _builder(issuer, issuer, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_MAY_SIGN_CERTIFICATES, critical=True)
            .sign(key, hashes.SHA256())
        )
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_pair(folder, "ca", certificate, key)
        return cls(folder, certificate, key)

    def issue(self, names: Sequence[str]) -> Leaf:
        """Sign a server certificate for DNS names and IP addresses; the first names the files.

        Raises FileExistsError where that name was issued before.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        certificate = (
            _builder(_named(names[0]), self.certificate.subject, key)
            .add_extension(_alternatives(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(authority_key, critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return _write_pair(self.folder, names[0], certificate, key)


def self_signed(folder: Path, names: Sequence[str]) -> Leaf:
    """Write a certificate that vouches for itself, as most pools present."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(names[0])
    certificate = (
        _builder(subject, subject, key)
        .add_extension(_alternatives(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return _write_pair(folder, names[0], certificate, key)


@contextlib.contextmanager
def certificate(chain: Path | None, key: Path | None) -> Iterator[Leaf]:
    """Yield the given certificate, or a self-signed one that is gone when the program ends.

    Raises ConfigError where only one of the two files is given.
    """
    if (chain is None) != (key is None):
        raise ConfigError("give --cert and --key together, or neither")
    if chain is not None and key is not None:
        yield Leaf(chain, key)
        return
    with contextlib.ExitStack() as stack:
        with tempfile.TemporaryDirectory(prefix="dl-cert-") as folder:
            made = self_signed(Path(folder), ["localhost", "127.0.0.1", "::1"])
            in_memory = (stack.enter_context(_unlinked(one)) for one in (made.chain, made.key))
            leaf = Leaf(*in_memory)
        yield leaf


@contextlib.contextmanager
def _unlinked(path: Path) -> Iterator[Path]:
    """Yield a path to a copy of a file that no folder has: it ends with us, however we end."""
    copy = os.memfd_create(path.name)
    try:
        os.write(copy, path.read_bytes())
        yield Path(f"/proc/self/fd/{copy}")
    finally:
        os.close(copy)


_MAY_SIGN_CERTIFICATES = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    crl_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


def _named(common_name: str) -> x509.Name:
    # X.520 bounds a common name at 64 characters; verifiers read the alternative names anyway.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - BACKDATE,
        not_valid_after=now + LIFETIME,
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return builder.add_extension(identifier, critical=False)


def _alternatives(names: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_alternative(name) for name in names])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write_pair(
    folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> Leaf:
    stem = name.replace("/", "_").replace("*", "_")
    leaf = Leaf(folder / f"{stem}.pem", folder / f"{stem}.key")
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _write(leaf.key, private, 0o600)
    _write(leaf.chain, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return leaf


def _write(path: Path, content: bytes, mode: int) -> None:
    # O_EXCL: neither an old key nor someone's symbolic link is written through.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), required=True)
@click.option("--name", "names", multiple=True, required=True, help="DNS name or IP; repeatable.")
def main(folder: Path, names: tuple[str, ...]) -> None:
    """Make a certificate authority in FOLDER and one certificate for all the names."""
    try:
        authority = Authority.create(folder)
        leaf = authority.issue(names)
    except FileExistsError as error:
        raise click.ClickException(f"{error.filename} exists; choose an empty folder") from error
    Reporter().say(
        "issued", authority=str(authority.bundle), chain=str(leaf.chain), key=str(leaf.key)
    )


if __name__ == "__main__":
    main()
