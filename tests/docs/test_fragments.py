"""The YAML and JSON that pages show is taken by whoever reads such files."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.docs.blocks import ROOT, Block, all_blocks

from davylamp.agent.config import load_agent_config
from davylamp.config import parse_config
from davylamp.signatures.compile import compile_signature
from davylamp.signatures.vectors import parse_vectors

_WATCHED = "sandboxes: {interfaces: [br-train]}\n"
_AROUND = """id: toy
rev: 1
title: Toy
category: mining
dialect: toy
role: either
confidence: 98
severity: 1
maturity: stable
detail: a toy
"""


def run(*words: str) -> str:
    """Run another reader's own check; skip where it is not installed."""
    if shutil.which(words[0]) is None:
        pytest.skip(f"no {words[0]}, which reads this")
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def load(text: str, file: Path) -> None:
    """Have a document read by its reader, whose kind its first line or its keys tell."""
    document: Any = yaml.safe_load(text)
    if text.startswith("# prometheus.yml"):
        file.write_text(text)
        shutil.copy(ROOT / "deploy" / "prometheus" / "alerts.yaml", file.parent)
        run("promtool", "check", "config", str(file))
    elif text.startswith("# OVERLAY/kustomization.yaml"):
        shutil.copytree(ROOT / "deploy" / "kubernetes", file.parent, dirs_exist_ok=True)
        overlay = file.parent / "OVERLAY"
        overlay.mkdir()
        (overlay / "kustomization.yaml").write_text(text)
        (overlay / "davylamp.yaml").write_text(_WATCHED)
        rendered = run("kubectl", "kustomize", str(overlay))
        assert document["images"][0]["newName"] in rendered
        assert _WATCHED.strip() in rendered
    elif text.startswith("# helm: "):
        file.write_text(text)
        helm = str(Path(sys.prefix) / "bin" / "helm")
        run(
            helm, "template", "x", str(ROOT / "deploy" / "helm" / "davylamp"), "--values", str(file)
        )
    elif isinstance(document, list):
        parse_vectors(text.encode(), file.name)
    elif "when" in document:
        whole = text if "id" in document else _AROUND + text
        compile_signature(whole.encode(), f"{document.get('id', 'toy')}.yaml")
    elif "redis" in document:
        file.write_text(text)
        load_agent_config(file)
    else:
        parse_config(text if "sandboxes" in document else _WATCHED + text)


@pytest.mark.parametrize(
    "block", [each for each in all_blocks("yaml") if yaml.safe_load(each.body)], ids=str
)
def test_yaml_is_read(block: Block, tmp_path: Path) -> None:
    """As a gateway's or an agent's configuration, a signature, its vectors, or another's file."""
    load(block.body, tmp_path / "shown.yaml")


@pytest.mark.parametrize("block", all_blocks("json"), ids=str)
def test_json_is_json(block: Block) -> None:
    """And an object each; what is in an event, tests/outputs compares with what is sent."""
    assert isinstance(json.loads(block.body), dict)
