"""Installation: what is refused, and that whatever happens exactly one whole pack is in force."""

import datetime as dt
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tests.updates.conftest import NOW, SIGNATURE, VECTOR, World, archive, pack_files

from davylamp.config import GatewayConfig
from davylamp.errors import PackError
from davylamp.packs import PackKeeper
from davylamp.updates.engine import Engine
from davylamp.updates.install import check_not_older, check_offered, decide, examine, install
from davylamp.updates.loading import load_source
from davylamp.updates.proving import TimeBudget
from davylamp.updates.state import Selection, Step
from davylamp.updates.store import Store


def crowd(count: int) -> dict[str, bytes]:
    """Return signatures that all have to look at one message."""
    return {
        f"crowd/crowd-{number}.yaml": SIGNATURE.replace(b"toy-hello", b"crowd-%d" % number)
        .replace(b'["string:1-"]', b'["hex:%d"]' % (number + 10))
        .replace(b"stable", b"incubating")
        for number in range(count)
    }


@pytest.mark.parametrize(
    ("files", "terms", "message"),
    [
        (
            pack_files() | {"vectors/toy/toy-hello.yaml": VECTOR.replace(b'["rig"]', b"[1]")},
            {},
            r"toy-hello fail \(a greeting, byte by byte\): expected a match",
        ),
        (
            pack_files() | {"vectors/toy/toy-hello.yaml": VECTOR.replace(b"goodbye", b"hello")},
            {},
            r"toy-hello fail \(another greeting, byte by byte\): expected no match",
        ),
        (
            {k: v for k, v in pack_files().items() if "vectors" not in k},
            {},
            "expected at least one match",
        ),
        (
            pack_files() | {"toy/toy-hello.yaml": SIGNATURE.replace(b"string:1-", b"strng")},
            {},
            "did you mean 'string'",
        ),
        (None, {"min_engine": "9.0.0"}, "needs davylamp 9.0.0 or newer"),
        (None, {"max_engine": "0.0.9"}, "is for davylamp up to 0.0.9"),
        (None, {"features": ("json", "telepathy")}, "does not have: telepathy"),
        (None, {"format": 2}, "format 2 cannot be read"),
        (pack_files("2026.01.01"), {}, "pack.yaml says toy 2026.01.01 and the manifest"),
    ],
)
def test_a_pack_that_is_not_fit_is_refused(
    tmp_path: Path, files: dict[str, bytes] | None, terms: dict[str, object], message: str
) -> None:
    """Each with its own message; nothing is kept."""
    store = Store(tmp_path / "packs")
    with pytest.raises(PackError, match=message):
        examine(store, archive(2, files, terms=terms), Engine("0.1.0"))
    assert store.installed() == ()


def test_a_pack_that_is_too_slow_is_refused(tmp_path: Path) -> None:
    """Three thousand signatures that share a message cost more than the budget allows."""
    store = Store(tmp_path / "packs")
    slow = archive(2, pack_files() | crowd(3000))
    with pytest.raises(PackError, match=r"too slow: [\d.]+ ms for a KiB of toy-hello"):
        examine(store, slow, budget=TimeBudget(each=0.0005))


def test_an_older_pack_is_not_taken_from_a_repository(world: World) -> None:
    """Not even after a return on purpose: the highest number that was here counts."""
    world.publish(archive(2))
    assert world.update() == "toy-2"
    back = world.store.state().last_good
    assert back is not None
    decide(world.store, back, "rollback")
    assert world.in_force() == "toy-1"
    with pytest.raises(PackError, match="toy-1 is older than toy-2, which was here: a rollback"):
        check_not_older(world.store.state(), "toy", 1)
    with pytest.raises(PackError, match="a rollback"):
        install(world.store, examine(world.store, archive(1)))


