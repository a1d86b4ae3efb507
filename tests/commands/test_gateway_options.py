"""Which gateway ``davylamp health`` and ``davylamp top`` ask, by its configuration."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from davylamp.cli import main


def written(folder: Path, **said: str) -> str:
    """Return a configuration file that watches a bridge and says this besides."""
    file = folder / "davylamp.yaml"
    lines = ["sandboxes: {interfaces: [br-train]}", *(f"{key}: {said[key]}" for key in said)]
    file.write_text("\n".join(lines) + "\n")
    return str(file)


@pytest.mark.parametrize(
    ("api", "asked"),
    [
        ("{listen: '127.0.0.1:1'}", "http://127.0.0.1:1 does not answer"),
        ("{listen: '[::1]:1'}", "http://[::1]:1 does not answer"),
        ("{listen: '0.0.0.0:1', cleartext: true}", "http://127.0.0.1:1 does not answer"),
        ("{listen: '0.0.0.0:1', tls: {certificate: x}}", "https://127.0.0.1:1 does not answer"),
        ("{cleartext: true}", "the configuration has no api.listen"),
    ],
)
@pytest.mark.parametrize("words", [("health",), ("top", "--once")])
def test_the_configuration_says_whom_to_ask(
    tmp_path: Path, words: tuple[str, ...], api: str, asked: str
) -> None:
    """Its api.listen, from this host; its state directory has the token."""
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "read.token").write_text("t" * 40)
    file = written(tmp_path, state_dir=str(tmp_path), api=api)
    done = CliRunner().invoke(main, [*words, "--config", file])
    assert done.exit_code == 2
    assert asked in done.stderr
