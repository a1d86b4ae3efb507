"""A small pack, a repository with keys of its own, and a site that follows it."""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from davylamp.updates.archive import pack_archive
from davylamp.updates.client import Client
from davylamp.updates.fetch import FetchLimits
from davylamp.updates.install import decide, examine, install
from davylamp.updates.loading import load_source
from davylamp.updates.manifest import Manifest, digests
from davylamp.updates.repository import Lifetimes, PackRepository
from davylamp.updates.store import Store

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)

SIGNATURE = b"""\
id: toy-hello
rev: 1
title: Toy hello
category: mining
dialect: toy
role: miner
confidence: 95
severity: 1
maturity: stable
references: [https://example.org/toy]
detail: a made-up protocol's greeting
when:
  json:
    method: toy.hello
    members: {params: ["string:1-"]}
"""
VECTOR = b"""\
- name: a greeting
  source: made up
  stream:
    - client: |
        {"method": "toy.hello", "params": ["rig"]}
  expect: match
- name: another greeting
  source: made up
  stream:
    - client: |
        {"method": "toy.goodbye", "params": ["rig"]}
  expect: none
"""

type Files = Mapping[str, bytes]
type Build = Callable[..., bytes]


def pack_files(version: str = "2026.11.28", **more: bytes) -> dict[str, bytes]:
    """Return the small pack's files and examples."""
    return {
        "pack.yaml": f"name: toy\nversion: {version}\nformat: 1\n".encode(),
        "toy/toy-hello.yaml": SIGNATURE,
        "vectors/toy/toy-hello.yaml": VECTOR,
        **more,
    }


def archive(
    number: int,
    files: Files | None = None,
    *,
    version: str = "2026.11.28",
    terms: Mapping[str, object] | None = None,
) -> bytes:
    """Return the archive of files, whatever they are worth; ``terms`` are of its manifest."""
    files = files if files is not None else pack_files(version)
    given: dict[str, object] = {
        "format": 1,
        "name": "toy",
        "version": version,
        "number": number,
        "min_engine": "0.1.0",
        "created": NOW,
        "expires": NOW + dt.timedelta(days=30),
        "files": digests(files),
        **(terms or {}),
    }
    return pack_archive(Manifest(**given), files)  # type: ignore[arg-type]


@dataclass
class World:
    """A repository, its keys, and a store that follows it; pack 1 is in force."""

    folder: Path
    keys: dict[str, list[CryptoSigner]] = field(default_factory=dict)

    @property
    def repo(self) -> Path:
        """The repository's folder."""
        return self.folder / "repo"

    @property
    def store(self) -> Store:
        """The site's packs."""
        return Store(self.folder / "packs")

    @property
    def online(self) -> list[CryptoSigner]:
        """The keys that sign unattended."""
        return [*self.keys["snapshot"], *self.keys["timestamp"]]

    @property
    def everyone(self) -> list[CryptoSigner]:
        """All keys."""
        return [one for signers in self.keys.values() for one in signers]

    def repository(self, days: float = 0, lifetimes: Lifetimes | None = None) -> PackRepository:
        """Return the repository as its owner sees it ``days`` from now."""
        return PackRepository(self.repo, NOW + dt.timedelta(days=days), lifetimes)

    def create(self) -> None:
        """Make keys and an empty repository: two of three root keys, two of two for targets."""
        counts = {"root": 3, "targets": 2, "snapshot": 1, "timestamp": 1}
        self.keys = {
            role: [CryptoSigner.generate_ed25519() for _ in range(count)]
            for role, count in counts.items()
        }
        self.repository().create(self.keys, {"root": 2, "targets": 2})

    def publish(self, packed: bytes) -> None:
        """Publish an archive, signed by all."""
        repository = self.repository()
        repository.stage(packed)
        assert repository.sign(self.everyone) == ()
        repository.renew(self.online)

    def client(self, place: str | None = None, limits: FetchLimits | None = None) -> Client:
        """Return the site's view of the repository, or of who says to be it."""
        root = (self.repo / "metadata" / "1.root.json").read_bytes()
        return Client(place or str(self.repo), self.folder / "packs" / "trust", root, limits)

    def update(self, place: str | None = None, limits: FetchLimits | None = None) -> str:
        """Do what `davylamp pack update` does; return the identity that was put in force."""
        client = self.client(place, limits)
        examined = examine(self.store, client.fetch(client.look("toy")))
        selection = install(self.store, examined).selection
        assert decide(self.store, selection, "update").accepted
        return selection.pack

    def in_force(self) -> str:
        """Return the identity in force, after loading it whole."""
        selection = self.store.state().in_force
        loaded = load_source(self.store.source(selection))
        assert loaded.manifest is not None
        assert loaded.manifest.identity == selection.pack
        return selection.pack


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Give a site that follows a repository and has its first pack in force."""
    world = World(tmp_path)
    world.create()
    world.publish(archive(1))
    assert world.update() == "toy-1"
    return world
