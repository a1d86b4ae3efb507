"""What of a message, a line or a stream's beginning a signature did not find as it asks."""

from collections.abc import Iterator
from dataclasses import dataclass

from davylamp.inspection.framing import Framer
from davylamp.inspection.jsontext import read_objects
from davylamp.inspection.wire.certificate import CertificateReader
from davylamp.proving.misfit import misfit, shown
from davylamp.signatures.certificates import from_pem, misses, read_certificate
from davylamp.signatures.fields import Fields
from davylamp.signatures.language import CONDITION
from davylamp.signatures.model import (
    BytesCondition,
    CertificateCondition,
    Condition,
    JsonCondition,
    LineCondition,
    family_of,
)
from davylamp.signatures.source import Node, Place


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a signature makes of one message; ``problems`` is empty where it fits."""

    message: str
    problems: tuple[str, ...]


COMPARED = (JsonCondition, LineCondition, BytesCondition, CertificateCondition)
"""The conditions that bytes of one direction can be held against."""


def compare(when: Node, condition: Condition, data: bytes) -> tuple[Comparison, ...]:
    """Hold every message in bytes of one direction against a condition.

    Nothing for conditions that are none of `COMPARED`; a certificate may also be in PEM.
    """
    match condition:
        case JsonCondition():
            inner = Fields(when, CONDITION).nested("json")
            assert inner is not None
            members = inner.optional("members")
            return tuple(_json(members, condition, one) for one in _messages(data))
        case LineCondition():
            *lines, rest = data.split(b"\n")
            inner = Fields(when, CONDITION).nested("line")
            assert inner is not None
            fields = inner.optional("fields")
            told = [_line(fields, condition, line.removesuffix(b"\r")) for line in lines]
            return (*told, *([_unfinished(rest)] if rest else ()))
        case BytesCondition():
            return (_start(condition, data),)
        case CertificateCondition():
            der = _certificate(data)
            return (_shown(condition, der),) if der else ()
        case _:
            return ()


def _messages(data: bytes) -> Iterator[dict[str, object]]:
    for framed in Framer().receive(data + b"\n", 0):
        yield from read_objects(framed.text)


def _json(members: Node | None, condition: JsonCondition, message: dict[str, object]) -> Comparison:
    problems: list[str] = []
    method = message.get("method")
    if condition.methods and not _asked_for(condition.methods, method):
        known = " or ".join(map(repr, condition.methods))
        got = "no such member" if method is None else shown(method)
        problems.append(f"method: asked for {known}, got {got}")
    if members is not None and (found := misfit(members, message)):
        problems.append(_told(found.at, found.asked, found.got, found.place))
    return Comparison(shown(message), tuple(problems))


def _asked_for(methods: tuple[str, ...], method: object) -> bool:
    if not isinstance(method, str):
        return False
    return method in methods or family_of(method) in methods


def _line(fields: Node | None, condition: LineCondition, line: bytes) -> Comparison:
    problems: list[str] = []
    if condition.starts and not line.startswith(condition.starts):
        problems.append(f"starts_with: it does not begin with {_literals(condition.starts)}")
    if condition.ends and not line.endswith(condition.ends):
        problems.append(f"ends_with: it does not end with {_literals(condition.ends)}")
    problems += [
        f"contains: {_literal(part)} is not in it"
        for part in condition.contains
        if part not in line
    ]
    if fields is not None:
        parts = line.decode("utf-8", "replace").split(condition.split)
        if found := misfit(fields, parts, "fields"):
            problems.append(_told(found.at, found.asked, found.got, found.place))
    return Comparison(shown(line.decode("utf-8", "replace")), tuple(problems))


def _unfinished(rest: bytes) -> Comparison:
    text = shown(rest.decode("utf-8", "replace"))
    return Comparison(text, ("no line break follows: a line is judged at its line break",))


def _start(condition: BytesCondition, data: bytes) -> Comparison:
    problems: list[str] = []
    if not data.startswith(condition.starts):
        problems.append(f"starts_with: it does not begin with {_literals(condition.starts)}")
    head = data[: condition.within]
    problems += [
        f"contains: {_literal(part)} is not within the first {condition.within} bytes"
        for part in condition.contains
        if part not in head
    ]
    return Comparison(data[:32].hex(" "), tuple(problems))


def _certificate(data: bytes) -> bytes:
    if der := CertificateReader().feed(data):
        return der
    try:
        return from_pem(data.decode("ascii", "replace"))
    except ValueError:
        return b""


def _shown(condition: CertificateCondition, der: bytes) -> Comparison:
    certificate = read_certificate(der)
    names = ", ".join(certificate.names) or "a certificate without names"
    return Comparison(names, tuple(misses(condition, certificate)))


def _literals(literals: tuple[bytes, ...]) -> str:
    return " or ".join(map(_literal, literals))


def _literal(literal: bytes) -> str:
    """Return a literal as a signature may write it: as text where it is some, else in hex."""
    text = literal.decode("ascii", "replace")
    return repr(text) if text.isascii() and text.isprintable() else f"{{hex: {literal.hex(' ')}}}"


def _told(at: str, asked: str, got: str, place: Place) -> str:
    return f"{at}: asked for {asked}, got {got} ({place})"
