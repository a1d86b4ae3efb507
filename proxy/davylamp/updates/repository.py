"""The giving end: a folder of TUF metadata and archives that any web server can serve.

Root and targets are signed by people, with keys that are kept off the machine, so many of so many
of them; snapshot and timestamp by keys at hand. What people sign waits as a draft, and nobody who
fetches sees it before the online keys put it out: all of it at once, and only together with what
its keys fit. docs/updates.md has the commands in order.
"""

import contextlib
import datetime as dt
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

from davylamp.errors import ConfigError, PackError
from davylamp.updates.archive import read_archive
from davylamp.updates.folder import (
    ROOT,
    SERIALIZER,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    RepositoryFolder,
)
from davylamp.updates.wording import told

OFFLINE = (ROOT, TARGETS)
ONLINE = (SNAPSHOT, TIMESTAMP)
_RENEWED_DAYS = 30
"""So long before it expires people are asked to sign metadata anew, where it is good for longer."""


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
        self._files = RepositoryFolder(folder)
        self._now = now.astimezone(dt.UTC).replace(microsecond=0)
        self._lifetimes = lifetimes or Lifetimes()

    # --- making -----------------------------------------------------------------------------

    def create(
        self, keys: Mapping[str, Sequence[CryptoSigner]], thresholds: dict[str, int]
    ) -> None:
        """Begin a repository without packs, signed by all these keys.

        Raises ConfigError where there is one, or a threshold is more than there are keys.
        """
        self.check_new({role: len(signers) for role, signers in keys.items()}, thresholds)
        root = Root(consistent_snapshot=True, expires=self._until(ROOT))
        for role, signers in keys.items():
            for signer in signers:
                root.add_key(signer.public_key, role)
            _set_threshold(root, role, thresholds.get(role, 1))
        self._files.draft(Metadata(root))
        targets = Targets(version=self._files.next(TARGETS), expires=self._until(TARGETS))
        self._files.draft(Metadata(targets))
        everyone = [signer for signers in keys.values() for signer in signers]
        with self._refusals():
            self.sign(everyone)
            self.renew(everyone)

    def check_new(self, counts: Mapping[str, int], thresholds: Mapping[str, int]) -> None:
        """Raise ConfigError where a repository cannot begin here with so many keys."""
        if self._files.begun:
            raise ConfigError(f"{self.folder}: is a repository already")
        for role, keys in counts.items():
            _check_threshold(role, thresholds.get(role, 1), keys)

    def stage(self, packed: bytes) -> str:
        """Put an archive beside the others and name it in a draft of targets; return its identity.

        Raises PackError for an archive that a client would refuse, or one not newer than the last.
        """
        manifest, _ = read_archive(packed)
        metadata = self._files.drafted(TARGETS) or self._files.newest(TARGETS)
        targets: Targets = metadata.signed
        path = f"{manifest.name}.tar.gz"
        # A draft is nobody's yet, and replaced.
        published: Targets = self._files.newest(TARGETS).signed
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
            self._files.keep(name, packed)
        self._revise(metadata, TARGETS)
        return manifest.identity

    def rotate(
        self, role: str, add: Sequence[Key], revoke: Sequence[str], threshold: int | None
    ) -> None:
        """Draft a root in which a role has other keys; raise ConfigError for what cannot be."""
        self.check_rotation(role, len(add), revoke, threshold)
        metadata = self._files.drafted(ROOT) or self._files.newest(ROOT)
        root: Root = metadata.signed
        for key in add:
            root.add_key(key, role)
        for keyid in revoke:
            root.revoke_key(keyid, role)
        _set_threshold(root, role, threshold or root.roles[role].threshold)
        self._revise(metadata, ROOT)
        if role == TARGETS and self._files.drafted(TARGETS) is None:
            self._revise(self._files.newest(TARGETS), TARGETS)  # for the new keys to sign

    def check_rotation(
        self, role: str, add: int, revoke: Sequence[str], threshold: int | None
    ) -> None:
        """Raise ConfigError where a role cannot have so many other keys."""
        now = self._root().roles[role]
        keys = len(set(now.keyids) - set(revoke)) + add
        _check_threshold(role, threshold or now.threshold, keys)

    def extend(self) -> dict[str, dt.datetime]:
        """Draft anew what people sign and what expires soon; return when each does."""
        found: dict[str, dt.datetime] = {}
        for role in OFFLINE:
            metadata = self._files.drafted(role) or self._files.newest(role)
            days = min(_RENEWED_DAYS, getattr(self._lifetimes, role) / 3)
            if metadata.signed.expires - self._now < dt.timedelta(days=days):
                found[role] = metadata.signed.expires
                self._revise(metadata, role)
        return found

    def key_of(self, role: str, prefix: str) -> str:
        """Return the id of a role's key that begins so; raise ConfigError where it is not one."""
        return _one_key(self._root(), role, prefix)

    def _root(self) -> Root:
        """Return the root that says who may sign what is drafted."""
        root: Root = (self._files.drafted(ROOT) or self._files.newest(ROOT)).signed
        return root

    # --- signing ----------------------------------------------------------------------------

    def sign(self, signers: Sequence[CryptoSigner]) -> tuple[Waiting, ...]:
        """Sign every draft that a key is meant for; return what still waits for signatures.

        Only drafts are changed: `renew` puts out what has enough.
        """
        waiting: list[Waiting] = []
        for role in OFFLINE:  # root first: it says who may sign the other
            draft = self._files.drafted(role)
            if draft is None:
                continue
            able = [
                signer
                for signer in signers
                if signer.public_key.keyid in self._signatories(role, draft)
            ]
            for signer in able:
                draft.sign(signer, append=True)
            if able:
                self._files.draft(draft)
            signed, needed = self._count(role, draft)
            if signed < needed:
                waiting.append(Waiting(role, draft.signed.version, signed, needed))
        return tuple(waiting)

    def renew(self, signers: Sequence[CryptoSigner]) -> None:
        """Put out what has enough signatures, with a new snapshot and timestamp over it.

        Raises ConfigError without the online keys. What waits for signatures is not in it.
        """
        root_metadata, targets = self._coming()
        root: Root = root_metadata.signed
        data = targets.to_bytes(SERIALIZER)
        snapshot = Metadata(
            Snapshot(
                version=self._files.next(SNAPSHOT),
                expires=self._until(SNAPSHOT),
                meta={"targets.json": MetaFile.from_data(targets.signed.version, data, ["sha256"])},
            )
        )
        _sign_all(root, SNAPSHOT, snapshot, signers)
        data = snapshot.to_bytes(SERIALIZER)
        timestamp = Metadata(
            Timestamp(
                version=self._files.next(TIMESTAMP),
                expires=self._until(TIMESTAMP),
                snapshot_meta=MetaFile.from_data(snapshot.signed.version, data, ["sha256"]),
            )
        )
        _sign_all(root, TIMESTAMP, timestamp, signers)
        # Whoever fetches meanwhile: the timestamp names no file that is not there, and a root whose
        # keys fit it comes right before it.
        for metadata in (targets, snapshot, root_metadata, timestamp):
            if metadata.signed.version > self._files.version(metadata.signed.type):
                self._files.publish(metadata)

    def check_online(self, signers: Sequence[CryptoSigner]) -> None:
        """Raise ConfigError where the keys for `renew` are not all there."""
        root, _ = self._coming()
        for role in ONLINE:
            _able(root.signed, role, signers)

    def check_signers(self, signers: Mapping[str, CryptoSigner]) -> None:
        """Raise ConfigError for a key, by its file's name, that signs nothing that people sign."""
        roots: tuple[Root, ...] = self._files.newest(ROOT).signed, self._root()
        known = {keyid for root in roots for role in OFFLINE for keyid in root.roles[role].keyids}
        for file, signer in signers.items():
            if signer.public_key.keyid not in known:
                raise ConfigError(
                    f"{file}: is no key of root or targets; its signature says nothing"
                )

    def _coming(self) -> tuple[Metadata[Root], Metadata[Targets]]:
        """Return root and targets that go out next: drafts that have all signatures.

        A root whose keys have not signed the targets would have gateways refuse everything, so
        it waits for them.
        """
        waiting = {one.role for one in self.waiting()}
        ready = {
            role: draft
            for role in OFFLINE
            if role not in waiting and (draft := self._files.drafted(role)) is not None
        }
        root = ready.get(ROOT) or self._files.newest(ROOT)
        for targets in (ready.get(TARGETS), self._files.out(TARGETS)):
            if targets is not None and root.signed.get_verification_result(
                TARGETS, targets.signed_bytes, targets.signatures
            ):
                return root, targets
        return self._files.newest(ROOT), self._files.newest(TARGETS)

    def waiting(self) -> tuple[Waiting, ...]:
        """Return the drafts that wait for signatures."""
        return self.sign(())

    def told(self) -> Iterator[str]:
        """Yield lines that say what each draft would change."""
        for role in OFFLINE:
            if (draft := self._files.drafted(role)) is not None:
                yield from told(draft, self._files.out(role))

    def _revise(self, metadata: Metadata[Any], role: str) -> None:
        """Keep a changed one as the draft of the next version, which nobody has signed."""
        metadata.signed.version = self._files.next(role)
        metadata.signed.expires = self._until(role)
        metadata.signatures.clear()
        self._files.draft(metadata)

    def _until(self, role: str) -> dt.datetime:
        return self._now + dt.timedelta(days=getattr(self._lifetimes, role))

    # --- who signs --------------------------------------------------------------------------

    def _roots(self, role: str, draft: Metadata[Any]) -> list[Root]:
        """Return the roots that say who signs: for a new root, itself and the one before it."""
        before = [self._files.newest(ROOT).signed] if self._files.begun else []
        if role == ROOT:
            return [*before, draft.signed]
        pending = self._files.drafted(ROOT)
        return [pending.signed] if pending is not None else before

    def _signatories(self, role: str, draft: Metadata[Any]) -> frozenset[str]:
        return frozenset(
            keyid for root in self._roots(role, draft) for keyid in root.roles[role].keyids
        )

    def _count(self, role: str, draft: Metadata[Any]) -> tuple[int, int]:
        """Return how many signatures there are and how many are needed, where most are missing."""
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
    _check_threshold(role, threshold, len(root.roles[role].keyids))
    root.roles[role].threshold = threshold


def _check_threshold(role: str, threshold: int, keys: int) -> None:
    if not 1 <= threshold <= keys:
        raise ConfigError(f"{role}: a threshold of {threshold} cannot be met by {keys} keys")


def _one_key(root: Root, role: str, prefix: str) -> str:
    found = [keyid for keyid in root.roles[role].keyids if keyid.startswith(prefix)]
    if len(found) != 1 or not prefix:
        known = ", ".join(keyid[:12] for keyid in root.roles[role].keyids)
        raise ConfigError(f"{role}: {prefix!r} is not one key; there are {known}")
    return found[0]
