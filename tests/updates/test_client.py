"""Attacks on the road and on the repository: each refused by name, the old pack still in force."""

import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tests.updates.conftest import World, archive
from tuf.api.metadata import Metadata, Targets

from davylamp.errors import PackError
from davylamp.updates.client import Client
from davylamp.updates.fetch import FetchLimits
from davylamp.updates.repository import Lifetimes

QUICK = FetchLimits(connect=1.0, idle=0.5, whole=1.5, rate=1000.0, grace=0.2, size=1 << 20)


def last(world: World, role: str) -> Path:
    """Return the newest file of a role."""
    if role == "timestamp":
        return world.repo / "metadata" / "timestamp.json"
    files = (world.repo / "metadata").glob(f"*.{role}.json")
    return max(files, key=lambda file: int(file.name.partition(".")[0]))


def tamper_archive(world: World) -> None:
    """Change one byte of the newest archive."""
    target = next(
        iter(json.loads(last(world, "targets").read_bytes())["signed"]["targets"].values())
    )
    file = world.repo / "targets" / f"{target['hashes']['sha256']}.toy.tar.gz"
    data = bytearray(file.read_bytes())
    data[-20] ^= 1
    file.write_bytes(data)


def tamper_timestamp(world: World) -> None:
    """Prolong a timestamp without its key."""
    file = last(world, "timestamp")
    tree = json.loads(file.read_bytes())
    tree["signed"]["expires"] = "2099-01-01T00:00:00Z"
    file.write_text(json.dumps(tree))


def tamper_targets(world: World) -> None:
    """Change what targets say, without their keys."""
    file = last(world, "targets")
    file.write_bytes(file.read_bytes().replace(b'"number": 2', b'"number": 9'))


def wrong_key(world: World) -> None:
    """Sign everything online with a stranger's key."""
    file = last(world, "timestamp")
    metadata = Metadata.from_bytes(file.read_bytes())
    metadata.sign(CryptoSigner.generate_ed25519())
    file.write_bytes(metadata.to_bytes())


def too_few(world: World) -> None:
    """Have the online keys vouch for targets that one of two people signed."""
    repository = world.repository()
    repository.stage(archive(3))
    (draft,) = repository.sign([world.keys["targets"][0]])
    shutil.copy(
        world.repo / "drafts" / "targets.json",
        world.repo / "metadata" / f"{draft.version}.targets.json",
    )
    repository.renew(world.online)


def roll_back(world: World) -> None:
    """Serve the timestamp of before the site's last look, while it is still good."""
    old = last(world, "timestamp").read_bytes()
    world.publish(archive(3))
    world.client().look("toy")
    last(world, "timestamp").write_bytes(old)


def freeze(world: World) -> None:
    """Serve a timestamp that was not renewed in time."""
    world.repository(-30, Lifetimes(timestamp=7)).renew(world.online)


def mix(world: World) -> None:
    """Serve, under the newest snapshot's name, the one before it."""
    new = last(world, "snapshot")
    number = int(new.name.partition(".")[0])
    shutil.copy(new.with_name(f"{number - 1}.snapshot.json"), new)


def swap_targets(world: World) -> None:
    """Serve, under the newest targets' name, those before them."""
    new = last(world, "targets")
    number = int(new.name.partition(".")[0])
    shutil.copy(new.with_name(f"{number - 1}.targets.json"), new)


def oversize(world: World) -> None:
    """Publish, rightly signed, an archive beyond the bound."""
    noise = bytes(range(256)) * 16
    files = {"pack.yaml": b"#" + noise.hex().encode() * 200}
    world.publish(archive(3, files))


def garble(world: World) -> None:
    """Serve what is no metadata at all."""
    last(world, "timestamp").write_bytes(b"<html>welcome to the hotel</html>")


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (tamper_archive, "tampered with: .*tar.gz is not the archive that was signed"),
        (tamper_timestamp, "tampered with: timestamp is not what was signed"),
        (tamper_targets, "tampered with: targets is not the file"),
        (wrong_key, "a wrong key: timestamp is signed by nobody"),
        (too_few, "threshold not met: targets is signed by 1 of the 2 keys"),
        (roll_back, "a rollback: timestamp"),
        (freeze, "timestamp.json is expired: frozen in the past"),
        (mix, "a mix and match: snapshot"),
        (swap_targets, "a mix and match: targets"),
        (oversize, "has 7,[0-9]+ bytes; oversized, at most 4,096"),
        (garble, "timestamp cannot be read as metadata"),
    ],
)
def test_an_attack_is_refused_by_name(
    world: World, attack: Callable[[World], None], message: str
) -> None:
    """The old pack stays in force, and the true repository is believed again afterwards."""
    world.publish(archive(2))
    saved = world.folder / "saved"
    shutil.copytree(world.repo, saved)
    attack(world)
    limits = FetchLimits(size=4096) if attack is oversize else None
    with pytest.raises(PackError, match=message):
        world.update(limits=limits)
    assert world.in_force() == "toy-1"
    if attack in (roll_back, too_few, oversize, freeze):
        return  # what is newer was seen, and the saved one would be a rollback
    assert world.update(str(saved)) == world.in_force() == "toy-2"


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve every connection with ``answer``; yield the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ending = threading.Event()

        def one(end: socket.socket) -> None:
            with end:
                try:
                    request = end.recv(4096)
                    if b".root.json" in request:
                        end.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                        return
                    answer(end)
                except OSError:
                    pass

        def accept() -> None:
            while not ending.is_set():
                try:
                    end, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=one, args=(end,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        ending.set()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def endless(end: socket.socket) -> None:
    """Send a body that does not end."""
    end.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while True:
        end.sendall(b"x" * 4096)


def drip_body(end: socket.socket) -> None:
    """Send a byte now and then."""
    end.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while True:
        end.sendall(b"x")
        time.sleep(0.05)


def drip_head(end: socket.socket) -> None:
    """Never come to the end of a header."""
    end.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        end.sendall(b"x")
        time.sleep(0.05)


def silent(end: socket.socket) -> None:
    """Say nothing."""
    end.recv(1)


def redirect(end: socket.socket) -> None:
    """Send them elsewhere."""
    end.sendall(
        b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (endless, "endless or oversized"),
        (drip_body, "too slow, and given up: .*fewer than 1000 a second"),
        (drip_head, "too slow, and given up: .*not complete in the time allowed"),
        (silent, "too slow, and given up"),
        (redirect, "HTTP status 302"),
    ],
)
def test_a_hostile_server_costs_little_and_changes_nothing(
    world: World, answer: Callable[[socket.socket], None], message: str
) -> None:
    """Data without end and bytes now and then are given up within the bounds."""
    began = time.monotonic()
    with answering(answer) as url, pytest.raises(PackError, match=message):
        world.update(url, QUICK)
    assert time.monotonic() - began < 5
    assert world.in_force() == "toy-1"


