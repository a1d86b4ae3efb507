"""Vectors: traffic in, and whether a signature must fire on it.

A vector file is a list of ``name``, ``source``, ``stream``, ``expect`` and ``also``. A step of the
stream is ``client`` or ``server`` bytes (text, or ``{hex: ...}``), a ``name`` seen in a field, an
``event``, the ``endpoint`` that the flow goes to, or the ``certificate`` (PEM) that a server showed
whoever opened the TLS around the stream. docs/signatures.md has an example. Callers
feed the steps to the engine; `feedings` gives the same bytes whole, byte by byte, and cut at every
boundary.
"""

from calendar import timegm
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from ipaddress import ip_address

from davylamp.flow import Direction
from davylamp.signatures.certificates import from_pem
from davylamp.signatures.language import EVENTS, NAME_FIELDS
from davylamp.signatures.source import Node, Place, Scalar, Sequence, Table, fault, read, suggest

_FIELDS = ("name", "source", "stream", "expect", "also")
_DIRECTIONS = {"client": Direction.ORIGINATOR, "server": Direction.RESPONDER}


@dataclass(frozen=True, slots=True)
class Bytes:
    """One end sends bytes."""

    direction: Direction
    data: bytes


@dataclass(frozen=True, slots=True)
class Name:
    """A host name was seen in ``field``, as ``tls.sni``."""

    field: str
    name: str


@dataclass(frozen=True, slots=True)
class Noticed:
    """The inspector noticed an event."""

    event: str


@dataclass(frozen=True, slots=True)
class Reached:
    """The flow goes to ``key``, an address and port, at ``now`` seconds since the epoch."""

    key: bytes
    now: float


@dataclass(frozen=True, slots=True)
class Shown:
    """A server showed this certificate, in DER, inside TLS that was opened."""

    der: bytes


type Step = Bytes | Name | Noticed | Reached | Shown


@dataclass(frozen=True, slots=True)
class Vector:
    """One example; ``fires`` says whether the signature must match it.

    ``also`` names the other signatures of its pack that match the stream; no others may.
    """

    name: str
    source: str
    steps: tuple[Step, ...]
    fires: bool
    place: Place
    also: tuple[str, ...] = ()


def parse_vectors(data: bytes, file: str) -> tuple[Vector, ...]:
    """Return the vectors of a file; raise PackError naming file, line and column."""
    node = read(data, file)
    if not isinstance(node, Sequence) or not node.items:
        raise fault(node.place, "a vector file is a list; begin each vector with '- name: ...'")
    return tuple(_vector(item) for item in node.items)


def feedings(steps: tuple[Bytes, ...]) -> Iterator[tuple[str, tuple[Bytes, ...]]]:
    """Yield the same stream cut differently, each with a word for messages.

    Whole as written; byte by byte; then, for every boundary inside a step, cut there once.
    """
    yield "whole", steps
    yield "byte by byte", byte_by_byte(steps)
    for number, step in enumerate(steps):
        for at in range(1, len(step.data)):
            halves = (
                Bytes(step.direction, step.data[:at]),
                Bytes(step.direction, step.data[at:]),
            )
            word = f"with step {number + 1} cut at byte {at}"
            yield word, (*steps[:number], *halves, *steps[number + 1 :])


def byte_by_byte(steps: tuple[Bytes, ...]) -> tuple[Bytes, ...]:
    """Return the same stream, a step a byte."""
    return tuple(
        Bytes(step.direction, step.data[at : at + 1])
        for step in steps
        for at in range(len(step.data))
    )


def _vector(node: Node) -> Vector:
    if not isinstance(node, Table):
        raise fault(node.place, "a vector is a mapping: name, source, stream, expect")
    for key, _ in node.entries:
        if key.text not in _FIELDS:
            raise fault(key.place, f"unknown field {key.text!r}; {suggest(key.text, _FIELDS)}")
    name, expect, stream = node.get("name"), node.get("expect"), node.get("stream")
    source = node.get("source")
    if not isinstance(name, Scalar) or not isinstance(source, Scalar):
        raise fault(node.place, "write 'name' (what is shown) and 'source' (where it is from)")
    if not isinstance(expect, Scalar) or expect.text not in ("match", "none"):
        raise fault((expect or node).place, "'expect' is match or none")
    if not isinstance(stream, Sequence) or not stream.items:
        raise fault((stream or node).place, "'stream' is a list of steps: client, server, ...")
    return Vector(
        name=name.text,
        source=source.text,
        steps=tuple(_step(item) for item in stream.items),
        fires=expect.text == "match",
        place=node.place,
        also=_ids(node.get("also")),
    )


def _ids(node: Node | None) -> tuple[str, ...]:
    match node:
        case None:
            return ()
        case Sequence(items) if items and all(isinstance(item, Scalar) for item in items):
            return tuple(item.text for item in items if isinstance(item, Scalar))
        case _:
            raise fault(node.place, "'also' is a list of signature ids")


def _step(node: Node) -> Step:
    match node:
        case Table(((Scalar("client" | "server"), Scalar("")),)):
            raise fault(node.place, "nothing is sent here; check the indentation of what follows")
        case Table(((Scalar("client" | "server" as end), Scalar(text)),)):
            return Bytes(_DIRECTIONS[end], text.encode())
        case Table(
            ((Scalar("client" | "server" as end), Table(((Scalar("hex"), Scalar(text)),))),)
        ):
            try:
                return Bytes(_DIRECTIONS[end], bytes.fromhex(text))
            except ValueError as error:
                raise fault(
                    node.place, "'hex' takes pairs of hexadecimal digits, as {hex: 16 03 01}"
                ) from error
        case Table(((Scalar("name"), Table(((Scalar(field), Scalar(name)),))),)):
            return Name(_known(field, NAME_FIELDS, node.place), name)
        case Table(((Scalar("event"), Scalar(event)),)):
            return Noticed(_known(event, tuple(EVENTS), node.place))
        case Table(((Scalar("endpoint"), Table() as endpoint),)):
            return _reached(endpoint)
        case Table(((Scalar("certificate"), Scalar(pem)),)):
            return _shown(pem, node.place)
        case _:
            raise fault(
                node.place,
                "a step is client: TEXT, server: TEXT, client: {hex: 16 03 01}, "
                "name: {tls.sni: HOST}, event: NAME, endpoint: {to: ADDRESS:PORT, on: DAY} "
                "or certificate: PEM",
            )


def _known(word: str, words: tuple[str, ...], place: Place) -> str:
    """Return a word that the engine knows; another would show it nothing, and pass for a miss."""
    if word not in words:
        raise fault(place, f"{word!r} is nothing that is seen; {suggest(word, words)}")
    return word


def _shown(pem: str, place: Place) -> Shown:
    try:
        return Shown(from_pem(pem))
    except ValueError as error:
        raise fault(place, str(error)) from error


def _reached(node: Table) -> Reached:
    to, on = node.get("to"), node.get("on")
    if not isinstance(to, Scalar) or not isinstance(on, Scalar) or len(node.entries) != 2:
        raise fault(node.place, "an endpoint is {to: 192.0.2.7:3333, on: 2026-11-28}")
    host, _, port = to.text.rpartition(":")
    try:
        address = ip_address(host.removeprefix("[").removesuffix("]")).packed
        day = timegm(date.fromisoformat(on.text).timetuple())
        return Reached(address + int(port).to_bytes(2, "big"), day)
    except (ValueError, OverflowError) as error:
        raise fault(to.place, f"'to' is ADDRESS:PORT, 'on' a day: {error}") from error
