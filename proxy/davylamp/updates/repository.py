"""The giving end: a folder of TUF metadata and archives that any web server can serve.

Root and targets are signed by people, with keys that are kept off the machine, so many of so many
of them; snapshot and timestamp by keys at hand. What people have not all signed yet waits as a
draft, and nobody who fetches sees it. docs/updates.md has the commands in order.
"""

import contextlib
import datetime as dt
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner, Key
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from davylamp.errors import ConfigError, PackError, reason
from davylamp.updates.archive import read_archive

ROOT, TARGETS, SNAPSHOT, TIMESTAMP = "root", "targets", "snapshot", "timestamp"
OFFLINE = (ROOT, TARGETS)
ONLINE = (SNAPSHOT, TIMESTAMP)
_SERIALIZER = JSONSerializer(compact=False)


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How many days metadata is good for; the shorter, the sooner a freeze is noticed."""

    root: int = 365
    targets: int = 90
    snapshot: int = 14
    timestamp: int = 7


@dataclass(frozen=True, slots=True)
class Waiting:
    """A draft that has ``signed`` of the ``needed`` signatures."""

    role: str
    version: int
    signed: int
    needed: int


class PackRepository:
    """One repository folder; ``now`` is the time that lifetimes begin at."""

    def __init__(self, folder: Path, now: dt.datetime, lifetimes: Lifetimes | None = None) -> None:
        self.folder = folder
        self._metadata = folder / "metadata"
        self._targets = folder / "targets"
        self._drafts = folder / "drafts"
        self._now = now.astimezone(dt.UTC).replace(microsecond=0)
        self._lifetimes = lifetimes or Lifetimes()

    # --- making -----------------------------------------------------------------------------

    def create(
        self, keys: Mapping[str, Sequence[CryptoSigner]], thresholds: dict[str, int]
    ) -> None:
        """Begin a repository without packs, signed by all these keys.

        Raises ConfigError where there is one, or a threshold is more than there are keys.
        """
        if self._metadata.exists():
            raise ConfigError(f"{self.folder}: is a repository already")
        root = Root(consistent_snapshot=True, expires=self._until(ROOT))
        for role, signers in keys.items():
            for signer in signers:
                root.add_key(signer.public_key, role)
            _set_threshold(root, role, thresholds.get(role, 1))
        self._draft(Metadata(root))
        self._draft(Metadata(Targets(expires=self._until(TARGETS))))
        everyone = [signer for signers in keys.values() for signer in signers]
        with self._refusals():
            self.sign(everyone)
            self.renew(everyone)

    def stage(self, packed: bytes) -> str:
        """Put an archive beside the others and name it in a draft of targets; return its identity.

        Raises PackError for an archive that a client would refuse, or one not newer than the last.
        """
        manifest, _ = read_archive(packed)
        metadata = self._drafted(TARGETS) or self._newest(TARGETS)
        targets: Targets = metadata.signed
        path = f"{manifest.name}.tar.gz"
        published: Targets = self._newest(TARGETS).signed  # a draft is nobody's yet, and replaced
        before = published.targets.get(path)
        if before is not None and before.custom["number"] >= manifest.number:
            raise PackError(
                f"{manifest.identity}: number {before.custom['number']} was published already; "
                "raise the version in pack.yaml, as 2026.11.28.1, or give a greater --number"
            )
        target = TargetFile.from_data(path, packed, ["sha256"])
        target.unrecognized_fields["custom"] = {
            "number": manifest.number,
            "version": manifest.version,
        }
        targets.targets[path] = target
        for name in target.get_prefixed_paths():
            _write(self._targets / name, packed)
        self._revise(metadata, TARGETS)
        return manifest.identity

    def rotate(
        self, role: str, add: Sequence[Key], revoke: Sequence[str], threshold: int | None
    ) -> None:
        """Draft a root in which a role has other keys; raise ConfigError for what cannot be."""
        metadata = self._drafted(ROOT) or self._newest(ROOT)
        root: Root = metadata.signed
        for key in add:
            root.add_key(key, role)
        for keyid in revoke:
            root.revoke_key(keyid, role)
        _set_threshold(root, role, threshold or root.roles[role].threshold)
        self._revise(metadata, ROOT)
        if role == TARGETS and self._drafted(TARGETS) is None:
            self._revise(self._newest(TARGETS), TARGETS)  # for the new keys to sign

    def key_of(self, role: str, prefix: str) -> str:
        """Return the id of a role's key that begins so; raise ConfigError where it is not one."""
        root: Root = (self._drafted(ROOT) or self._newest(ROOT)).signed
        return _one_key(root, role, prefix)

    # --- signing ----------------------------------------------------------------------------

    def sign(self, signers: Sequence[CryptoSigner]) -> tuple[Waiting, ...]:
        """Sign every draft that a key is meant for; publish what has enough signatures.

        Returns what still waits. Nothing here needs the online keys.
        """
        waiting: list[Waiting] = []
        for role in OFFLINE:  # root first: it says who may sign the other
            draft = self._drafted(role)
            if draft is None:
                continue
            for signer in signers:
                if signer.public_key.keyid in self._signatories(role, draft):
                    draft.sign(signer, append=True)
            self._draft(draft)
            signed, needed = self._count(role, draft)
            if signed >= needed:
                self._publish(role, draft)
            else:
                waiting.append(Waiting(role, draft.signed.version, signed, needed))
        return tuple(waiting)

    def renew(self, signers: Sequence[CryptoSigner]) -> None:
        """Make snapshot and timestamp anew, with the online keys; raise ConfigError without them.

        What waits for signatures is not in them.
        """
        root: Root = self._newest(ROOT).signed
        targets = self._newest(TARGETS)
        data = targets.to_bytes(_SERIALIZER)
        snapshot = Metadata(
            Snapshot(
                version=self._next(SNAPSHOT),
                expires=self._until(SNAPSHOT),
                meta={"targets.json": MetaFile.from_data(targets.signed.version, data, ["sha256"])},
            )
        )
        _sign_all(root, SNAPSHOT, snapshot, signers)
        data = snapshot.to_bytes(_SERIALIZER)
        timestamp = Metadata(
            Timestamp(
                version=self._next(TIMESTAMP),
                expires=self._until(TIMESTAMP),
                snapshot_meta=MetaFile.from_data(snapshot.signed.version, data, ["sha256"]),
            )
        )
        _sign_all(root, TIMESTAMP, timestamp, signers)
        self._publish(SNAPSHOT, snapshot)
        self._publish(TIMESTAMP, timestamp)

    def check_online(self, signers: Sequence[CryptoSigner]) -> None:
        """Raise ConfigError where the keys for `renew` are not all there."""
        root: Root = self._newest(ROOT).signed
        for role in ONLINE:
            _able(root, role, signers)

    def waiting(self) -> tuple[Waiting, ...]:
        """Return the drafts that wait for signatures."""
        return self.sign(())

    # --- files ------------------------------------------------------------------------------

    def root_bytes(self) -> bytes:
        """Return the newest root, which is what gateways are given to begin with."""
        return self._file(ROOT, self._newest(ROOT).signed.version).read_bytes()

    def _newest(self, role: str) -> Metadata[Any]:
        """Return the newest published metadata of a role; raise ConfigError where there is none."""
        files = sorted(self._metadata.glob(f"*.{role}.json"), key=lambda one: _number(one.name))
        if role == TIMESTAMP:
            files = [*self._metadata.glob("timestamp.json")]
        if not files:
            raise ConfigError(f"{self.folder}: is no repository; davylamp pack repo init makes one")
        return _read(files[-1])

    def _drafted(self, role: str) -> Metadata[Any] | None:
        file = self._drafts / f"{role}.json"
        return _read(file) if file.exists() else None

    def _draft(self, metadata: Metadata[Any]) -> None:
        _write(self._drafts / f"{metadata.signed.type}.json", metadata.to_bytes(_SERIALIZER))

    def _revise(self, metadata: Metadata[Any], role: str) -> None:
        """Keep a changed one as the draft of the next version, which nobody has signed."""
        metadata.signed.version = self._next(role)
        metadata.signed.expires = self._until(role)
        metadata.signatures.clear()
        self._draft(metadata)

    def _publish(self, role: str, metadata: Metadata[Any]) -> None:
        data = metadata.to_bytes(_SERIALIZER)
        _write(self._file(role, metadata.signed.version), data)
        (self._drafts / f"{role}.json").unlink(missing_ok=True)

    def _file(self, role: str, version: int) -> Path:
        name = f"{role}.json" if role == TIMESTAMP else f"{version}.{role}.json"
        return self._metadata / name

    def _next(self, role: str) -> int:
        with contextlib.suppress(ConfigError):
            return int(self._newest(role).signed.version) + 1
        return 1

    def _until(self, role: str) -> dt.datetime:
        return self._now + dt.timedelta(days=getattr(self._lifetimes, role))

    # --- who signs --------------------------------------------------------------------------

    def _roots(self, role: str, draft: Metadata[Any]) -> list[Root]:
        """Return the roots that say who signs: for a new root, itself and the one before it."""
        before = [self._newest(ROOT).signed] if self._next(ROOT) > 1 else []
        if role == ROOT:
            return [*before, draft.signed]
        pending = self._drafted(ROOT)
        return [pending.signed] if pending is not None else before

    def _signatories(self, role: str, draft: Metadata[Any]) -> frozenset[str]:
        return frozenset(
            keyid for root in self._roots(role, draft) for keyid in root.roles[role].keyids
        )

    def _count(self, role: str, draft: Metadata[Any]) -> tuple[int, int]:
        """Return how many signatures there are and how many are needed, where most are missing."""
        if role != ROOT and self._drafted(ROOT) is not None:
            return 0, 1  # not before the root that says who may sign it
        results = [
            root.get_verification_result(role, draft.signed_bytes, draft.signatures)
            for root in self._roots(role, draft)
        ]
        return max(
            ((len(one.signed), one.threshold) for one in results),
            key=lambda pair: pair[1] - pair[0],
        )

    @contextlib.contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except RepositoryError as error:
            raise ConfigError(f"{self.folder}: {error}") from error


