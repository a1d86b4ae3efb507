"""Where a gateway keeps what incidents need on disk: the key for wallets, and packets."""

import os
import secrets
from pathlib import Path

from davylamp.attribution.place import default_place
from davylamp.config import GatewayConfig
from davylamp.errors import ConfigError

_KEY_BYTES = 32
_KEY_FILE = "wallet.key"


def state_folder(config: GatewayConfig) -> Path:
    """Return the folder of what outlives a gateway."""
    if config.state_dir:
        return Path(config.state_dir).absolute()
    return default_place().state.parent


def evidence_folder(config: GatewayConfig) -> Path:
    """Return the folder of the packets behind alerts."""
    return state_folder(config) / "evidence"


def wallet_key(state: Path) -> bytes:
    """Return the key that wallets are marked with, made where there is none yet.

    Gateways that share a store recognise each other's wallets if they share this file. Raises
    ConfigError where it cannot be read or written.
    """
    file = state / _KEY_FILE
    try:
        if not file.exists():
            _make_key(file)
        key = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; it must be writable here, once") from error
    if len(key) != _KEY_BYTES:
        raise ConfigError(f"{file} is not a key of {_KEY_BYTES} bytes; remove it to have one made")
    return key


def _make_key(file: Path) -> None:
    """Put a whole key in place; of several processes that do so at once, one wins."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    with open(draft, "xb", opener=_private) as out:
        out.write(secrets.token_bytes(_KEY_BYTES))
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
