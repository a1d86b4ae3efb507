"""What a caller may do, and the tokens that say so.

``read`` sees everything but secrets, ``register`` tells lineage and nothing else, ``act`` changes
incidents and has the raw packets, which hold secrets.
"""

import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from davylamp.config import ApiConfig
from davylamp.errors import ConfigError, reason
from davylamp.keyfile import kept

LEAST_CHARACTERS = 32
"""What a token must have at least, so that guessing is hopeless at any rate."""
MOST_CHARACTERS = 512


class Scope(StrEnum):
    """One right."""

    READ = "read"
    REGISTER = "register"
    ACT = "act"


type Scopes = frozenset[Scope]

EVERYTHING: Scopes = frozenset(Scope)
NOTHING: Scopes = frozenset()


@dataclass(frozen=True, slots=True)
class Tokens:
    """The SHA-256 of each token, and what it allows."""

    known: tuple[tuple[bytes, Scopes], ...]

    def scopes(self, token: str) -> Scopes:
        """Return what a token allows: nothing where it is none of ours.

        Each known one is compared, in the same time whatever was given.
        """
        given = sha256(token[:MOST_CHARACTERS].encode("utf-8", "surrogateescape")).digest()
        found = NOTHING
        for digest, scopes in self.known:
            if hmac.compare_digest(digest, given):
                found |= scopes
        return found


def tokens_of(config: ApiConfig, state: Path) -> Tokens:
    """Read the tokens, and make those that no file is named for; raise ConfigError if unfit."""
    folder = state / "api"
    wanted: Iterable[tuple[str, str, Path, Scopes]] = (
        ("token_file", config.token_file, folder / "token", EVERYTHING),
        ("read_token_file", config.read_token_file, folder / "read.token", frozenset({Scope.READ})),
        (
            "register_token_file",
            config.register_token_file,
            folder / "register.token",
            frozenset({Scope.REGISTER}),
        ),
    )
    return Tokens(
        tuple(
            (sha256(_token(f"api.{key}", given, own).encode()).digest(), scopes)
            for key, given, own, scopes in wanted
        )
    )


def client_scopes(config: ApiConfig) -> Mapping[str, Scopes]:
    """Return what clients may do by a name in their certificate."""
    return {
        name: frozenset(Scope(one) for one in scopes) for name, scopes in config.tls.clients.items()
    }


def _token(key: str, given: str, own: Path) -> str:
    if given:
        try:
            raw = Path(given).read_bytes()
        except OSError as error:
            raise ConfigError(f"{key}: {given}: {reason(error)}; name another file") from error
    else:
        raw = kept(own, lambda: secrets.token_urlsafe(LEAST_CHARACTERS).encode() + b"\n")
    token = raw.strip().decode("ascii", "replace")
    fit = token.isascii() and token.isprintable() and " " not in token
    if not fit or not LEAST_CHARACTERS <= len(token) <= MOST_CHARACTERS:
        raise ConfigError(
            f"{key}: {given or own} is not a token; write {LEAST_CHARACTERS} to {MOST_CHARACTERS} "
            "letters and digits on one line, as `openssl rand -hex 32` makes them"
        )
    return token