def _sign_all(
    root: Root, role: str, metadata: Metadata[Any], signers: Sequence[CryptoSigner]
) -> None:
    for signer in _able(root, role, signers):
        metadata.sign(signer, append=True)


def _able(root: Root, role: str, signers: Sequence[CryptoSigner]) -> list[CryptoSigner]:
    able = [one for one in signers if one.public_key.keyid in root.roles[role].keyids]
    if len(able) < root.roles[role].threshold:
        raise ConfigError(f"the key of {role} is needed for this; give it with --key FILE")
    return able


def _set_threshold(root: Root, role: str, threshold: int) -> None:
    keys = len(root.roles[role].keyids)
    if not 1 <= threshold <= keys:
        raise ConfigError(f"{role}: a threshold of {threshold} cannot be met by {keys} keys")
    root.roles[role].threshold = threshold


def _one_key(root: Root, role: str, prefix: str) -> str:
    found = [keyid for keyid in root.roles[role].keyids if keyid.startswith(prefix)]
    if len(found) != 1 or not prefix:
        known = ", ".join(keyid[:12] for keyid in root.roles[role].keyids)
        raise ConfigError(f"{role}: {prefix!r} is not one key; there are {known}")
    return found[0]


def _number(name: str) -> int:
    head = name.partition(".")[0]
    return int(head) if head.isdecimal() else 0


def _read(file: Path) -> Metadata[Any]:
    try:
        return Metadata.from_bytes(file.read_bytes())
    except (OSError, RepositoryError) as error:
        raise ConfigError(f"{file}: cannot be read: {reason(error)}") from error


def _write(file: Path, data: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}.{secrets.token_hex(6)}")
        with draft.open("xb") as out:
            out.write(data)
            os.fsync(out.fileno())
        draft.replace(file)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror}") from error
