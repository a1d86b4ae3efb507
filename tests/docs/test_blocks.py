"""Pages are read as their readers read them; what is not accounted for is told."""

from pathlib import Path

import pytest
from tests.docs.blocks import Block, Command, Mark, blocks
from tests.docs.options import calls, fault
from tests.docs.shell import Shell
from tests.docs.test_marks import HOW, why_wrong

PAGE = """# A page

<!-- not run (`rm`): it would be a pity -->
<!-- run: site -->
```console
$ ls \\
    -l        # a comment
total 0
$ rm -r 'a
b'
```

```sh
echo; echo
# a comment
```
"""


@pytest.fixture
def found(tmp_path: Path) -> list[Block]:
    """Give the blocks of a page."""
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    return blocks(page)


def test_commands_are_told_from_output(found: list[Block]) -> None:
    """Also over several lines; each has the first mark that fits it."""
    first, second = found
    assert first.line == 5
    assert first.commands() == [
        Command("ls \\\n    -l        # a comment", "total 0"),
        Command("rm -r 'a\nb'"),
    ]
    marks = [first.mark(command) for command in first.commands()]
    assert marks == [Mark("run", "site"), Mark("not run", "it would be a pity", "rm")]
    assert second.commands() == [Command("echo; echo")]
    assert HOW in why_wrong(second, second.commands()[0], second.mark(second.commands()[0]))


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        (Mark("run", "moon"), "'moon' is none of"),
        (Mark("not run", "because"), "why is it not run?"),
        (Mark("tested", "tests/test_nothing.py"), "there is no "),
        (Mark("tested", "tests/docs/conftest.py"), "has nothing of ['replay']"),
        (Mark("tested", "docs/decisions/0003-own-netlink.md"), "runs no such command"),
        (Mark("page tested", "tests/docs/conftest.py"), "has nothing of ['page"),
        (Mark("no verb of ours", "<!-- runn -->"), "this is no mark: <!-- runn -->"),
    ],
)
def test_a_mark_that_does_not_hold_is_told(found: list[Block], mark: Mark, said: str) -> None:
    """With what is wrong with it."""
    assert said in why_wrong(found[1], Command("davylamp replay x.pcap"), mark)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("davylamp pack tst", "davylamp pack has no command 'tst'"),
        ("x | davylamp replay a --nope  # --yes", "davylamp replay: No such option '--nope'."),
        ("davylamp lab exec outside -- curl --nope", ""),
        ("davylamp pack list [--json]", ""),
    ],
)
def test_davylamps_own_parser_judges(text: str, said: str) -> None:
    """Subcommands and options; what another program gets is its own business."""
    assert [fault(call) for call in calls(Command(text).words())] == [said]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (Command("echo b7 at 12:30", "c9 at 11:15"), ""),
        (Command("echo done", "undone"), "`echo done` printed:\ndone\n"),
        (Command("exit 3"), "the shell ended early"),
        (Command("false"), "`false` ended with 1, not 0"),
        (Command("false  # exit status 1"), ""),
        (Command("export A=1; test $A = 1"), ""),
    ],
)
def test_what_comes_of_a_command_is_compared(tmp_path: Path, command: Command, said: str) -> None:
    """Status and output with the page's, but for figures, times and ids."""
    faults = Shell(tmp_path).type([command])
    assert [fault.startswith(said) for fault in faults] == [True] * bool(said)