@pytest.mark.parametrize("step", list(Step))
def test_a_kill_at_any_step_leaves_one_whole_pack(world: World, step: Step) -> None:
    """A gateway starts with the old pack or the new one then, and the update can be repeated."""
    file = world.folder / "toy-2.tar.gz"
    file.write_bytes(archive(2))
    script = Path(__file__).with_name("killed.py")
    folder = world.folder / "packs"
    done = subprocess.run([sys.executable, script, folder, file, step], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    keeper = PackKeeper(GatewayConfig(), Store(folder), None)
    expected = "toy-2" if step is Step.DECIDED else "toy-1"
    assert Path(keeper.source.path).name == f"{expected}.tar.gz"
    assert world.in_force() == expected
    installed = install(world.store, examine(world.store, file.read_bytes()))
    decide(world.store, installed.selection, "again")
    assert world.in_force() == "toy-2"
    world.store.tidy()
    assert not list(folder.glob(".*"))


def test_what_the_site_changed_survives_an_update(world: World) -> None:
    """A signature that is off stays off, and the site's own come along, in place of the pack's."""
    local = world.folder / "packs" / "local" / "mine"
    local.mkdir(parents=True)
    (local / "my-own.yaml").write_bytes(SIGNATURE.replace(b"toy-hello", b"my-own"))
    chosen = msgspec.structs.replace(world.store.state().in_force, disabled=("toy-hello",))
    decide(world.store, chosen, "disable")
    world.publish(archive(2))
    world.update()
    loaded = load_source(world.store.source(world.store.state().in_force))
    message = {"method": "toy.hello", "params": ["rig"]}
    assert [one.signature.id for one in loaded.pack.match_message(message)] == ["my-own"]
    assert loaded.pack.version == "2026.11.28+local"
    (local / "toy-hello.yaml").write_bytes(SIGNATURE.replace(b"rev: 1", b"rev: 9"))
    decide(world.store, msgspec.structs.replace(chosen, disabled=()), "enable")
    loaded = load_source(world.store.source(world.store.state().in_force))
    assert {one.signature.rev for one in loaded.pack.match_message(message)} == {1, 9}


def test_an_archive_that_is_not_what_was_offered_is_refused(world: World) -> None:
    """Else what was pinned, returned from or older came in under another number."""
    manifest = examine(world.store, archive(2)).manifest
    check_offered(manifest, "toy", 2)
    for name, number in (("toy", 3), ("core", 2)):
        with pytest.raises(PackError, match=f"offers {name}-{number}, and the archive is toy-2"):
            check_offered(manifest, name, number)


def test_a_damaged_archive_is_not_loaded_and_the_gateway_starts(world: World) -> None:
    """A bit that flipped on disk is noticed; the last good pack is in force then, and said so."""
    world.publish(archive(2))
    world.update()
    file = Path(world.store.find("toy-2").file)
    data = bytearray(file.read_bytes())
    data[50] ^= 1
    file.write_bytes(data)
    with pytest.raises(PackError, match="is not the file that was installed"):
        world.in_force()
    keeper = PackKeeper(GatewayConfig(), world.store, None)
    assert Path(keeper.source.path).name == "toy-1.tar.gz"


@pytest.mark.parametrize("content", [b"", b"{", b'{"format": 2}', b'{"in_force": 3}'])
def test_a_state_that_cannot_be_read_does_not_keep_the_gateway_down(
    tmp_path: Path, content: bytes
) -> None:
    """The shipped pack is in force then."""
    (tmp_path / "state.json").write_bytes(content)
    with pytest.raises(PackError, match=r"state\.json"):
        Store(tmp_path).state()
    keeper = PackKeeper(GatewayConfig(), Store(tmp_path), None)
    assert Path(keeper.source.path).name == "core"


def test_two_gateways_do_not_share_a_store(tmp_path: Path) -> None:
    """The second one is told so, and can start once the first has ended."""
    first, second = (PackKeeper(GatewayConfig(), Store(tmp_path), None) for _ in range(2))
    refused = pytest.raises(PackError, match="another gateway uses these packs")
    with first.held(), refused, second.held():
        pass
    with second.held():
        pass


def test_an_expired_pack_is_installed_and_loads(world: World) -> None:
    """Enforcing old rules is better than none; who runs it is told elsewhere."""
    old = archive(2, terms={"expires": NOW - dt.timedelta(days=1)})
    selection = install(world.store, examine(world.store, old)).selection
    decide(world.store, selection, "update")
    assert world.in_force() == "toy-2"


def test_returning_is_remembered(world: World) -> None:
    """A pack that was returned from is not the last good one of anything, and why is kept."""
    world.publish(archive(2))
    world.update()
    state = world.store.change(lambda state: state.give_back("it broke"))
    assert (world.in_force(), state.rejected) == ("toy-1", {"toy-2": "it broke"})
    assert state.last_good is None
    assert state.in_force != Selection()


def test_local_signatures_that_do_not_compile_do_not_keep_the_gateway_down(world: World) -> None:
    """The pack in force is, without them; what is wrong is said."""
    local = world.folder / "packs" / "local"
    local.mkdir()
    (local / "bad.yaml").write_text("id: bad")
    keeper = PackKeeper(GatewayConfig(), world.store, None)
    assert Path(keeper.source.path).name == "toy-1.tar.gz"
    assert keeper.source.local == ""


def test_a_switch_of_one_signature_is_nothing_to_return_from(world: World) -> None:
    """What is returned to is another pack, with the site's switches as they are now."""
    world.publish(archive(2))
    world.update()
    now = world.store.state().in_force
    decide(world.store, msgspec.structs.replace(now, disabled=("toy-hello",)), "disable")
    state = world.store.change(lambda state: state.give_back("it broke"))
    assert (state.in_force.pack, state.in_force.disabled) == ("toy-1", ("toy-hello",))


def test_tidying_keeps_what_is_named(world: World) -> None:
    """Of many archives the newest stay, and those that are in force or may be again."""
    for number in range(2, 10):
        world.store.add(f"toy-{number}", archive(number))
    world.store.tidy()
    assert [one.number for one in world.store.installed()] == [9, 8, 7, 6, 5, 1]
