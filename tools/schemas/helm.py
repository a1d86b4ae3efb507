# ruff: noqa: INP001 - a program
"""Write deploy/helm/davylamp/values.schema.json: what the chart takes, down to each key of config.

  .venv/bin/python tools/schemas/helm.py

Helm holds values against it before anything is applied, so a misspelt key of the configuration is
refused at once instead of ending a pod on every node. It reads JSON Schema of draft 7; all that
the configuration's own schema uses is in that, too.
"""

import json
from pathlib import Path
from typing import Any

from davylamp.config import GatewayConfig
from davylamp.settings.reference import schema_of

FILE = Path(__file__).resolve().parents[2] / "deploy" / "helm" / "davylamp" / "values.schema.json"
_TEXT = {"type": "string"}
_IMAGE = {
    "repository": {"type": "string", "minLength": 1},
    "tag": _TEXT,
    "digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
    "pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
}


def values() -> dict[str, Any]:
    """Return the schema of the chart's values."""
    config = schema_of(GatewayConfig, "")
    members = {
        "image": _object(_IMAGE),
        "config": {"$ref": config["$ref"]},
        "redisSecret": {"type": "string", "minLength": 1},
        "lineage": _object({"kubernetes": {"type": "boolean"}}),
        "actions": _object({"namespaces": {"type": "array", "items": _TEXT}}),
        "nodeSelector": {"type": "object", "additionalProperties": _TEXT},
        "tolerations": {"type": "array", "items": {"type": "object"}},
        "priorityClassName": _TEXT,
        "resources": {"type": "object"},
        "global": {"type": "object"},
    }
    whole = {"title": "davylamp's values", **_object(members), "$defs": config["$defs"]}
    return {"$schema": "http://json-schema.org/draft-07/schema#", **whole}


def _object(members: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": members, "additionalProperties": False}


if __name__ == "__main__":
    FILE.write_text(json.dumps(values(), indent=2) + "\n")
