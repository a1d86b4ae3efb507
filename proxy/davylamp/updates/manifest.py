"""What an archive says of itself: version, engine, expiry, and the digest of every file."""

import datetime as dt
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Self

import msgspec

from davylamp.errors import PackError
from davylamp.signatures import pack

NAME = "manifest.json"
FORMAT = 1
VECTORS = f"{pack.VECTORS}/"
"""Files beneath it are examples, the others are the pack's own."""

_CALVER = re.compile(r"20\d\d\.\d{1,2}\.\d{1,2}(?:\.\d{1,4})?")
_ENGINE = re.compile(r"\d{1,4}(?:\.\d{1,4}){0,2}")
_PACK_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_MAX_BYTES = 16 << 20

type Number = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The archive's first file.

    ``version`` is CalVer for people; ``number`` orders versions and never goes back. Engines from
    ``min_engine`` to ``max_engine`` (empty: any later) that have all ``features`` can run it.
    ``created`` and ``expires`` are RFC 3339 in UTC. ``files`` has the SHA-256 of every other file.
    """

    format: int
    name: str
    version: str
    number: Number
    min_engine: str
    max_engine: str = ""
    features: tuple[str, ...] = ()
    created: dt.datetime
    expires: dt.datetime
    files: dict[str, str]

    @property
    def identity(self) -> str:
        """The name of the folder it is kept in, and what people call it by."""
        return f"{self.name}-{self.number}"

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a manifest; raise PackError saying what is wrong with it."""
        if len(data) > _MAX_BYTES:
            raise PackError(f"{NAME}: more than {_MAX_BYTES:,} bytes")
        try:
            found = msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, ValueError) as error:
            raise PackError(
                f"{NAME}: {error}; have it made by davylamp pack repo publish"
            ) from error
        if found.format != FORMAT:
            raise PackError(
                f"{NAME}: format {found.format} cannot be read; this davylamp reads {FORMAT}"
            )
        for value, form, wanted in (
            (found.name, _PACK_NAME, "a name is lower-case words joined by '-'"),
            (found.version, _CALVER, "a version is a date, as 2026.11.28"),
            (found.min_engine, _ENGINE, "min_engine is a davylamp version, as 0.1.0"),
            (found.max_engine or "0", _ENGINE, "max_engine is a davylamp version, as 0.9.0"),
        ):
            if not form.fullmatch(value):
                raise PackError(f"{NAME}: {value[:60]!r}: {wanted}")
        if found.created.tzinfo is None or found.expires.tzinfo is None:
            raise PackError(
                f"{NAME}: created and expires need a time zone, as 2026-11-28T00:00:00Z"
            )
        return found

    def encode(self) -> bytes:
        """Return the manifest as the bytes that go into an archive."""
        return msgspec.json.format(msgspec.json.encode(self, order="sorted"), indent=1) + b"\n"

    def check_files(self, files: Mapping[str, bytes]) -> None:
        """Raise PackError unless these are exactly the manifest's files, byte for byte."""
        if missing := sorted(self.files.keys() - files.keys()):
            raise PackError(f"{missing[0]}: in the manifest and not in the archive")
        if extra := sorted(files.keys() - self.files.keys()):
            raise PackError(f"{extra[0]}: in the archive and not in its manifest")
        for name, data in files.items():
            if hashlib.sha256(data).hexdigest() != self.files[name]:
                raise PackError(f"{name}: is not the file that the manifest describes")

    def check_engine(self, engine: str, features: Iterable[str]) -> None:
        """Raise PackError unless this engine can run the pack."""
        here = _parts(engine)
        if here < _parts(self.min_engine):
            raise PackError(
                f"{self.identity} needs davylamp {self.min_engine} or newer, and this is {engine}; "
                "update davylamp first"
            )
        if self.max_engine and here > _parts(self.max_engine):
            raise PackError(
                f"{self.identity} is for davylamp up to {self.max_engine}, and this is {engine}; "
                "a newer pack is needed"
            )
        if lacking := sorted(set(self.features).difference(features)):
            raise PackError(
                f"{self.identity} needs what this engine does not have: {', '.join(lacking)}; "
                "update davylamp first"
            )


def _parts(version: str) -> tuple[int, ...]:
    numbers = [int(part) for part in version.split(".")[:3] if part.isdecimal()]
    return tuple(numbers + [0] * (3 - len(numbers)))


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the SHA-256 of each file, as a manifest has them."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
