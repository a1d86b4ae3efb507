"""Vectors as conversations of messages, which can be rewritten, wrapped and cut.

A vector's step is bytes, or a host name seen in a field: a name is put where it would stand on the
wire, into a ClientHello or a DNS query over TCP. What only packets can show (a conflicting
retransmission) has no bytes, and is left to the tests of reassembly.
"""

import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from davylamp.flow import Direction
from davylamp.proving.ordinary import client_hello, dns_query
from davylamp.signatures.model import JsonCondition, Maturity, Signature, SignatureId
from davylamp.signatures.pack import Pack
from davylamp.signatures.vectors import Bytes, Name, Step, Vector


@dataclass(frozen=True, slots=True)
class Message:
    """One end says ``text``, which is one JSON value if ``is_json``, and then ``line_end``."""

    direction: Direction
    text: bytes
    line_end: bytes = b""
    is_json: bool = False

    @property
    def data(self) -> bytes:
        """What goes on the wire where nothing wraps it."""
        return self.text + self.line_end

    def saying(self, text: bytes) -> "Message":
        """Return the same message with another text."""
        return replace(self, text=text)


type Conversation = tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation, and what must be told of it: ``signature``, or nothing where it is None.

    ``by_shape`` says that the signature asks for no method, so that renaming one hides nothing;
    ``is_document`` that it is text of many lines, which a receiver of lines would take for some.
    """

    name: str
    messages: Conversation
    signature: SignatureId | None = None
    dialect: str = ""
    by_shape: bool = False
    is_document: bool = False

    @property
    def is_json(self) -> bool:
        """Whether all of it is JSON, which can be written in other ways."""
        return all(message.is_json for message in self.messages)


def examples(pack: Pack, vectors: Iterable[tuple[SignatureId, Vector]]) -> Iterator[Example]:
    """Yield what can be sent of a pack's vectors.

    Signatures of the sandbox are off and left out, as are near misses that another signature is
    known to tell.
    """
    for identity, vector in vectors:
        signature = pack.signatures.get(identity)
        messages = tuple(message for step in vector.steps for message in _message(step))
        if not messages or (signature and signature.maturity is Maturity.SANDBOX):
            continue
        name = f"{identity}: {vector.name}"
        if vector.fires and signature is not None:
            yield Example(name, messages, identity, signature.dialect, _by_shape(signature))
        elif not vector.fires and not vector.also:
            yield Example(name, messages)


def _by_shape(signature: Signature) -> bool:
    return isinstance(signature.condition, JsonCondition) and not signature.condition.methods


def _message(step: Step) -> Iterator[Message]:
    match step:
        case Bytes(direction, data):
            text = data.rstrip(b"\r\n")
            if _is_json(text):
                yield Message(direction, text, b"\n", is_json=True)
            else:
                yield Message(direction, data)
        case Name("tls.sni", name):
            yield Message(Direction.ORIGINATOR, client_hello(name))
        case Name("dns.query", name):
            query = dns_query(name)
            yield Message(Direction.ORIGINATOR, struct.pack(">H", len(query)) + query)
        case _:
            pass


def _is_json(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
