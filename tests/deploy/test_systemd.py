"""The systemd unit, as systemd itself reads it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy" / "systemd" / "davylamp.service"
PROGRAM = "/usr/local/bin/davylamp"


@pytest.fixture
def analyze() -> str:
    """Return systemd-analyze."""
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("no systemd-analyze: install systemd")
    return found


def test_systemd_finds_no_fault(analyze: str, tmp_path: Path) -> None:
    """Every line is one that systemd knows, with a program where ours would be."""
    for file in UNIT.parent.iterdir():
        (tmp_path / file.name).write_text(file.read_text().replace(PROGRAM, "/bin/true"))
    units = [str(tmp_path / file.name) for file in UNIT.parent.iterdir()]
    done = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", *units],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_its_exposure_is_what_the_guide_says(analyze: str) -> None:
    """docs/deployment.md states the score that systemd gives, and that it holds what it may."""
    done = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        check=False,
    )
    score = re.search(r"exposure level for davylamp\.service: ([\d.]+)", done.stdout)
    if score is None:
        pytest.skip(f"this systemd-analyze cannot judge a file: {done.stderr.strip()}")
    guide = (ROOT / "docs" / "deployment.md").read_text()
    stated = re.search(r"exposure of ([\d.]+)", guide)
    assert stated is not None
    # Newer versions weigh a few settings more.
    assert float(score[1]) <= float(stated[1]) + 0.5


def test_every_program_and_file_is_where_the_guide_puts_it() -> None:
    """What the unit runs and reads is what docs/deployment.md installs."""
    guide = (ROOT / "docs" / "deployment.md").read_text()
    unit = UNIT.read_text()
    for path in re.findall(r"(/usr/local/\S+|/etc/davylamp/\S+)", unit):
        assert path in guide, path
