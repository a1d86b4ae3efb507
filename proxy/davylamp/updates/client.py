"""The receiving end of a TUF repository: what python-tuf trusts, and its refusals in our words.

The rules are python-tuf's (https://theupdateframework.github.io/specification/, section 5). Trust
is kept in a folder: roots that were seen, and the newest timestamp and snapshot, which is what a
rollback is told by.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuf.api import exceptions
from tuf.api.metadata import Metadata, Root, VerificationResult
from tuf.ngclient import TargetFile, Updater, UpdaterConfig
from tuf.ngclient.config import EnvelopeType

from davylamp.errors import PackError
from davylamp.updates.fetch import FetchLimits, fetcher_of

TARGET_SUFFIX = ".tar.gz"
_FIRST_ROOT = "first_root.json"
_ROLES = ("root", "timestamp", "snapshot", "targets")


@dataclass(frozen=True, slots=True)
class Offer:
    """What a repository has: a pack's name, number and version, and how long its archive is."""

    name: str
    number: int
    version: str
    size: int


class Client:
    """One repository seen from here; raises PackError for whatever is not to be trusted."""

    def __init__(
        self, place: str, trust: Path, root: bytes | None, limits: FetchLimits | None = None
    ) -> None:
        """Begin with a root: the one given, or else the one that is trusted already.

        ``trust`` is the folder of what is known of the repository; its mirrors share it, one at
        a time.
        """
        self._fetcher, base = fetcher_of(place, limits)
        self._place = place
        self._trust = trust
        self._first = first = _first_root(place, trust, root)
        with self._refusals(), self._root_refusals():
            self._updater = Updater(
                metadata_dir=str(self._trust),
                metadata_base_url=f"{base}/metadata",
                target_dir=str(self._trust),
                target_base_url=f"{base}/targets",
                fetcher=self._fetcher,
                config=UpdaterConfig(envelope_type=EnvelopeType.METADATA, max_delegations=1),
                bootstrap=first,
            )
        self._target: TargetFile | None = None

    def look(self, name: str) -> Offer:
        """Bring the metadata up to date; return which version of a pack is offered."""
        with self._refusals():
            self._updater.refresh()
            _keep_first_root(self._trust, self._first)
            self._target = self._updater.get_targetinfo(name + TARGET_SUFFIX)
        if self._target is None:
            raise PackError(
                f"{self._place}: has no pack {name!r}; pack.name says which one is followed"
            )
        custom = self._target.custom if isinstance(self._target.custom, dict) else {}
        number, version = custom.get("number"), custom.get("version")
        if type(number) is not int or type(version) is not str or not version.isprintable():
            raise PackError(f"{self._place}: does not say which version of {name} it has")
        return Offer(name, number, version, self._target.length)

    def fetch(self, offer: Offer) -> bytes:
        """Return the archive that was offered."""
        assert self._target is not None
        most = self._fetcher.limits.size
        if offer.size > most:
            raise PackError(
                f"{self._place}: the archive of {offer.name} has {offer.size:,} bytes; "
                f"oversized, at most {most:,}"
            )
        # One name, so that updates that are killed leave no more than one.
        file = self._trust / ".fetched"
        try:
            with self._refusals():
                self._updater.download_target(self._target, str(file))
                return file.read_bytes()
        finally:
            file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _root_refusals(self) -> Iterator[None]:
        try:
            yield
        except exceptions.RepositoryError as error:
            raise PackError(
                f"{self._place}: the root to trust it by is none: {error}; give the root.json that "
                "its owner handed you with --root FILE"
            ) from error

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        """Say python-tuf's refusals in words that tell what may have been tried."""
        try:
            yield
        except exceptions.ExpiredMetadataError as error:
            raise PackError(
                f"{self._place}: {error}: frozen in the past, by its owner or by somebody between; "
                "the owner renews it with davylamp pack repo publish"
            ) from error
        except exceptions.UnsignedMetadataError as error:
            raise PackError(f"{self._place}: {self._unsigned(error)}") from error
        except exceptions.BadVersionNumberError as error:
            kind = "a rollback" if self._role in ("root", "timestamp") else "a mix and match"
            raise PackError(
                f"{self._place}: {kind}: {self._role} is not the version it must be: {error}"
            ) from error
        except exceptions.LengthOrHashMismatchError as error:
            raise PackError(f"{self._place}: {self._mismatch()}: {error}") from error
        except exceptions.RepositoryError as error:
            raise PackError(
                f"{self._place}: {self._role} cannot be read as metadata: {error}"
            ) from error
        except exceptions.DownloadLengthMismatchError as error:
            raise PackError(
                f"{self._place}: {self._fetcher.last_name} does not end where it must: endless or "
                f"oversized: {error}"
            ) from error
        except exceptions.SlowRetrievalError as error:
            raise PackError(f"{self._place}: too slow, and given up: {error}") from error
        except exceptions.DownloadError as error:
            cause = error.__cause__ or error
            raise PackError(f"{self._place}: cannot be fetched: {cause}") from error
        except OSError as error:
            raise PackError(f"{self._trust}: {error.strerror or error}") from error

    @property
    def _role(self) -> str:
        """Which file came last: the one that is being refused."""
        name = self._fetcher.last_name.removesuffix(".json")
        return next((role for role in _ROLES if name.endswith(role)), self._fetcher.last_name)

    def _mismatch(self) -> str:
        if self._role not in _ROLES:
            return f"tampered with: {self._fetcher.last_name} is not the archive that was signed"
        found = self._verify()
        if found is not None and found[0].verified:
            return f"a mix and match: {self._role} is signed, and of another time than the rest"
        return f"tampered with: {self._role} is not the file that the metadata above it names"

    def _unsigned(self, error: exceptions.UnsignedMetadataError) -> str:
        """Tell apart who did not sign: a stranger, the owner something else, or too few."""
        role, found = self._role, self._verify()
        if found is None:
            return f"{role}: {error}"
        result, signatures = found
        if result.signed:
            return (
                f"threshold not met: {role} is signed by {len(result.signed)} of the "
                f"{result.threshold} keys that it needs"
            )
        if signatures & result.unsigned.keys():
            return f"tampered with: {role} is not what was signed"
        return f"a wrong key: {role} is signed by nobody whom the root names"

    def _verify(self) -> tuple[VerificationResult, frozenset[str]] | None:
        """Return who signed what came last, and which keys it claims; None if it is no metadata."""
        try:
            metadata: Metadata[Any] = Metadata.from_bytes(self._fetcher.last)
            root = Metadata[Root].from_file(str(self._trust / "root.json")).signed
            result = root.get_verification_result(
                self._role, metadata.signed_bytes, metadata.signatures
            )
        except (exceptions.RepositoryError, OSError, ValueError):
            return None
        return result, frozenset(metadata.signatures)


def _first_root(place: str, trust: Path, given: bytes | None) -> bytes:
    """Return the root that trust began with, the one given where there is none yet.

    That one is not kept before a repository was trusted by it: it may be the wrong file.
    """
    file = trust / _FIRST_ROOT
    try:
        if file.exists():
            first = file.read_bytes()
            history = (one.read_bytes() for one in (trust / "root_history").glob("*.root.json"))
            if given is not None and given != first and given not in set(history):
                raise PackError(
                    f"{place}: another root is trusted here already; if that one is no longer "
                    f"good, remove {trust} and give the new one again"
                )
            return first
        if given is None:
            raise PackError(
                f"{place}: no root to trust it by; give the root.json that its owner handed you "
                "with --root FILE"
            )
        trust.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise PackError(f"{trust}: {error.strerror or error}") from error
    return given


def _keep_first_root(trust: Path, first: bytes) -> None:
    file = trust / _FIRST_ROOT
    if not file.exists():
        draft = trust / f".{_FIRST_ROOT}"
        with draft.open("wb") as out:
            out.write(first)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)
