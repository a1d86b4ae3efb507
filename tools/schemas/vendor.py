# ruff: noqa: INP001, SIM905 - a program; words in a line read better than a list
"""Write tests/data/schemas from the packages that carry the official schemas.

  npm pack @elastic/ecs@9.4.0 && tar xzf elastic-ecs-9.4.0.tgz
  uv run --with ocsf-json-schema==1.2.0 tools/schemas/vendor.py package

Only what the renderings may use is kept: an attribute that is not in the result is refused.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

INTO = Path(__file__).resolve().parents[2] / "tests" / "data" / "schemas"
OCSF = "1.8.0"
OBJECTS = frozenset(
    "analytic attack container evidences feature finding_info fingerprint image ja4_fingerprint "
    "key_value_object metadata network_connection_info network_endpoint object observable policy "
    "product resource_details sub_technique technique tls".split()
)
ECS_ROOTS = frozenset(
    "@timestamp message labels tags ecs event rule source destination network threat container "
    "orchestrator tls trace span observer related".split()
)
ECS_WITHOUT = {"geo", "as", "user", "x509", "os", "nat", "enrichments", "indicator", "server"}
ECS_TYPES: dict[str, dict[str, Any]] = {
    "date": {"type": "string", "format": "date-time"},
    "long": {"type": "integer"},
    "integer": {"type": "integer"},
    "float": {"type": "number"},
    "scaled_float": {"type": "number"},
    "boolean": {"type": "boolean"},
    "ip": {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]},
}


def main(package: Path) -> None:
    """Write every schema."""
    schema = get_ocsf_schema(version=OCSF)
    for name in ("detection_finding", "network_activity", "base_event"):
        write(f"ocsf-{OCSF}-{name}.json", ocsf(schema, name))
    write("ecs-9.4.0.json", ecs(package))


def write(name: str, schema: dict[str, Any]) -> None:
    """Write one schema, a line for each of its members' members."""
    text = json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False)
    (INTO / name).write_text(text + "\n", encoding="utf-8")


def ocsf(schema: Any, name: str) -> dict[str, Any]:
    """Return the class with the objects in use; attributes of other objects are left out."""
    profiles = ["security_control", "container"]
    whole = OcsfJsonSchemaEmbedded(schema).get_class_schema(class_name=name, profiles=profiles)
    whole["$defs"] = {key: value for key, value in whole["$defs"].items() if key in OBJECTS}
    for part in (whole, *whole["$defs"].values()):
        part["properties"] = {
            key: bare(value) for key, value in part.get("properties", {}).items() if kept(value)
        }
    return dict(whole)


def kept(attribute: dict[str, Any]) -> bool:
    """Say whether an attribute is a plain one, or of an object in use."""
    found = attribute.get("$ref") or attribute.get("items", {}).get("$ref", "")
    return not found or found.rsplit("/", 1)[-1] in OBJECTS


def bare(attribute: dict[str, Any]) -> dict[str, Any]:
    """Return an attribute without its prose."""
    return {key: value for key, value in attribute.items() if key not in {"title", "description"}}


def ecs(package: Path) -> dict[str, Any]:
    """Return a JSON Schema of the field sets in use, from the package's flat list of fields."""
    script = "console.log(JSON.stringify(require(process.argv[1]).EcsFlat))"
    flat_js = str((package / "build" / "commonjs" / "ecs_flat.js").resolve())
    done = subprocess.run(  # noqa: S603
        ["node", "-e", script, flat_js],  # noqa: S607
        check=True,
        capture_output=True,
    )
    fields: dict[str, dict[str, Any]] = json.loads(done.stdout)
    root = closed("Elastic Common Schema 9.4.0, the field sets that davylamp uses")
    for name, field in sorted(fields.items()):
        parts = name.split(".")
        if parts[0] in ECS_ROOTS and not ECS_WITHOUT & set(parts[1:]):
            put(root, parts, one(field))
            if field.get("required") and len(parts) == 1:
                root.setdefault("required", []).append(name)
    root["properties"]["davylamp"] = {"type": "object"}  # a product's own, as "Custom fields" says
    return root


def put(root: dict[str, Any], parts: list[str], field: dict[str, Any]) -> None:
    """Put a field where its dotted name says."""
    here = root
    for part in parts[:-1]:
        if "properties" not in here["properties"].get(part, {}):
            here["properties"][part] = closed()
        here = here["properties"][part]
    known = here["properties"].get(parts[-1])
    if known is None:
        here["properties"][parts[-1]] = field


def closed(title: str = "") -> dict[str, Any]:
    """Return an object that takes only what is put into it."""
    made: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": {}}
    return made | ({"title": title} if title else {})


def one(field: dict[str, Any]) -> dict[str, Any]:
    """Return a field's JSON Schema; by Elasticsearch's types, text where it is nothing else."""
    if field["type"] in {"object", "flattened"}:
        return {"type": "object", "additionalProperties": {"type": "string"}}
    made = dict(ECS_TYPES.get(field["type"], {"type": "string"}))
    allowed = [value["name"] for value in field.get("allowed_values", [])]
    if allowed:
        made["enum"] = allowed
    return {"type": "array", "items": made} if "array" in field["normalize"] else made


if __name__ == "__main__":
    main(Path(sys.argv[1]))
