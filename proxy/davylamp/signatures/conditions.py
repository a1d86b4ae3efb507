"""What stands under ``when``, compiled."""

from collections.abc import Callable
from itertools import chain

from davylamp.flow import Direction
from davylamp.signatures.fields import Fields
from davylamp.signatures.flights import MAX_FLIGHTS, Sized
from davylamp.signatures.language import (
    CONDITION,
    DEFAULT_ENOUGH,
    DEFAULT_WITHIN,
    LEAST_FLIGHTS,
    MAX_LEAVES,
    MIN_ANCHOR,
)
from davylamp.signatures.model import (
    FAMILY,
    Absent,
    AllOf,
    AnyOf,
    BytesCondition,
    CertificateCondition,
    CombinedCondition,
    Condition,
    EndpointCondition,
    EventCondition,
    HttpCondition,
    JsonCondition,
    Leaf,
    LineCondition,
    NameCondition,
    Path,
    Simple,
    TlsCondition,
    Tree,
)
from davylamp.signatures.shape import Shape, compile_shape
from davylamp.signatures.source import Node, Place, Scalar, Table, canonical, fault, suggest
from davylamp.signatures.strings import check_string, check_strings

ANY = "*"
_DIRECTIONS = {"client": Direction.ORIGINATOR, "server": Direction.RESPONDER}
_COMBINED = ("any_of", "all_of", "not")
_SIZED = "flights"
_MAX_DEPTH = 3


def compile_condition(node: Node) -> Condition:
    """Compile the one condition under ``when``; raise PackError where it cannot be met as meant."""
    key = _key(node)
    if key.text == _SIZED:
        raise fault(key.place, "sizes alone are met by chance; put them into 'all_of' with others")
    if key.text not in _COMBINED:
        return _simple(node)
    tree = _tree(node, 0)
    if not isinstance(tree, AllOf | AnyOf):
        raise fault(key.place, "a 'not' alone is met by everything; put it into 'all_of'")
    if not _is_positive(tree):
        raise fault(
            key.place,
            "it can be met by sizes, or by what is not there, alone; add what must be there",
        )
    condition = CombinedCondition(tree)
    if sum(1 for _ in chain(condition.leaves(), condition.sized())) > MAX_LEAVES:
        raise fault(key.place, f"more than {MAX_LEAVES} conditions; make several signatures of it")
    return condition


def _key(node: Node) -> Scalar:
    """Return the one key of a condition."""
    names = CONDITION.names
    if not isinstance(node, Table):
        raise fault(node.place, "a mapping was expected here: lines of 'key: value'")
    if len(node.entries) != 1:
        raise fault(node.place, f"write exactly one of: {', '.join(names)}")
    key = node.entries[0][0]
    if key.text not in names:
        raise fault(key.place, f"{key.text!r} is not a condition; {suggest(key.text, names)}")
    return key


def _simple(node: Node) -> Simple:
    key = _key(node)
    if key.text == "event":
        return EventCondition(Fields(node, CONDITION).word("event"))
    if key.text in (*_COMBINED, _SIZED):
        raise fault(key.place, f"{key.text!r} cannot stand inside 'not'; write one condition")
    fields = Fields(node, CONDITION).nested(key.text)
    assert fields is not None
    return _COMPILERS[key.text](fields)


# --- combinations -------------------------------------------------------------------------


def _tree(node: Node, depth: int) -> Tree:
    key = _key(node)
    if depth > _MAX_DEPTH:
        raise fault(key.place, f"nested deeper than {_MAX_DEPTH}; make several signatures of it")
    fields = Fields(node, CONDITION)
    match key.text:
        case "all_of":
            return AllOf(tuple(_tree(one, depth + 1) for one in fields.conditions("all_of")))
        case "any_of":
            return AnyOf(tuple(_tree(one, depth + 1) for one in fields.conditions("any_of")))
        case "not":
            inner = fields.nested("not")
            assert inner is not None
            leaf = _leaf(inner.node("condition"))
            if isinstance(leaf.condition, CertificateCondition):
                raise fault(
                    inner.node("condition").place,
                    "that a certificate was not shown says nothing: TLS 1.3 hides it; "
                    "ask for what must be there",
                )
            enough = inner.whole("enough", DEFAULT_ENOUGH)
            return Absent(leaf, enough, _direction_of(leaf.condition))
        case "flights":
            inner = fields.nested("flights")
            assert inner is not None
            return _sized(inner)
        case _:
            return _leaf(node)


