"""The commands that keep a site's packs and a repository, as their users type them."""

import json
import re
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.updates.conftest import pack_files

from davylamp.cli import main


@dataclass(frozen=True)
class Desk:
    """A folder with a pack, and the command line."""

    folder: Path

    def run(self, *words: object, status: int = 0) -> str:
        """Run a subcommand of pack; return what it says after checking its exit status."""
        result: Result = CliRunner().invoke(main, ["pack", *map(str, words)])
        assert result.exit_code == status, result.output
        return result.output

    def site(self, command: str, *words: object, status: int = 0) -> str:
        """Run one that needs the folder of packs."""
        return self.run(command, *words, "--directory", self.folder / "packs", status=status)

    def keys(self, *names: str) -> list[object]:
        """Return the options that give keys."""
        files = [self.folder / "keys" / f"{name}.pem" for name in names]
        return [word for file in files for word in ("--key", file)]

    def pack(self, version: str) -> Path:
        """Write the small pack."""
        folder = self.folder / "pack"
        for name, data in pack_files(version).items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data.replace(b"name: toy", b"name: core"))
        return folder


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give a repository whose keys have a passphrase and whose targets need two people."""
    desk = Desk(tmp_path)
    (tmp_path / "secret").write_text("correct horse\n")
    desk.run(
        *("repo", "init", tmp_path / "repo", "--keys", tmp_path / "keys"),
        *("--targets-threshold", 2, "--passphrase-file", tmp_path / "secret"),
    )
    return desk


def test_a_pack_goes_from_people_to_a_site_and_back(desk: Desk) -> None:
    """Nothing is out before both have signed; then list, rollback, pin, disable and enable."""
    repo, secret = desk.folder / "repo", desk.folder / "secret"
    people = ("--passphrase-file", secret)
    online = desk.keys("snapshot", "timestamp")
    follow = ("--from", repo, "--root", repo / "metadata" / "1.root.json")
    keyless = desk.run("repo", "publish", repo, desk.pack("2026.11.28"), status=2)
    assert "the key of snapshot is needed" in keyless
    said = desk.run("repo", "publish", repo, desk.pack("2026.11.28"), *online, status=3)
    assert f"targets 2 has 0 of 2 signatures: davylamp pack repo sign {repo} --key FILE" in said
    desk.run("repo", "publish", repo, desk.pack("2026.11.28"), *online, status=3)  # still a draft
    assert "has no pack 'core'" in desk.site("update", *follow, status=2)
    assert "is encrypted" in desk.run("repo", "sign", repo, *desk.keys("targets-1"), status=2)
    said = desk.run("repo", "sign", repo, *desk.keys("targets-1"), *people, status=3)
    assert "targets 2 has 1 of 2 signatures" in said
    desk.run("repo", "sign", repo, *desk.keys("targets-2"), *people)
    desk.run("repo", "publish", repo, *online)
    assert "core-2026112800 (2026.11.28): newer" in desk.site(
        "update", *follow, "--check", status=3
    )
    assert re.search(r": 1 signature, 1 new, 1\d\d gone;", desk.site("update", *follow))
    assert "nothing newer" in desk.site("update", *follow)

    again = desk.run("repo", "publish", repo, desk.pack("2026.11.28"), *online, status=2)
    assert "was published already; raise the version" in again

    both = desk.keys("targets-1", "targets-2", "snapshot", "timestamp")
    desk.run("repo", "publish", repo, desk.pack("2026.11.29"), *both, *people)
    desk.site("pin")
    assert "is pinned" in desk.site("update", *follow, status=2)
    desk.site("pin", "--off")
    desk.site("update", *follow)
    desk.site("disable", "toy-hello")
    assert "no signature 'toy-helo'" in desk.site("disable", "toy-helo", status=2)
    listed = json.loads(desk.site("list", "--json"))
    assert (listed["in_force"], listed["disabled"]) == ("core-2026112900", ["toy-hello"])
    assert [row["pack"] for row in listed["packs"]] == [
        "shipped",
        "core-2026112900",
        "core-2026112800",
    ]
    desk.site("rollback", "core-2026112800")
    desk.site("enable", "toy-hello")
    assert "* core-2026112800" in desk.site("list")
    assert "not installed; there are: core-2026112900" in desk.site("rollback", "core-7", status=2)


def test_what_is_damaged_or_gone_here_is_fetched_again(desk: Desk) -> None:
    """Also when it is pinned; until then it is marked as in force, and cannot be gone back to."""
    repo, both = desk.folder / "repo", ("targets-1", "targets-2", "snapshot", "timestamp")
    people = ("--passphrase-file", desk.folder / "secret")
    desk.run("repo", "publish", repo, desk.pack("2026.11.28"), *desk.keys(*both), *people)
    follow = ("--from", repo, "--root", repo / "metadata" / "1.root.json")
    desk.site("update", *follow)
    desk.site("pin")
    file = desk.folder / "packs" / "archives" / "core-2026112800.tar.gz"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert "is not the file that was installed; davylamp pack update" in desk.site("list")
    desk.site("update", *follow)
    assert file.read_bytes() == whole
    file.unlink()
    assert re.search(r"\* core-2026112800 .*cannot be read: No such file", desk.site("list"))
    desk.site("update", *follow)
    desk.site("rollback")
    file.unlink()
    assert "cannot be read" in desk.site("rollback", status=2)
    assert "* shipped" in desk.site("list")


def test_a_switch_of_what_no_pack_has_any_more_can_be_taken_back(desk: Desk) -> None:
    """An update took the signature away, and the site's switch stayed."""
    repo, both = desk.folder / "repo", ("targets-1", "targets-2", "snapshot", "timestamp")
    people = ("--passphrase-file", desk.folder / "secret")
    desk.run("repo", "publish", repo, desk.pack("2026.11.28"), *desk.keys(*both), *people)
    desk.site("disable", "stratum-v1-submit")
    desk.site("update", "--from", repo, "--root", repo / "metadata" / "1.root.json")
    desk.site("enable", "stratum-v1-submit")
    listed = json.loads(desk.site("list", "--json"))
    assert (listed["disabled"], listed["enabled"]) == ([], [])
    desk.site("enable", "stratum-v1-submit", status=2)


