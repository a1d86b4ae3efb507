"""docs/signature-reference.md, made from the language's records."""

from collections.abc import Iterator

from davylamp.signatures.language import CONDITION, EVENTS, MAX_LEAVES, SIGNATURE
from davylamp.signatures.shape import MAX_SHAPE_DEPTH, operators
from davylamp.signatures.spec import (
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
from davylamp.signatures.words import words

_HEAD = """\
# Signature reference

Every key of a signature, as the loader knows it. This page is made by
`davylamp pack schema --markdown` and a test holds it to that; [signatures.md](signatures.md)
explains the language, and `davylamp pack schema` prints the same for editors as a JSON Schema.
"""


def reference() -> str:
    """Return the page."""
    parts = [_HEAD, *_record("A signature", SIGNATURE), *_conditions(), *_shapes()]
    return "\n".join(parts).rstrip() + "\n"


def _conditions() -> Iterator[str]:
    yield f"## Conditions\n\n{CONDITION.says} A combination has at most {MAX_LEAVES} conditions.\n"
    yield "| condition | meaning |\n|---|---|"
    for field in CONDITION.fields:
        yield f"| `{field.name}` | {field.says} |"
    yield ""
    yield "### Events\n\n| event | noticed when |\n|---|---|"
    for event, says in EVENTS.items():
        yield f"| `{event}` | {says} |"
    yield ""
    for field in CONDITION.fields:
        if isinstance(field.value, Nested):
            yield from _record(f"`{field.name}`", field.value.record, level="###")


def _record(title: str, record: Record, level: str = "##") -> Iterator[str]:
    yield f"{level} {title}\n\n{record.says}"
    if record.needs:
        needs = ", ".join(f"`{name}`" for name in record.needs)
        yield f"At least one of: {needs}."
    yield "\n| key | value | meaning |\n|---|---|---|"
    for field in record.fields:
        name = f"`{field.name}`" + (" (required)" if field.required else "")
        yield f"| {name} | {_written(field.value)} | {field.says} |"
    yield ""
    for field in record.fields:
        if isinstance(field.value, Nested) and record is not CONDITION:
            yield from _record(f"{title}, `{field.name}`", field.value.record, level="####")


def _written(value: Value) -> str:
    match value:
        case Text() | Texts() | Whole() | Choice() | Flag() | Literals():
            return _scalar(value)
        case ShapeOf(an_object):
            word = "mapping of shapes" if an_object else "shape"
        case Nested():
            word = "mapping, below"
        case OneCondition():
            word = "condition"
        case SomeConditions():
            word = "list of conditions"
    return word


def _scalar(value: Text | Texts | Whole | Choice | Flag | Literals) -> str:
    match value:
        case Text():
            word = "text"
        case Texts(alone):
            word = "text, or list of texts" if alone else "list of texts"
        case Whole(low, high):
            word = f"{low:,} to {high:,}"
        case Choice(known):
            word = ", ".join(f"`{one}`" for one in known)
        case Flag():
            word = "`true`, `false`"
        case Literals(least, many):
            size = f"text or `{{hex: 16 03}}`, {least} to 64 bytes"
            word = f"{size}; or a list" if many else size
    return word


def _shapes() -> Iterator[str]:
    yield f"## Shapes\n\nAt most {MAX_SHAPE_DEPTH} deep.\n"
    yield "| write | a value that is |\n|---|---|"
    for name, says, sized in words():
        more = f", `{name}:8`, `{name}:1-`, `{name}:2-16`" if sized else ""
        yield f"| `{name}`{more} | {says} |"
    yield "| `string\\|null` | any one of several words |"
    yield "| `[a, b]` | a list of exactly two, of these shapes |"
    yield "| `[a, b?]` | the last ones may be missing |"
    yield "| `[a, {$optional: SHAPE}]` | the same for one that is not a word |"
    yield "| `[a, ...]` | more of the same may follow: one or more; `[a?, ...]` is none or more |"
    yield "| `{name: a, name?: b}` | an object with `name`; with `?`, if it has it at all |"
    for key, operator in operators():
        yield f"| `{{{key}: ...}}` with {operator.takes} | {operator.says} |"