def _leaf(node: Node) -> Leaf:
    return Leaf(canonical(node), _simple(node))


def _direction_of(condition: Simple) -> Direction | None:
    """Return who alone can say what a condition asks for; None where either can."""
    match condition:
        case JsonCondition() | LineCondition() | BytesCondition() | HttpCondition():
            return condition.direction
        case TlsCondition() | EndpointCondition():
            return Direction.ORIGINATOR
        case CertificateCondition():
            return Direction.RESPONDER
        case NameCondition(field):
            return None if field == "dns.query" else Direction.ORIGINATOR
        case EventCondition():
            return None


def _is_positive(tree: Tree) -> bool:
    """Tell whether every way to meet a tree needs something that was seen."""
    match tree:
        case Leaf():
            return True
        case AllOf(parts):
            return any(map(_is_positive, parts))
        case AnyOf(parts):
            return all(map(_is_positive, parts))
        case Absent() | Sized():
            return False


def _sized(fields: Fields) -> Sized:
    flights: list[tuple[Direction, int, int | None]] = []
    texts = fields.texts("sizes")
    place = fields.node("sizes").place
    if not LEAST_FLIGHTS <= len(texts) <= MAX_FLIGHTS:
        raise fault(
            place, f"write the sizes of {LEAST_FLIGHTS} to {MAX_FLIGHTS} flights, the first first"
        )
    for text in texts:
        side, _, size = text.partition(":")
        low, dash, high = size.partition("-")
        most = int(high) if high else None if dash else int(low)
        if most == 0:
            raise fault(place, f"{text!r}: a flight has a byte at least")
        if most is not None and most < int(low):
            raise fault(place, f"{text!r} is empty; write the smaller number first")
        if flights and flights[-1][0] is _DIRECTIONS[side]:
            raise fault(place, f"{text!r}: flights are by turns; add up what one side sends")
        flights.append((_DIRECTIONS[side], int(low), most))
    return Sized(tuple(flights))


def surest(condition: Condition) -> int:
    """Return how sure a condition can be by itself, 0 to 100, whatever its signature says."""
    match condition:
        case CertificateCondition():
            return condition.surest
        case CombinedCondition(tree):
            return _surest(tree)
        case _:
            return 100


def _surest(tree: Tree) -> int:
    match tree:
        case Leaf():
            return surest(tree.condition)
        case AllOf(parts):
            return max(map(_surest, parts))
        case AnyOf(parts):
            return min(map(_surest, parts))
        case Absent() | Sized():
            return 0


# --- simple conditions --------------------------------------------------------------------


def _json(fields: Fields) -> JsonCondition:
    members = fields.optional("members")
    shape = compile_shape(members) if members else Shape(lambda _value: True)
    methods = fields.texts("method")
    if not methods and not shape.members:
        raise fault(
            fields.place, "without a method, 'members' is a mapping with at least one member"
        )
    for name in methods:
        word = name.removesuffix(FAMILY)
        if ANY in word or (name != word and (not word or "." in word)):
            node = fields.optional("method")
            place = node.place if node else fields.place
            raise fault(place, f"{name!r}: a '*' stands behind one word and a dot, as 'mining.*'")
    where = fields.nested("coin")
    return JsonCondition(
        methods=methods,
        members=shape,
        wallet_at=_path(where.text("wallet")) if where else (),
        algo_at=_path(where.text("algo")) if where else (),
        direction=_direction(fields),
    )


def _path(text: str) -> Path:
    steps = text.split(".") if text else []
    return tuple(int(step) if step.isdecimal() else step for step in steps)


