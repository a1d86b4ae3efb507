"""The proxy's certificate authority: what it is, and how clients come to trust it.

mitmproxy makes it on first start (``mitmproxy-ca.pem`` with the key, ``mitmproxy-ca-cert.pem``
without), and davylamp only ever reads the latter.
"""

import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from davylamp.errors import ConfigError

IN_IMAGE = "/tmp/davylamp-ca.crt"  # noqa: S108 - a path inside the reader's image
_DEBIAN_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True, slots=True)
class Described:
    """A certificate in words; times are RFC 3339, ``warning`` is empty where all is well."""

    path: str
    subject: str
    sha256: str
    valid_from: str
    valid_to: str
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Hint:
    """What to write into an image for one kind of client."""

    client: str
    lines: tuple[str, ...]
    note: str = ""


def describe(path: Path) -> Described:
    """Read a certificate; raise ConfigError where there is none, or where it is not one."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; start mitmdump once, which makes it, or give --cert"
        ) from error
    except ValueError as error:
        raise ConfigError(f"{path}: not a certificate in PEM; give --cert") from error
    return Described(
        str(path),
        certificate.subject.rfc4514_string(),
        certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
        certificate.not_valid_before_utc.isoformat(),
        certificate.not_valid_after_utc.isoformat(),
        _warning(path),
    )


def install_hints() -> tuple[Hint, ...]:
    """Return what to write into an image, the certificate being there as ``IN_IMAGE``."""
    return (
        Hint(
            "Debian, Ubuntu",
            (
                f"cp {IN_IMAGE} /usr/local/share/ca-certificates/davylamp.crt",
                "update-ca-certificates",
            ),
            "needs the package ca-certificates; curl, git, wget, apt and most others follow it",
        ),
        Hint(
            "Alpine",
            (
                f"cp {IN_IMAGE} /usr/local/share/ca-certificates/davylamp.crt",
                "update-ca-certificates",
            ),
            "where that program is missing, append the certificate to /etc/ssl/cert.pem",
        ),
        Hint(
            "Fedora, RHEL, Rocky",
            (
                f"cp {IN_IMAGE} /etc/pki/ca-trust/source/anchors/davylamp.crt",
                "update-ca-trust",
            ),
            f"the bundle is /etc/pki/tls/certs/ca-bundle.crt there, not {_DEBIAN_BUNDLE}",
        ),
        Hint(
            "pip",
            (f"pip config set global.cert {_DEBIAN_BUNDLE}",),
            "or PIP_CERT; pip 24.2 and later follow the system by themselves",
        ),
        Hint("uv", ("export SSL_CERT_FILE=" + _DEBIAN_BUNDLE,)),
        Hint(
            "conda, mamba",
            (f"conda config --system --set ssl_verify {_DEBIAN_BUNDLE}",),
            "conda carries OpenSSL and certifi of its own",
        ),
        Hint(
            "requests, httpx, huggingface_hub, aiohttp",
            (
                f"export REQUESTS_CA_BUNDLE={_DEBIAN_BUNDLE}",
                f"export SSL_CERT_FILE={_DEBIAN_BUNDLE}",
            ),
            "requests reads the first, what uses Python's ssl reads the second",
        ),
        Hint("Node, npm", (f"export NODE_EXTRA_CA_CERTS={IN_IMAGE}",)),
        Hint("git", (f"git config --system http.sslCAInfo {_DEBIAN_BUNDLE}",)),
        Hint("curl", (f"export CURL_CA_BUNDLE={_DEBIAN_BUNDLE}",)),
        Hint(
            "Java",
            (f"keytool -importcert -noprompt -cacerts -storepass changeit -file {IN_IMAGE}",),
            "each Java has its own store",
        ),
        Hint("Go, Rust with native roots", (f"export SSL_CERT_FILE={_DEBIAN_BUNDLE}",)),
        Hint(
            "gRPC", (f"export GRPC_DEFAULT_SSL_ROOTS_FILE_PATH={_DEBIAN_BUNDLE}",), "C++ and Python"
        ),
    )


def _warning(path: Path) -> str:
    """Return what is wrong with how the key beside a certificate is kept, or nothing."""
    key = path.with_name(path.name.replace("-cert.pem", ".pem"))
    if key == path:
        return ""
    try:
        mode = key.stat().st_mode
    except OSError:
        return ""
    if stat.S_IMODE(mode) & 0o077:
        return f"others may read the key: chmod 600 {key}"
    return ""
