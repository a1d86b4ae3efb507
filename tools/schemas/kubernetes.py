# ruff: noqa: INP001 - a program
"""Write tests/data/schemas/kubernetes-1.34.json: the kinds that deploy/kubernetes uses, strict.

  uv run --with kubernetes-validate==1.37.0 tools/schemas/kubernetes.py

A member that the API does not know is refused, as `kubectl --validate=strict` does; prose is left
out, and every kind that the ones in use do not lead to.
"""

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

INTO = Path(__file__).resolve().parents[2] / "tests" / "data" / "schemas"
VERSION = "1.34"
KINDS = {
    "v1/Namespace": "io.k8s.api.core.v1.Namespace",
    "v1/ServiceAccount": "io.k8s.api.core.v1.ServiceAccount",
    "v1/ConfigMap": "io.k8s.api.core.v1.ConfigMap",
    "v1/Secret": "io.k8s.api.core.v1.Secret",
    "apps/v1/DaemonSet": "io.k8s.api.apps.v1.DaemonSet",
    "rbac.authorization.k8s.io/v1/ClusterRole": "io.k8s.api.rbac.v1.ClusterRole",
    "rbac.authorization.k8s.io/v1/ClusterRoleBinding": "io.k8s.api.rbac.v1.ClusterRoleBinding",
    "rbac.authorization.k8s.io/v1/RoleBinding": "io.k8s.api.rbac.v1.RoleBinding",
}
REFERENCE = re.compile(r'#/\$defs/([^"]+)"')


def main() -> None:
    """Write the file."""
    folder = files("kubernetes_validate") / "kubernetes-json-schema"
    text = (folder / f"v{VERSION}.0-local-strict" / "_definitions.json").read_text("utf-8")
    known = json.loads(text)["$defs"]
    kept: dict[str, Any] = {}
    waiting = list(KINDS.values())
    while waiting:
        name = waiting.pop()
        if name not in kept:
            kept[name] = without_prose(known[name])
            waiting += REFERENCE.findall(json.dumps(known[name]))
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "kinds": {kind: f"#/$defs/{name}" for kind, name in KINDS.items()},
        "$defs": kept,
    }
    whole = json.dumps(schema, indent=1, sort_keys=True).replace("/api/_definitions.json#", "#")
    (INTO / f"kubernetes-{VERSION}.json").write_text(whole + "\n", encoding="utf-8")


def without_prose(part: Any) -> Any:
    """Leave out what only people read."""
    if isinstance(part, dict):
        return {
            key: without_prose(value)
            for key, value in part.items()
            if not (key == "description" and isinstance(value, str))
            and not key.startswith("x-kubernetes")
        }
    return [without_prose(one) for one in part] if isinstance(part, list) else part


if __name__ == "__main__":
    main()