def test_trust_begins_with_a_root_that_was_given(world: World, tmp_path: Path) -> None:
    """Without one nothing is believed, and another is not taken in its place."""
    with pytest.raises(PackError, match="no root to trust it by"):
        Client(str(world.repo), tmp_path / "empty", None)
    stranger = World(tmp_path / "stranger")
    stranger.create()
    root = (stranger.repo / "metadata" / "1.root.json").read_bytes()
    with pytest.raises(PackError, match="another root is trusted here already"):
        Client(str(stranger.repo), world.folder / "packs" / "trust", root)


@pytest.mark.parametrize(
    "custom", [None, [1], {"number": True, "version": "1"}, {"number": 2, "version": "\x1b[2J"}]
)
def test_what_is_offered_has_a_number_and_a_version(world: World, custom: object) -> None:
    """As its owners signed it; what would do something to a terminal is none."""
    repository = world.repository()
    repository.stage(archive(2))
    file = world.repo / "drafts" / "targets.json"
    draft: Metadata[Targets] = Metadata.from_bytes(file.read_bytes())
    draft.signed.targets["toy.tar.gz"].unrecognized_fields["custom"] = custom
    file.write_bytes(draft.to_bytes())
    repository.sign(world.everyone)
    repository.renew(world.online)
    with pytest.raises(PackError, match="does not say which version of toy it has"):
        world.client().look("toy")


@pytest.mark.parametrize("make", [os.mkfifo, lambda file: file.symlink_to("/dev/zero"), Path.mkdir])
def test_a_disk_of_things_that_are_no_files_is_refused(
    world: World, make: Callable[[Path], None]
) -> None:
    """A pipe that nobody writes to, and a device that does not end, are given up at once."""
    file = last(world, "timestamp")
    file.unlink()
    make(file)
    with pytest.raises(PackError, match=r"cannot be fetched: .*timestamp\.json"):
        world.update()
    assert world.in_force() == "toy-1"


@pytest.mark.parametrize("place", ["http://[::1/x", "https://a..b/x", "http:///x"])
def test_a_place_that_can_be_none_is_refused(world: World, place: str) -> None:
    """With the place, and no trace."""
    with pytest.raises(PackError, match=r"is no URL|cannot be fetched"):
        world.update(place)


def test_a_root_that_was_the_wrong_file_is_not_kept(world: World, tmp_path: Path) -> None:
    """No repository was trusted by it: the right one is taken afterwards."""
    metadata = world.repo / "metadata"
    right, trust = (metadata / "1.root.json").read_bytes(), tmp_path / "trust"
    for wrong in (b"<html>", (metadata / "1.targets.json").read_bytes()):
        with pytest.raises(PackError, match=r"the root to trust it by is none: .*--root FILE"):
            Client(str(world.repo), trust, wrong)
    stranger = World(tmp_path / "stranger")
    stranger.create()
    strange = (stranger.repo / "metadata" / "1.root.json").read_bytes()
    with pytest.raises(PackError, match="a wrong key"):
        Client(str(world.repo), trust, strange).look("toy")
    assert Client(str(world.repo), trust, right).look("toy").number == 1
    assert Client(str(world.repo), trust, None).look("toy").number == 1


def test_keys_are_rotated_and_gateways_follow(world: World) -> None:
    """New root and targets keys come in by the old ones' signatures; the old ones sign no more."""
    fresh = [CryptoSigner.generate_ed25519() for _ in range(2)]
    repository = world.repository()
    old = [key.public_key.keyid for key in world.keys["targets"]]
    repository.rotate("targets", [key.public_key for key in fresh], old, 2)
    assert [one.role for one in repository.sign(world.keys["root"][:1])] == ["root", "targets"]
    assert repository.sign([*world.keys["root"][1:2], *fresh]) == ()
    revoked, world.keys["targets"] = world.keys["targets"], fresh
    repository.renew(world.online)
    repository.stage(archive(2))
    (waiting,) = repository.sign(revoked)
    assert (waiting.role, waiting.signed, waiting.needed) == ("targets", 0, 2)
    assert repository.sign(fresh) == ()
    repository.renew(world.online)
    assert world.update() == "toy-2"
