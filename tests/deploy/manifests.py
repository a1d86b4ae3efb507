"""What renders manifests, and what they are held against."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
SCHEMA = json.loads((ROOT / "tests" / "data" / "schemas" / "kubernetes-1.34.json").read_text())


def rendered(folder: str) -> list[dict[str, Any]]:
    """Return what kustomize makes of a folder; skip where there is none."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl, whose kustomize renders it")
    done = subprocess.run(
        [kubectl, "kustomize", str(FOLDER / folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def check(document: dict[str, Any]) -> None:
    """Hold a manifest against the schema of its kind; an unknown member is a fault."""
    kind = f"{document['apiVersion']}/{document['kind']}"
    reference = {"$ref": SCHEMA["kinds"][kind], "$defs": SCHEMA["$defs"]}
    jsonschema.Draft202012Validator(reference).validate(document)


def named(documents: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return the one document of a kind."""
    [found] = [one for one in documents if one["kind"] == kind]
    return found
