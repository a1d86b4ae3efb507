"""``davylamp bench accuracy`` over a few vectors and a recorded capture."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from davylamp.accuracy.show import BEGIN, END
from davylamp.cli import main

MATCH = """
- name: a ping
  source: made up
  stream: [{{client: '{{"id":1,"method":"{method}","params":[]}}'}}]
  expect: match
"""


def bench(vectors: Path, *arguments: str) -> Result:
    """Run the command in this process, without other captures than a test names."""
    return CliRunner().invoke(
        main, ["bench", "accuracy", "--jobs", "1", "--vectors", str(vectors), *arguments]
    )


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """Return a folder with one example, which is told."""
    folder = tmp_path / "vectors"
    folder.mkdir()
    (folder / "stratum-v1-subscribe.yaml").write_text(MATCH.format(method="mining.subscribe"))
    return folder


def test_json_holds_the_counts(vectors: Path, tmp_path: Path) -> None:
    """Standard output is one JSON object and nothing else."""
    done = bench(vectors, "--json", "--corpus", f"benign={_empty(tmp_path)}")
    tree = json.loads(done.stdout)
    bare = [one for one in tree["recall"] if one["layer"] == "TCP" and one["way"] == "whole"]
    assert [(one["tried"], one["told"], one["dialect"]) for one in bare] == [(1, 1, "stratum-v1")]
    assert done.exit_code == (1 if tree["shortfalls"] else 0)


def test_what_fell_short_is_said_and_is_the_exit_status(vectors: Path, tmp_path: Path) -> None:
    """A message that is not told gives status 1 and its name on standard error."""
    (vectors / "stratum-v1-authorize.yaml").write_text(MATCH.format(method="hello"))
    done = bench(vectors, "--corpus", f"benign={_empty(tmp_path)}")
    assert done.exit_code == 1
    assert "told in 'TCP'; not told: stratum-v1-authorize: a ping" in done.stderr
    assert "Recall by dialect" in done.stdout


def test_the_page_is_written_whatever_the_outcome(vectors: Path, tmp_path: Path) -> None:
    """The Markdown stands between the markers, and is what --markdown prints."""
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n{BEGIN}\n{END}\n")
    done = bench(
        vectors, "--markdown", "--into", str(page), "--corpus", f"benign={_empty(tmp_path)}"
    )
    assert "### Recall by layer" in done.stdout
    assert done.stdout.strip() in page.read_text()


def test_no_vectors_is_bad_input(tmp_path: Path) -> None:
    """Where there are none, as in an installed wheel, the message says where to get them."""
    done = bench(tmp_path / "absent")
    assert done.exit_code == 2
    assert "tests/signatures of a checkout" in done.stderr


def test_the_throughput_bench_is_still_there() -> None:
    """The bare command keeps its options, and names the subcommand."""
    shown = CliRunner().invoke(main, ["bench", "--help"]).stdout
    assert "--rounds" in shown
    assert "accuracy" in shown


@pytest.mark.corpora
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_core_pack_misses_nothing(corpora: Path) -> None:
    """Every example of the core pack is told in every form and layer, and all captures are."""
    done = CliRunner().invoke(main, ["bench", "accuracy", "--json"])
    tree = json.loads(done.stdout)
    assert tree["shortfalls"] == []
    assert done.exit_code == 0
    assert tree["mining_files"]["told"] == tree["mining_files"]["of"] > 10
    by_source = {one["source"]: one["alarms"] for one in tree["false_alarms"]}
    assert by_source["captures of other traffic"] == 0


def _empty(folder: Path) -> Path:
    made = folder / "captures"
    made.mkdir(exist_ok=True)
    return made
