"""Key files: Ed25519 in PKCS #8 PEM, readable by their owner alone, encrypted where asked for."""

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner

from davylamp.errors import ConfigError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_key(file: Path, passphrase: bytes = b"") -> CryptoSigner:
    """Make a key and keep it in a new file of mode 0600; raise ConfigError where one is there."""
    key = Ed25519PrivateKey.generate()
    how = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(file, "xb", opener=_private) as out:
            out.write(pem)
            os.fsync(out.fileno())
    except FileExistsError as error:
        raise ConfigError(f"{file}: is there already; a key is never overwritten") from error
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror}") from error
    return CryptoSigner(key)


def read_key(file: Path, passphrase: bytes = b"") -> CryptoSigner:
    """Return what signs with a key file; raise ConfigError saying why it cannot.

    A file that others may read is refused, and an encrypted one without its passphrase.
    """
    try:
        mode = file.stat().st_mode
        pem = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    if mode & _OTHERS:
        raise ConfigError(f"{file}: others may read this key: chmod 600 {file}, or make a new one")
    encrypted = b"ENCRYPTED" in pem.partition(b"\n")[0]
    if encrypted and not passphrase:
        raise ConfigError(f"{file}: is encrypted; give its passphrase with --passphrase-file FILE")
    try:
        key = load_pem_private_key(pem, passphrase if encrypted else None)
        return CryptoSigner(key)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{file}: is not a key, or not its passphrase: {error}") from error


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
