"""A gateway whose own part fails ends and says why, for whoever supervises it to start it again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from davylamp.lab.gateway import lab_configuration

pytestmark = pytest.mark.lab

_SABOTAGE = """
import asyncio, sys
from davylamp.{module} import {name}

async def broken(self):
    await asyncio.sleep(2.0)
    raise RuntimeError("sabotaged")

{name}.run = broken
from davylamp.cli import main
main(["gateway", "--config", sys.argv[1]])
"""
_RUN = '"$0" "$@"; echo $?; nft list tables'


@pytest.mark.parametrize(
    ("module", "name"),
    [("relay", "Relay"), ("attribution.sync", "LineageSync"), ("rulewatch", "RuleWatch")],
)
def test_a_part_that_fails_ends_the_gateway(
    can_lab: None, tmp_path: Path, module: str, name: str
) -> None:
    """It does not go on without alerts, or without lineage; its rules stay, and fail closed."""
    config = tmp_path / "gateway.yaml"
    config.write_text(json.dumps(lab_configuration(tmp_path)))
    script = tmp_path / "gateway.py"
    script.write_text(_SABOTAGE.format(module=module, name=name))
    apart = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "-Urn")
    done = subprocess.run(
        [*apart, "sh", "-c", _RUN, sys.executable, str(script), str(config)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "RuntimeError: sabotaged" in done.stderr
    code, *tables = done.stdout.splitlines()
    assert code == "1"
    assert "table inet davylamp" in tables
