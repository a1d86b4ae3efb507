"""The import contracts of pyproject.toml hold, and would notice a breach."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "proxy" / "davylamp"

# What must stay free of I/O (docs/architecture.md); a second list, so that a module cannot be
# taken out of the contract unnoticed.
CORE = (
    "flow",
    "decision",
    "events",
    "redaction",
    "reassembly",
    "ipfrag",
    "packet",
    "signatures",
    "inspection",
    "flowtable",
    "policy",
    "incident",
    "resets",
    "pipeline",
    "attribution.model",
    "attribution.history",
    "attribution.table",
)


def lint_imports(package_root: Path) -> subprocess.CompletedProcess[str]:
    """Run the contracts over the package found under ``package_root``."""
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--config", ROOT / "pyproject.toml", "--no-cache", "--no-logo"],
        cwd=package_root,
        env=os.environ | {"PYTHONPATH": str(package_root)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_contracts_hold() -> None:
    """Every import of the package points inward, and the core imports no I/O."""
    result = lint_imports(PACKAGE.parent)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "statement", "broken"),
    [
        ("flow.py", "import socket", "The core does no I/O"),
        ("inspection/__init__.py", "from time import monotonic", "The core does no I/O"),
        ("flow.py", "from davylamp import events", "Imports point inward"),
        ("outputs/__init__.py", "import davylamp.capture", "Imports point inward"),
        ("nobody_knows.py", "", "Imports point inward"),
    ],
)
def test_breach_is_noticed(tmp_path: Path, module: str, statement: str, broken: str) -> None:
    """A socket or clock in the core, an import outward, or an unplaced file breaks a contract."""
    shutil.copytree(PACKAGE, tmp_path / "davylamp", ignore=shutil.ignore_patterns("__pycache__"))
    victim = tmp_path / "davylamp" / module
    with victim.open("a") as file:
        file.write(f"\n{statement}\n")
    result = lint_imports(tmp_path)
    assert result.returncode != 0
    assert any(line.startswith(broken) and " BROKEN" in line for line in result.stdout.splitlines())


def test_whole_core_is_under_contract() -> None:
    """No module of the core has been let off the sans-I/O contract."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    [sans_io] = [contract for contract in contracts if contract["id"] == "sans-io"]
    assert {f"davylamp.{name}" for name in CORE} <= set(sans_io["source_modules"])


def test_a_worker_carries_no_client() -> None:
    """Clients of stores and engines stay out of the processes that a gateway has many of."""
    said = subprocess.run(
        [sys.executable, "-c", "import davylamp.workers.__main__, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"redis", "aiohttp", "tuf", "cryptography", "rich", "asyncio"} & set(said)
