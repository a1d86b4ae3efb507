import os
from pathlib import Path

import pytest

from davylamp.errors import ConfigError, KernelError
from davylamp.lab import state
from davylamp.lab.lab import condition
from davylamp.lab.processes import ProcessRef
from davylamp.lab.state import HostState, LabDirectory, LabState

GONE = ProcessRef(2**22 + 1, 1)  # above the kernel's largest pid


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep labs' state in a directory of the test's own."""
    monkeypatch.setenv("DAVYLAMP_RUNTIME_DIR", str(tmp_path / "run"))
    return tmp_path / "run"


def me() -> ProcessRef:
    """Return a process that is alive for certain."""
    return ProcessRef.of(os.getpid())


def test_a_name_is_claimed_once() -> None:
    """A second lab of the same name is refused, and told how to go on."""
    LabDirectory.claim("one")
    with pytest.raises(ConfigError, match="lab down --lab one"):
        LabDirectory.claim("one")
    assert [directory.name for directory in state.directories()] == ["one"]


def test_state_comes_back_as_it_was_saved() -> None:
    """What is saved is what is loaded."""
    directory = LabDirectory.claim("one")
    host = HostState("gateway", "10.90.0.1", "fd00:90::1", me(), 7)
    written = LabState("one", 1.5, True, me(), (host,), {"dns": me()})
    directory.save(written)
    assert directory.load() == written


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": 1}'])
def test_damaged_state_is_no_state(text: str) -> None:
    """A state file that cannot be read counts as none, and the lab as broken."""
    directory = LabDirectory.claim("one")
    (directory.path / "state.json").write_text(text)
    assert directory.load() is None
    assert condition(directory.load()) == "broken"


def test_removing_frees_the_name() -> None:
    """A removed lab's name can be claimed again."""
    LabDirectory.claim("one").remove()
    LabDirectory.claim("one")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "A"])
def test_no_name_leads_out_of_the_runtime_directory(name: str) -> None:
    """A name that is no lab's is refused before it becomes a path."""
    with pytest.raises(ConfigError):
        state.find(name)


def test_a_directory_open_to_others_is_refused(runtime: Path) -> None:
    """State is not kept where another user could change it."""
    runtime.mkdir()
    runtime.chmod(0o777)
    with pytest.raises(KernelError, match="DAVYLAMP_RUNTIME_DIR"):
        state.runtime_directory()


def test_a_link_is_refused(runtime: Path, tmp_path: Path) -> None:
    """State is not kept behind a symbolic link that someone may have planted."""
    (tmp_path / "elsewhere").mkdir()
    runtime.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KernelError):
        state.runtime_directory()


@pytest.mark.parametrize(
    ("maker", "holders", "services", "expected"),
    [
        ("me", ["me"], ["me"], "up"),
        ("gone", ["me"], ["me"], "up"),
        ("me", [], [], "building"),
        ("gone", [], [], "dead"),
        ("gone", ["gone"], ["gone"], "dead"),
        ("me", ["me", "gone"], ["me"], "broken"),
        ("me", ["me"], ["gone"], "broken"),
    ],
)
def test_condition_follows_the_processes(
    maker: str, holders: list[str], services: list[str], expected: str
) -> None:
    """A lab is up only while every part of it lives, whoever made it."""
    refs = {"me": me(), "gone": GONE}
    hosts = tuple(HostState(str(n), "", "", refs[who], 0) for n, who in enumerate(holders))
    named = {str(n): refs[who] for n, who in enumerate(services)}
    assert condition(LabState("one", 0.0, False, refs[maker], hosts, named)) == expected


def test_replacing_leaves_no_scraps(tmp_path: Path) -> None:
    """A replaced file is whole, and nothing else is in its directory."""
    path = tmp_path / "file"
    state.replace(path, b"one")
    state.replace(path, b"two")
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"two")]
