"""Where a gateway keeps what incidents need on disk: the key for wallets, and packets."""

import secrets
from pathlib import Path

from davylamp.attribution.place import default_place
from davylamp.config import GatewayConfig
from davylamp.errors import ConfigError
from davylamp.keyfile import kept

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
    key = kept(file, lambda: secrets.token_bytes(_KEY_BYTES))
    if len(key) != _KEY_BYTES:
        raise ConfigError(f"{file} is not a key of {_KEY_BYTES} bytes; remove it to have one made")
    return key
