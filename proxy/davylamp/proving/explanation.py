"""What a signature says, where it can match, and where the indexes have it."""

from collections.abc import Iterator

from davylamp.flow import Direction
from davylamp.signatures.language import EVENTS
from davylamp.signatures.model import (
    BytesCondition,
    CertificateCondition,
    CombinedCondition,
    Condition,
    EndpointCondition,
    EventCondition,
    HttpCondition,
    JsonCondition,
    LineCondition,
    NameCondition,
    Signature,
    TlsCondition,
)
from davylamp.signatures.pack import Pack
from davylamp.signatures.source import Node, Scalar, Sequence, Table

_SAYS = {
    Direction.ORIGINATOR: "said by the client",
    Direction.RESPONDER: "said by the server",
    None: "said by either side",
}
_JSON = (
    "a line of its own, or a value right behind another, in the first 16 KiB of a side or",
    "wherever the kernel brings a message of the flow back;",
    "an HTTP body; a WebSocket message; JSON under base64 or a one-byte XOR;",
    "all of it also in SOCKS, CONNECT, behind a PROXY header, and in TLS that is opened",
)


def where(condition: Condition) -> tuple[str, ...]:
    """Return where on a flow a condition is looked for, in lines."""
    match condition:
        case JsonCondition():
            return (f"JSON messages, {_SAYS[condition.direction]}:", *(f"  {one}" for one in _JSON))
        case CombinedCondition():
            inner = (line for leaf in condition.leaves() for line in where(leaf.condition))
            sized = any(True for _ in condition.sized())
            sizes = ("  the sizes of its first flights, seen from its beginning",) if sized else ()
            told = (*(f"  {one}" for one in inner), *sizes)
            return ("one flow, both directions, in any order:", *told)
        case _:
            return (_place(condition),)


def _place(condition: Condition) -> str:
    match condition:
        case LineCondition(direction):
            place = f"lines of text, {_SAYS[direction]}, begun in the first 16 KiB; also in tunnels"
        case BytesCondition(direction):
            place = f"a stream's first bytes, {_SAYS[direction]}; also in tunnels"
        case HttpCondition(direction):
            place = f"heads of HTTP messages, {_SAYS[direction]}; also in tunnels and opened TLS"
        case TlsCondition():
            place = "ClientHellos; also in tunnels"
        case NameCondition(field):
            place = f"host names in {field}"
        case EndpointCondition():
            place = "the address and port that a TCP flow goes to, told with its first bytes"
        case CertificateCondition():
            place = "server certificates: in the clear up to TLS 1.2, and in TLS that is opened"
        case EventCondition(event):
            place = f"the engine's event {event}: {EVENTS[event]}"
        case JsonCondition() | CombinedCondition():
            place = ""
    return place


def filed(pack: Pack, signature: Signature) -> list[tuple[str, int]]:
    """Return where a signature is filed in the pack's indexes, and how many are filed there."""
    own: set[str] = {signature.id}
    if isinstance(signature.condition, CombinedCondition):
        own |= {leaf.written for leaf in signature.condition.leaves()}
    return [
        (word, len(signatures))
        for word, signatures in pack.indexes.places()
        if any(one.id in own for one in signatures)
    ]


def outline(node: Node, indent: int = 0) -> Iterator[str]:
    """Yield a node as YAML, a line each."""
    pad = " " * indent
    match node:
        case Scalar(text):
            yield f"{pad}{text}"
        case Sequence(items) if all(isinstance(item, Scalar) for item in items):
            yield f"{pad}[{', '.join(item.text for item in items if isinstance(item, Scalar))}]"
        case Sequence(items):
            for item in items:
                first, *rest = outline(item, indent + 2)
                yield f"{pad}- {first.strip()}"
                yield from rest
        case Table(entries):
            for key, value in entries:
                first, *rest = outline(value, indent + 2) if _has_parts(value) else ("",)
                if rest or isinstance(value, Table):
                    yield f"{pad}{key.text}:"
                    yield from (first, *rest)
                else:
                    yield f"{pad}{key.text}: {first.strip()}"


def _has_parts(node: Node) -> bool:
    return isinstance(node, Scalar) or bool(
        node.items if isinstance(node, Sequence) else node.entries
    )
