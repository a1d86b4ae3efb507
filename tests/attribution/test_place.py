"""Where the store is, for root and for others, configured and not."""

from pathlib import Path

import pytest

from davylamp.attribution.place import default_place, default_url, place_under


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
