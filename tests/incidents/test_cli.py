"""``davylamp incidents`` as it is called: what is listed, exit codes, and hostile words."""

import json
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console
from tests.incidents.conftest import MakeAlert

from davylamp.attribution.store import Store
from davylamp.cli import main
from davylamp.events import LineageInfo, TlsInfo
from davylamp.incidents.operations import IncidentOperations
from davylamp.incidents.render import Listing

OPERATIONS = IncidentOperations()


class Shell:
    """Runs commands against one store."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, *words: str) -> Result:
        """Run ``davylamp incidents`` with these words."""
        return CliRunner().invoke(main, ["incidents", *words, "--url", self.url])

    def ids(self, *words: str) -> list[str]:
        """Return the ids that ``list --json`` prints."""
        done = self("list", "--json", *words)
        assert done.exit_code == 0, done.output
        return [json.loads(line)["id"] for line in done.stdout.splitlines()]


@pytest.fixture
def shell(store: Store, make_alert: MakeAlert) -> Shell:
    """Give a store with three incidents: two runs' of one experiment, and a stranger's."""
    for number in (1, 2):
        alert = make_alert(f"inc-{number}", at=1e9 + number, run=f"run-{number}")
        store.run(OPERATIONS.record(alert))
    stranger = LineageInfo(grade="unknown")
    store.run(OPERATIONS.record(make_alert("inc-3", at=1.1e9, lineage=stranger)))
    return Shell(store.url)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), ["inc-3", "inc-2", "inc-1"]),
        (("--limit", "1"), ["inc-3"]),
        (("--run", "run-1"), ["inc-1"]),
        (("--experiment", "exp"), ["inc-2", "inc-1"]),
        (("--container", "c-run-2"), ["inc-2"]),
        (("--container", "c-run-2@1"), ["inc-2"]),
        (("--container", "10.0.0.7"), ["inc-3", "inc-2", "inc-1"]),
        (("--since", "2004-01-01T00:00:00Z"), ["inc-3"]),
        (("--since", "24h"), []),
        (("--resolved",), []),
        (("--open", "--experiment", "other"), []),
    ],
)
def test_filters(shell: Shell, words: tuple[str, ...], expected: list[str]) -> None:
    """Each narrows the list, newest alert first."""
    assert shell.ids(*words) == expected


def test_the_gateways_configuration_names_the_store(shell: Shell, tmp_path: Path) -> None:
    """``--config`` stands for its URL, or for the private store of its state directory."""
    file = tmp_path / "gateway.yaml"
    file.write_text(f"sandboxes: {{interfaces: [br-x]}}\nlineage: {{redis: '{shell.url}'}}\n")
    asked = CliRunner().invoke(main, ["incidents", "show", "--config", str(file), "--json"])
    assert json.loads(asked.stdout)["id"] == "inc-3"  # without an id: the newest
    file.write_text(f"sandboxes: {{interfaces: [br-x]}}\nstate_dir: {tmp_path}\n")
    asked = CliRunner().invoke(main, ["incidents", "list", "--config", str(file)])
    assert f"unix:{tmp_path}/run/lineage.sock" in asked.output


def test_resolving_moves_one_from_one_list_to_the_other(shell: Shell) -> None:
    """With who and why; again is harmless."""
    for _ in range(2):
        assert shell("resolve", "inc-2", "--by", "ada", "--note", "gone").exit_code == 0
    assert shell.ids("--resolved") == ["inc-2"]
    assert shell.ids("--open") == ["inc-3", "inc-1"]
    assert "by ada: gone" in shell("show", "inc-2").stdout


@pytest.mark.parametrize("word", ["show", "export", "resolve"])
def test_an_incident_that_is_not_there_is_exit_1(shell: Shell, word: str) -> None:
    """With a hint, and null for programs."""
    done = shell(word, "inc-none", "--json")
    assert (done.exit_code, done.stdout) == (1, "null\n")
    assert "incidents list" in done.stderr


def test_a_bundle_is_not_written_over(shell: Shell, tmp_path: Path) -> None:
    """Unless asked; and the new one is what verify then agrees to."""
    file = tmp_path / "a.zip"
    assert shell("export", "inc-1", "--output", str(file)).exit_code == 0
    assert shell("export", "inc-1", "--output", str(file)).exit_code == 2
    assert shell("export", "inc-1", "--output", str(file), "--force", "--no-pcap").exit_code == 0
    assert shell("verify", str(file)).exit_code == 0
    assert shell("verify", str(tmp_path)).exit_code == 2
    file.write_bytes(b"no zip")
    assert shell("verify", str(file)).exit_code == 2


def test_without_a_store_it_says_what_to_do(tmp_path: Path) -> None:
    """Exit 2; a bundle can still be checked by itself."""
    done = Shell(f"unix://{tmp_path}/none.sock")("list")
    assert done.exit_code == 2
    assert "start `davylamp gateway`" in done.stderr


def test_hostile_words_do_nothing_to_a_terminal(store: Store, make_alert: MakeAlert) -> None:
    """What a sandbox says, in a server name or a container's, is shown and not carried out."""
    evil = "\x1b]0;owned\x07\x1b[31m[bold]x[/bold]\r\n\u202e"
    who = LineageInfo(grade="declared", container=evil, image=evil, run_id=evil)
    alert = make_alert(lineage=who, tls=TlsInfo(sni=evil))
    store.run(OPERATIONS.record(alert))
    shell = Shell(store.url)
    for words in (("list",), ("show", "inc-1")):
        done = shell(*words)
        assert done.exit_code == 0
        assert not {"\x1b", "\x07", "\r", "\u202e"} & set(done.stdout)
        assert "[bold]x[/bold]" in done.stdout.replace("\n", "")


def test_show_ends_with_what_to_do_next(shell: Shell) -> None:
    """Commands that work as they stand; once it is resolved, not to resolve it again."""
    said = shell("show", "inc-1").stdout
    to = "198.51.100.9:3333"
    for command in (
        "incidents export inc-1",
        "incidents resolve inc-1",
        f"blocks release {to}",
        "pack disable cryptonote-login",
    ):
        assert f"davylamp {command}" in said
    assert "actions release" not in said  # policy did nothing
    shell("resolve", "inc-1", "--by", "ada")
    said = shell("show", "inc-1").stdout
    assert "incidents resolve" not in said
    assert "actions release" not in said


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_list_keeps_ids_and_endpoints_whole(shell: Shell, store: Store, width: int) -> None:
    """In a narrow terminal by two lines each, where a table would break them into pieces."""
    console = Console(width=width, file=StringIO())
    console.print(Listing(store.run(OPERATIONS.listing())))
    assert isinstance(console.file, StringIO)
    said = console.file.getvalue()
    for number in (1, 2, 3):
        assert f"inc-{number} " in said
    assert "198.51.100.9:3333" in said.replace("\n", "")
    assert ("┃" in said) is (width == 200)
