"""One signature file to one Signature; every mistake is named with file, line and column."""

from enum import StrEnum

from davylamp.signatures.model import (
    FAMILY,
    Category,
    Condition,
    EventCondition,
    JsonCondition,
    Kind,
    Maturity,
    NameCondition,
    Path,
    Role,
    Signature,
    SignatureId,
)
from davylamp.signatures.shape import Shape, compile_shape
from davylamp.signatures.source import Node, Place, Scalar, Sequence, Table, fault, read, suggest

NAME_FIELDS = ("tls.sni", "dns.query", "socks.host", "http.connect", "http.host")

_FIELDS = (
    "id",
    "rev",
    "title",
    "category",
    "dialect",
    "role",
    "kind",
    "fallback",
    "coins",
    "confidence",
    "severity",
    "maturity",
    "technique",
    "references",
    "detail",
    "when",
)
_MAX_TEXT = 400


def compile_signature(data: bytes, file: str) -> Signature:
    """Compile one signature file; raise PackError when it cannot be used as written."""
    fields = _Fields(_table(read(data, file)), _FIELDS)
    identity = fields.text("id")
    if identity.text != file.rpartition("/")[2].removesuffix(".yaml"):
        raise fault(
            identity.place,
            f"id {identity.text!r} and file name differ; name the file {identity.text}.yaml",
        )
    if not identity.text.replace("-", "").isalnum() or identity.text != identity.text.lower():
        raise fault(identity.place, "an id is lower-case words joined by '-'")
    condition = _condition(fields.node("when"))
    return Signature(
        id=SignatureId(identity.text),
        rev=fields.integer("rev", 1, 1_000_000),
        title=fields.text("title").text,
        category=fields.choice("category", Category),
        dialect=fields.text("dialect").text,
        role=fields.choice("role", Role),
        confidence=fields.integer("confidence", 0, 100),
        severity=fields.integer("severity", 1, 4),
        maturity=fields.choice("maturity", Maturity),
        detail=fields.text("detail").text,
        coins=fields.texts("coins"),
        references=fields.texts("references"),
        technique=fields.optional_text("technique"),
        condition=condition,
        kind=fields.choice("kind", Kind) if fields.optional("kind") else _default_kind(condition),
        fallback=fields.flag("fallback"),
    )


def _default_kind(condition: Condition) -> Kind:
    match condition:
        case JsonCondition():
            return Kind.MESSAGE
        case NameCondition():
            return Kind.NAME
        case EventCondition():
            return Kind.EVENT


# --- conditions ---------------------------------------------------------------------------


def _condition(node: Node) -> Condition:
    table = _table(node)
    if len(table.entries) != 1:
        raise fault(node.place, "'when' has exactly one of: json, name, event")
    key, value = table.entries[0]
    match key.text:
        case "json":
            return _json(_Fields(_table(value), ("method", "members", "coin")))
        case "name":
            return _name(_Fields(_table(value), ("field", "list")))
        case "event":
            return EventCondition(_text(value).text)
        case _:
            hint = suggest(key.text, ("json", "name", "event"))
            raise fault(key.place, f"{key.text!r} is not a condition; {hint}")


def _json(fields: "_Fields") -> JsonCondition:
    method = fields.optional("method")
    members = fields.optional("members")
    if method is None and members is None:
        raise fault(fields.place, "write a method, the members, or both")
    shape = compile_shape(members) if members else Shape(lambda _value: True)
    if method is None and not shape.members:
        raise fault(
            fields.place, "without a method, 'members' is a mapping with at least one member"
        )
    coin = fields.optional("coin")
    where = _Fields(_table(coin), ("wallet", "algo")) if coin else None
    return JsonCondition(
        methods=_methods(method) if method else (),
        members=shape,
        wallet_at=_path(where.optional_text("wallet")) if where else (),
        algo_at=_path(where.optional_text("algo")) if where else (),
    )


def _methods(node: Node) -> tuple[str, ...]:
    """Read one method, or a list of methods that share a shape."""
    items = node.items if isinstance(node, Sequence) else (node,)
    names = tuple(_text(item).text for item in items)
    if len(set(names)) != len(names) or not names:
        raise fault(node.place, "'method' is a name, or a list of different names")
    for name in names:
        if name.endswith(FAMILY) and ("." in name.removesuffix(FAMILY) or name == FAMILY):
            raise fault(node.place, f"{name!r}: write one word before '.*', as 'mining.*'")
    return names


def _path(text: str) -> Path:
    steps = text.split(".") if text else []
    return tuple(int(step) if step.isdecimal() else step for step in steps)


def _name(fields: "_Fields") -> NameCondition:
    field = fields.text("field")
    if field.text not in NAME_FIELDS:
        raise fault(field.place, f"{field.text!r}: {suggest(field.text, NAME_FIELDS)}")
    return NameCondition(field.text, fields.text("list").text)


# --- reading fields -----------------------------------------------------------------------


class _Fields:
    """A mapping whose keys are known beforehand."""

    def __init__(self, table: Table, known: tuple[str, ...]) -> None:
        self.place: Place = table.place
        self._values = {key.text: value for key, value in table.entries}
        for key, _ in table.entries:
            if key.text not in known:
                raise fault(key.place, f"unknown field {key.text!r}; {suggest(key.text, known)}")

    def optional(self, name: str) -> Node | None:
        return self._values.get(name)

    def node(self, name: str) -> Node:
        value = self._values.get(name)
        if value is None:
            raise fault(self.place, f"the field {name!r} is missing; docs/signatures.md has a list")
        return value

    def text(self, name: str) -> Scalar:
        return _text(self.node(name))

    def optional_text(self, name: str) -> str:
        value = self._values.get(name)
        return _text(value).text if value else ""

    def texts(self, name: str) -> tuple[str, ...]:
        value = self._values.get(name)
        if value is None:
            return ()
        if not isinstance(value, Sequence):
            raise fault(value.place, f"{name!r} is a list; write it as [one, two]")
        return tuple(_text(item).text for item in value.items)

    def integer(self, name: str, low: int, high: int) -> int:
        scalar = self.text(name)
        value = scalar.constant()
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise fault(scalar.place, f"{name!r} is a whole number from {low} to {high:,}")
        return value

    def flag(self, name: str) -> bool:
        node = self._values.get(name)
        if node is None:
            return False
        value = _text(node).constant()
        if not isinstance(value, bool):
            raise fault(node.place, f"{name!r} is true or false")
        return value

    def choice[E: StrEnum](self, name: str, kind: type[E]) -> E:
        scalar = self.text(name)
        try:
            return kind(scalar.text)
        except ValueError:
            hint = suggest(scalar.text, [member.value for member in kind])
            raise fault(scalar.place, f"{name!r} cannot be {scalar.text!r}; {hint}") from None


def _text(node: Node) -> Scalar:
    if not isinstance(node, Scalar) or not node.text or len(node.text) > _MAX_TEXT:
        raise fault(node.place, f"a text of 1 to {_MAX_TEXT} characters was expected here")
    return node


def _table(node: Node) -> Table:
    if not isinstance(node, Table):
        raise fault(node.place, "a mapping was expected here: lines of 'key: value'")
    return node
