"""The JSON Schema of a signature file, made from the language's records.

For editors, and for whoever checks a pack without davylamp. It accepts what the loader accepts, up
to what no schema says: that a list exists, that an id is its file's name, that a combination needs
something that is there.
"""

from davylamp.signatures.language import CONDITION, MAX_LITERAL, SIGNATURE
from davylamp.signatures.shape import MAX_SHAPE_DEPTH, MORE, OPTIONAL, Takes, operators
from davylamp.signatures.spec import (
    MAX_TEXT,
    Choice,
    Flag,
    Literals,
    Nested,
    OneCondition,
    Record,
    ShapeOf,
    SomeConditions,
    Text,
    Texts,
    Value,
    Whole,
)
from davylamp.signatures.words import SIZE_PATTERN, words

type Schema = dict[str, object]

SCHEMA_ID = "https://davylamp.example/schema/signature-1.json"

_SHAPE: Schema = {"$ref": "#/$defs/shape"}
_CONDITION: Schema = {"$ref": "#/$defs/condition"}
_CONSTANT: Schema = {"type": ["string", "number", "boolean", "null"]}


def signature_schema() -> Schema:
    """Return the schema as an object that JSON can hold."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "davylamp signature",
        **_record(SIGNATURE),
        "$defs": {"condition": _condition(), "shape": _shape(), "item": _item()},
    }


def _record(record: Record) -> Schema:
    schema: Schema = {
        "description": record.says,
        "type": "object",
        "additionalProperties": False,
        "properties": {
            field.name: {"description": field.says, **_value(field.value)}
            for field in record.fields
        },
    }
    if required := [field.name for field in record.fields if field.required]:
        schema["required"] = required
    if record.needs:
        schema["anyOf"] = [{"required": [name]} for name in record.needs]
    return schema


def _condition() -> Schema:
    return {**_record(CONDITION), "minProperties": 1, "maxProperties": 1}


def _value(value: Value) -> Schema:
    match value:
        case Text() | Texts() | Whole() | Choice() | Flag() | Literals():
            return _scalar(value)
        case ShapeOf(an_object):
            schema: Schema = {"allOf": [_SHAPE, {"type": "object"}]} if an_object else _SHAPE
        case Nested(record):
            schema = _record(record)
        case OneCondition():
            schema = _CONDITION
        case SomeConditions():
            schema = {"type": "array", "minItems": 1, "items": _CONDITION}
    return schema


def _scalar(value: Text | Texts | Whole | Choice | Flag | Literals) -> Schema:
    schema: Schema
    match value:
        case Text(longest, pattern):
            schema = _text(longest, pattern)
        case Texts(alone, pattern):
            schema = _texts(_text(MAX_TEXT, pattern), alone=alone)
        case Whole(low, high):
            schema = {"type": "integer", "minimum": low, "maximum": high}
        case Choice(known):
            schema = {"enum": list(known)}
        case Flag():
            schema = {"type": "boolean"}
        case Literals(least, many):
            schema = _literals(least, many=many)
    return schema


def _texts(text: Schema, *, alone: bool) -> Schema:
    several: Schema = {"type": "array", "items": text}
    if not alone:
        return several
    return {"anyOf": [text, {**several, "minItems": 1, "uniqueItems": True}]}


def _text(longest: int, pattern: str) -> Schema:
    schema: Schema = {"type": "string", "minLength": 1, "maxLength": longest}
    return {**schema, "pattern": pattern} if pattern else schema


def _literals(least: int, *, many: bool) -> Schema:
    pairs = f"^\\s*([0-9A-Fa-f]{{2}}\\s*){{{least},{MAX_LITERAL}}}$"
    # A character that is not ASCII takes more than a byte: how many bytes they are is not asked.
    text = f"^([\\x00-\\x7f]{{{least},{MAX_LITERAL}}}|[\\s\\S]*[^\\x00-\\x7f][\\s\\S]*)$"
    one: Schema = {
        "anyOf": [
            {"type": "string", "pattern": text, "maxLength": MAX_LITERAL},
            {
                "type": "object",
                "additionalProperties": False,
                "required": ["hex"],
                "properties": {"hex": {"type": "string", "pattern": pairs}},
            },
        ]
    }
    if not many:
        return one
    return {"anyOf": [one, {"type": "array", "minItems": 1, "items": one}]}


def _word_pattern(*, may_be_missing: bool) -> str:
    plain = "|".join(name for name, _, sized in words() if not sized)
    sized = "|".join(name for name, _, sized in words() if sized)
    word = f"\\s*({plain}|({sized})(:{SIZE_PATTERN})?)\\s*"
    return f"^{word}(\\|{word})*{'[?]?' if may_be_missing else ''}$"


def _shape() -> Schema:
    return {
        "description": f"What a JSON value looks like; at most {MAX_SHAPE_DEPTH} deep.",
        "anyOf": [
            {"type": "string", "pattern": _word_pattern(may_be_missing=False)},
            {"type": "null"},
            {"type": "array", "items": {"$ref": "#/$defs/item"}},
            {"type": "object", "propertyNames": {"not": {"pattern": "^\\$"}},
             "additionalProperties": _SHAPE},
            *(_operator(key, operator.takes, operator.says) for key, operator in operators()),
        ],
    }  # fmt: skip


def _item() -> Schema:
    return {
        "description": "An item of a list: a shape, or one that may be missing at its end.",
        "anyOf": [
            {"type": "string", "pattern": _word_pattern(may_be_missing=True)},
            {"const": MORE},
            _operator(OPTIONAL, Takes.SHAPE, "this shape, or nothing where the list ends"),
            _SHAPE,
        ],
    }


def _operator(key: str, takes: Takes, says: str) -> Schema:
    text: Schema = {"type": "string", "minLength": 1}
    match takes:
        case Takes.CONSTANT:
            inner: Schema = _CONSTANT
        case Takes.CONSTANTS:
            inner = {"type": "array", "minItems": 1, "items": _CONSTANT}
        case Takes.TEXTS:
            inner = {"anyOf": [text, {"type": "array", "minItems": 1, "items": text}]}
        case Takes.SHAPE:
            inner = _SHAPE
        case Takes.SHAPES:
            inner = {"type": "array", "minItems": 1, "items": _SHAPE}
    return {
        "description": says,
        "type": "object",
        "additionalProperties": False,
        "required": [key],
        "properties": {key: inner},
    }
