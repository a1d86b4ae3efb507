"""The giving end: people who sign apart from each other, copies that come back late, and time."""

import contextlib
import shutil
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tests.updates.conftest import NOW, World, archive
from tuf.api.metadata import Metadata, Targets

from davylamp.errors import ConfigError, PackError
from davylamp.updates.folder import RepositoryFolder
from davylamp.updates.repository import PackRepository


def test_what_was_signed_elsewhere_comes_back_over_what_went_on(world: World) -> None:
    """A whole old copy put over the folder rolls no gateway back, and what it signed goes out."""
    world.repository().stage(archive(2))
    away = world.folder / "away"
    shutil.copytree(world.repo, away)
    for _ in range(3):
        world.repository().renew(world.online)
        world.client().look("toy")
    assert PackRepository(away, NOW).sign(world.keys["targets"]) == ()
    shutil.copytree(away, world.repo, dirs_exist_ok=True)
    world.repository().renew(world.online)
    assert world.update() == "toy-2"


def test_a_draft_of_what_is_out_is_none(world: World) -> None:
    """It came back with a copy of before; nobody is asked to sign it again."""
    world.repository().stage(archive(2))
    draft = (world.repo / "drafts" / "targets.json").read_bytes()
    world.publish(archive(3))
    (world.repo / "drafts" / "targets.json").write_bytes(draft)
    assert world.repository().waiting() == ()
    assert list(world.repository().told()) == []
    world.repository().renew(world.online)
    assert world.update() == "toy-3"


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp"])
def test_gateways_see_a_rotation_whole_or_not_at_all(world: World, role: str) -> None:
    """Between its signatures and the next publish they are told nothing, and refuse nothing."""
    fresh = [CryptoSigner.generate_ed25519() for _ in world.keys[role]]
    repository = world.repository()
    old = [key.public_key.keyid for key in world.keys[role]]
    repository.rotate(role, [key.public_key for key in fresh], old, None)
    repository.sign(world.keys["root"][:2])
    repository.renew(world.online if role == "targets" else [*world.online, *fresh])
    assert world.client().look("toy").number == 1
    repository.sign(fresh)
    assert world.client().look("toy").number == 1
    world.keys[role] = fresh
    repository.check_online(world.online)
    repository.renew(world.online)
    assert world.client().look("toy").number == 1
    assert RepositoryFolder(world.repo).version("root") == 2
    world.publish(archive(2))
    assert world.update() == "toy-2"


def test_what_people_sign_is_drafted_anew_before_it_expires(world: World) -> None:
    """In good time; a pack that is published meanwhile does not wait for the new root."""
    assert world.repository(59).extend() == {}
    assert list(world.repository(61).extend()) == ["targets"]
    assert world.repository(61).extend() == {}
    assert [one.role for one in world.repository(61).waiting()] == ["targets"]
    assert world.repository(61).sign(world.keys["targets"]) == ()
    world.repository(61).renew(world.online)
    assert "targets" not in world.repository(89).extend()
    later = world.repository(336)
    assert list(later.extend()) == ["root", "targets"]
    assert "  nothing but its expiry" in list(later.told())
    later.stage(archive(2))
    assert [one.role for one in later.sign(world.keys["targets"])] == ["root"]
    later.renew(world.online)
    assert world.update() == "toy-2"
    assert later.sign(world.keys["root"][:2]) == ()
    later.renew(world.online)
    assert RepositoryFolder(world.repo).newest("root").signed.expires > NOW.replace(
        year=NOW.year + 1
    )
    assert world.client().look("toy").number == 2


def test_who_signs_is_told_what(world: World) -> None:
    """What differs from what is out, in a form that does nothing to a terminal."""
    repository = world.repository()
    repository.stage(archive(2))
    first, pack = repository.told()
    assert first.startswith("targets 3, good until ")
    assert "toy.tar.gz: version 2026.11.28, number 2, " in pack
    file = world.repo / "drafts" / "targets.json"
    draft: Metadata[Targets] = Metadata.from_bytes(file.read_bytes())
    draft.signed.targets["toy.tar.gz"].unrecognized_fields["custom"]["version"] = "1\x1b[2J"
    draft.signed.unrecognized_fields["novel"] = 1
    file.write_bytes(draft.to_bytes())
    assert "\x1b" not in "".join(repository.told())
    assert list(repository.told())[-1] == "  and what davylamp does not use: novel"
    old = world.keys["targets"][0].public_key.keyid
    fresh = CryptoSigner.generate_ed25519().public_key
    repository.rotate("targets", [fresh], [old], None)
    assert any(f"{fresh.keyid[:12]} (new), {old[:12]} (gone)" in line for line in repository.told())


def test_a_key_that_signs_nothing_is_named(world: World) -> None:
    """An online key, or a stranger's; and a folder that is no repository is none to sign in."""
    for key in (world.online[0], CryptoSigner.generate_ed25519()):
        with pytest.raises(ConfigError, match=r"mine\.pem: is no key of root or targets"):
            world.repository().check_signers({"mine.pem": key})
    world.repository().check_signers({"root-1.pem": world.keys["root"][0]})
    with pytest.raises(ConfigError, match="is no repository; davylamp pack repo init"):
        PackRepository(world.folder / "nowhere", NOW).check_signers({})


@pytest.mark.parametrize("failing", range(1, 9))
def test_a_publish_that_breaks_off_can_be_repeated(
    world: World, failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever write the disk has no room for; gateways see the old pack or the new one."""
    count = 0
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count >= failing and target.is_relative_to(world.repo):
            raise OSError(28, "No space left on device")
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with contextlib.suppress(ConfigError):
            world.publish(archive(2))
    assert world.client().look("toy").number in {1, 2}
    assert not list(world.repo.rglob(".*"))
    with contextlib.suppress(PackError):  # where it was published already
        world.publish(archive(2))
    world.repository().renew(world.online)
    assert world.update() == "toy-2"


@pytest.mark.parametrize("failing", range(1, 8))
def test_a_repository_that_was_begun_halfway_is_begun_again(
    tmp_path: Path, failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With other keys, for the first ones may be anybody's; what is out without a root is not."""
    world = World(tmp_path)
    count, replace = 0, Path.replace

    def full(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count == failing:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    with monkeypatch.context() as patch, contextlib.suppress(ConfigError):
        patch.setattr(Path, "replace", full)
        world.create()
    if not RepositoryFolder(world.repo).begun:
        world.create()
    world.publish(archive(1))
    assert world.update() == "toy-1"