def test_keys_are_their_owners_alone_and_can_be_replaced(desk: Desk) -> None:
    """Files of mode 0600, refused when others can read them; a rotation needs enough of the old."""
    repo, keys = desk.folder / "repo", desk.folder / "keys"
    people = ("--passphrase-file", desk.folder / "secret")
    assert {stat.S_IMODE(file.stat().st_mode) for file in keys.iterdir()} == {0o600}
    (keys / "timestamp.pem").chmod(0o640)
    said = desk.run("repo", "publish", repo, *desk.keys("snapshot", "timestamp"), status=2)
    assert "others may read this key: chmod 600" in said
    fresh = ("timestamp", "--new-key", keys / "timestamp-2.pem")
    said = desk.run("repo", "rotate", repo, *fresh, "--revoke", "nothing", *people, status=2)
    assert "is not one key; there are" in said
    assert not (keys / "timestamp-2.pem").exists()
    said = desk.run("repo", "rotate", repo, *fresh, *desk.keys("root-1"), *people, status=3)
    assert "root 2 has 1 of 2 signatures" in said
    desk.run("repo", "sign", repo, *desk.keys("root-2"), *people)
    desk.run("repo", "publish", repo, *desk.keys("snapshot", "timestamp-2"))
    assert "is a repository already" in desk.run("repo", "init", repo, "--keys", keys, status=2)
    another = desk.folder / "another"
    said = desk.run("repo", "init", another, "--keys", keys, status=2)
    assert "is never overwritten" in said


def test_what_cannot_be_makes_no_keys(desk: Desk) -> None:
    """Else the same command, put right, would stop at keys that nobody needs."""
    repo, keys, more = desk.folder / "other", desk.folder / "more", desk.folder / "more.pem"
    wanted = ("repo", "init", repo, "--keys")
    said = desk.run(*wanted, keys, "--root-keys", 1, "--root-threshold", 2, status=2)
    assert "a threshold of 2 cannot be met by 1 keys" in said
    assert "is in the repository, which is served" in desk.run(*wanted, repo / "keys", status=2)
    rotated = ("repo", "rotate", desk.folder / "repo", "targets", "--new-key", more)
    assert "cannot be met by 3 keys" in desk.run(*rotated, "--threshold", 4, status=2)
    assert not any(one.exists() for one in (repo, keys, more))
    desk.run(*wanted, keys)


def test_signing_says_what_is_signed(desk: Desk) -> None:
    """Also without a key; and what is no repository, or no key of it, is not signed."""
    repo, people = desk.folder / "repo", ("--passphrase-file", desk.folder / "secret")
    online = desk.keys("snapshot", "timestamp")
    assert "nothing waits for signatures" in desk.run("repo", "sign", repo)
    assert "is no repository" in desk.run("repo", "sign", desk.folder / "rep", status=2)
    assert "is no key of root or targets" in desk.run("repo", "sign", repo, *online, status=2)
    desk.run("repo", "publish", repo, desk.pack("2026.11.28"), *online, status=3)
    both = desk.keys("targets-1", "targets-2")
    for said in (
        desk.run("repo", "sign", repo, status=3),
        desk.run("repo", "sign", repo, *both, *people),
    ):
        assert "core.tar.gz: version 2026.11.28, number 2026112800, " in said
    assert "davylamp pack repo publish shows it to gateways" in said


def test_reload_says_what_is_wrong_with_the_sites_own(desk: Desk) -> None:
    """What cannot be compiled is refused with its place; what can is counted."""
    own = desk.folder / "packs" / "local" / "toy" / "toy-hello.yaml"
    own.parent.mkdir(parents=True)
    signature = pack_files()["toy/toy-hello.yaml"]
    own.write_bytes(signature.replace(b"when:", b"whne:"))
    assert "unknown field 'whne'; did you mean 'when'?" in desk.site("reload", status=2)
    own.write_bytes(signature)
    assert "+local, " in desk.site("reload")
    assert "in force from the next start" in desk.site("reload")
