"""The JSON Schema and the reference page say what the loader does."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from davylamp.errors import PackError
from davylamp.paths import SIGNATURES
from davylamp.signatures.compile import compile_signature
from davylamp.signatures.reference import reference
from davylamp.signatures.schema import signature_schema

ROOT = Path(__file__).parents[2]
HEAD = (
    "{id: toy, rev: 1, title: t, category: mining, dialect: d, role: miner, confidence: 90,"
    " severity: 1, maturity: stable, detail: d, when: %s}"
)
ABSENT = "{not: {condition: {event: p2p.bitcoin}}}"


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    """Return a validator of the schema, which must be one itself."""
    schema = signature_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_files_are_current() -> None:
    """What is checked in is what `davylamp pack schema` prints today."""
    written = json.loads((SIGNATURES / "schema.json").read_text("utf-8"))
    assert written == signature_schema(), "run: davylamp pack schema > signatures/schema.json"
    page = (ROOT / "docs" / "signature-reference.md").read_text("utf-8")
    assert page == reference(), "run: davylamp pack schema --markdown"


def test_every_core_signature_fits_the_schema(validator: jsonschema.Draft202012Validator) -> None:
    """An editor finds no fault with what the loader takes."""
    files = sorted((SIGNATURES / "core").glob("*/*.yaml"))
    assert len(files) > 100
    for file in files:
        document = yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)
        assert [error.message for error in validator.iter_errors(document)] == [], file


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ("{json: {method: x}}", True),
        ("{json: {method: [x, y], from: client, members: {a?: {$not: any}, b: [hex:8]}}}", True),
        ("{json: {members: {a: strng}}}", False),
        ("{json: {}}", False),
        ("{line: {starts_with: 'JOB,', split: ',', fields: [{$const: JOB}, 'string?']}}", True),
        ("{line: {starts_with: abc}}", False),
        ("{line: {contains: abcdef}}", False),
        ("{bytes: {starts_with: {hex: 00 01 02 03}, contains: [x, {hex: ff}], within: 32}}", True),
        ("{bytes: {starts_with: {hex: 00 01 02}}}", False),
        ("{bytes: {starts_with: abcd, contains: x, within: 4096}}", False),
        ("{http: {method: POST, path: [/a/b, /long*], headers: {x-mine: any}}}", True),
        ("{http: {path: nope}}", False),
        ("{http: {method: GET}}", False),
        ("{tls: {ja4: t13i310900_e8f1e7e78f70_*, names_server: false}}", True),
        ("{tls: {ja4: nonsense}}", False),
        ("{event: ssh.baner}", False),
        ("{any_of: [{event: ssh.banner}, {all_of: [{event: p2p.levin}, ABSENT]}]}", True),
        ("{all_of: []}", False),
        ("{all_of: [{event: ssh.banner}], any_of: [{event: p2p.levin}]}", False),
        ("{not: {condition: {event: ssh.banner}, enough: 8}}", False),
    ],
)
def test_the_schema_and_the_loader_agree(
    validator: jsonschema.Draft202012Validator, when: str, fits: bool
) -> None:
    """What one takes the other takes, and what one refuses the other refuses."""
    text = HEAD % when.replace("ABSENT", ABSENT)
    document = yaml.load(text, Loader=yaml.CSafeLoader)
    assert validator.is_valid(document) is fits
    if fits:
        compile_signature(text.encode(), "toy.yaml")
    else:
        with pytest.raises(PackError, match=r"toy\.yaml:1:\d+"):
            compile_signature(text.encode(), "toy.yaml")