def _name(fields: Fields) -> NameCondition:
    return NameCondition(fields.word("field"), fields.text("list"))


def _line(fields: Fields) -> LineCondition:
    split, shape = fields.text("split"), fields.optional("fields")
    if bool(split) is not (shape is not None):
        raise fault(fields.place, "'split' and 'fields' go together: write both or neither")
    starts, ends = fields.literals("starts_with"), fields.literals("ends_with")
    contains = fields.literals("contains")
    for part in chain(starts, ends, contains):
        if b"\n" in part or b"\r" in part:
            raise fault(fields.place, "a line has no line break in it; leave it out")
    if shape is not None:
        check_strings(shape, "a field of a line")
    return LineCondition(
        _direction(fields),
        starts,
        ends,
        contains,
        split,
        compile_shape(shape) if shape else None,
    )


def _bytes(fields: Fields) -> BytesCondition:
    starts, contains = fields.literals("starts_with"), fields.literals("contains")
    within = fields.whole("within", DEFAULT_WITHIN)
    if "within" in fields and not contains:
        raise fault(fields.place, "'within' is about 'contains': write that too, or leave it out")
    for part in contains:
        if len(part) > within:
            raise fault(
                fields.place,
                f"within {within} bytes there are no {len(part)}; write a greater 'within'",
            )
    return BytesCondition(_direction(fields), starts, contains, within)


def _http(fields: Fields) -> HttpCondition:
    direction = _direction(fields) or Direction.ORIGINATOR
    methods, paths = fields.texts("method"), fields.texts("path")
    hosts = tuple(host.lower() for host in fields.texts("host"))
    headers = fields.optional("headers")
    shape = compile_shape(headers) if headers else None
    if direction is Direction.RESPONDER and (methods or paths or hosts):
        raise fault(fields.place, "a response has neither method, path nor host: ask for headers")
    for path in paths:
        if path.endswith(ANY) and len(path) <= MIN_ANCHOR:
            raise fault(
                fields.place, f"{path!r}: write at least {MIN_ANCHOR} characters before '*'"
            )
    if shape is not None:
        _headers(shape, headers, bool(paths or hosts))
    return HttpCondition(direction, methods, paths, hosts, shape)


def _headers(shape: Shape, node: Node | None, anchored: bool) -> None:
    place = node.place if node else Place("", 1, 1)
    if not isinstance(node, Table) or not (shape.members or anchored):
        raise fault(place, "'headers' is a mapping with at least one field that must be there")
    for key, value in node.entries:
        if key.text != key.text.lower():
            raise fault(key.place, f"write the field's name in lower case: {key.text.lower()!r}")
        check_string(value, "a header field")


def _tls(fields: Fields) -> TlsCondition:
    return TlsCondition(
        ja4=fields.texts("ja4"),
        sni=tuple(name.lower() for name in fields.texts("sni")),
        alpn=fields.texts("alpn"),
        names_server=fields.flag("names_server"),
        ech=fields.flag("ech"),
    )


def _endpoint(fields: Fields) -> EndpointCondition:
    return EndpointCondition(fields.text("list"))


def _certificate(fields: Fields) -> CertificateCondition:
    return CertificateCondition(
        digests=fields.texts("sha256"),
        names=tuple(name.lower().rstrip(".") for name in fields.texts("name")),
        issuers=tuple(name.lower() for name in fields.texts("issuer")),
        self_signed=fields.flag("self_signed"),
    )


def _direction(fields: Fields) -> Direction | None:
    return _DIRECTIONS.get(fields.word("from"))


_COMPILERS: dict[str, Callable[[Fields], Simple]] = {
    "json": _json,
    "name": _name,
    "line": _line,
    "bytes": _bytes,
    "http": _http,
    "tls": _tls,
    "endpoint": _endpoint,
    "certificate": _certificate,
}
assert set(_COMPILERS) | {"event", *_COMBINED, _SIZED} == set(CONDITION.names)
