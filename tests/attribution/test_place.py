"""Where the store is, for root and for others, configured and not."""

import os
import socket
from pathlib import Path

import pytest

from davylamp.attribution import place as places
from davylamp.attribution.place import default_place, default_url, place_under
from davylamp.errors import ConfigError

ME = 4242


def test_root_uses_the_system_directories() -> None:
    """Without configuration root's store is at the FHS places."""
    place = default_place({}, 0)
    assert place.url == "unix:///run/davylamp/lineage.sock"
    assert place.state == Path("/var/lib/davylamp/lineage")


def test_others_use_the_xdg_directories() -> None:
    """A user's store is in the user's own directories, with or without a runtime directory."""
    home = {"HOME": "/home/u"}
    place = default_place(home, 1000)
    assert place.socket == Path("/home/u/.local/state/davylamp/lineage.sock")
    place = default_place(home | {"XDG_RUNTIME_DIR": "/run/user/1000"}, 1000)
    assert place.socket == Path("/run/user/1000/davylamp/lineage.sock")
    assert place.state == Path("/home/u/.local/state/davylamp/lineage")


def test_the_environment_decides(tmp_path: Path) -> None:
    """A state directory moves the store; a URL wins over everything."""
    state = {"DAVYLAMP_STATE": str(tmp_path)}
    assert default_place(state, 0) == place_under(tmp_path)
    assert default_url(state) == place_under(tmp_path).url
    assert default_url(state | {"DAVYLAMP_LINEAGE_URL": "redis://h"}) == "redis://h"


@pytest.mark.parametrize("name", ["with space", "per%cent", "quest?ion", "ha#sh"])
def test_odd_directories_survive_the_url(tmp_path: Path, name: str) -> None:
    """A path that is no plain URL text is quoted in it."""
    url = place_under(tmp_path / name).url
    assert not set(" ?#") & set(url)


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put what stands for /tmp into this test's directory."""
    monkeypatch.setattr(places, "_SHARED", tmp_path)
    return tmp_path


def test_without_a_home_a_private_directory_is_made(shared: Path) -> None:
    """It is its user's alone, and the same each time; who has a home gets none."""
    user = os.geteuid() or ME
    default_place({"HOME": "/home/u"}, user)
    default_place({"XDG_STATE_HOME": "/home/u"}, user)
    assert list(shared.iterdir()) == []
    made = shared / f"davylamp-{user}"
    if user == ME:  # root makes what is root's, which is not this user's
        with pytest.raises(ConfigError, match=f"that uid {ME} alone may write"):
            default_place({}, user)
        os.chown(made, user, user)
    state = made / ".local/state/davylamp"
    assert default_place({}, user).socket == state / "lineage.sock"
    assert default_place({}, user).state == state / "lineage"
    assert made.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("trap", ["anothers", "open", "link", "file"])
def test_a_directory_that_others_could_fill_is_not_used(shared: Path, trap: str) -> None:
    """Whoever made it first, where all may write, gets neither records nor questions."""
    user = os.geteuid() or ME
    path = shared / f"davylamp-{user}"
    match trap:
        case "anothers":
            if os.geteuid() != 0:
                pytest.skip("needs root, to make another user's directory")
            path.mkdir()
            os.chown(path, 65534, 65534)
        case "open":
            path.mkdir()
            path.chmod(0o777)
        case "link":
            (shared / "elsewhere").mkdir()
            path.symlink_to(shared / "elsewhere")
        case _:
            path.touch()
    if trap != "anothers" and os.geteuid() == 0:
        os.chown(path, user, user, follow_symlinks=False)
    with pytest.raises(ConfigError, match="alone may write; set HOME, or DAVYLAMP_STATE"):
        default_place({}, user)
    with pytest.raises(ConfigError, match="alone may write"):
        default_url({}, user)
    assert default_url({"DAVYLAMP_LINEAGE_URL": "redis://h"}, user) == "redis://h"


def test_a_socket_of_somebody_else_is_not_talked_to(tmp_path: Path) -> None:
    """The default store is this user's or root's; another must be named."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to make another user's socket")
    home = {"XDG_STATE_HOME": str(tmp_path)}
    place = default_place(home, ME)
    place.runtime.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place.socket))
        for owner in (0, ME):
            os.chown(place.socket, owner, owner)
            assert default_url(home, ME) == place.url
        os.chown(place.socket, 65534, 65534)
        with pytest.raises(ConfigError, match="belongs to uid 65534; name the store"):
            default_url(home, ME)
    place.socket.unlink()
    assert default_url(home, ME) in (place.url, default_place({}, 0).url)
