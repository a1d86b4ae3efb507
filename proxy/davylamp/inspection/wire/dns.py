r"""DNS messages from UDP payloads and TCP streams.

Strategy: one pass over the message with a bounded cursor, keeping what could be read before the
bytes ended or made no sense, and saying that it is not all. Work is bounded by the message, not
by what it claims: a name has at most 255 bytes, a compression pointer must lead strictly
backwards and at most 128 of them are followed, a message yields at most 16 questions and 512
records and costs at most 4,096 labels and pointers.

Sources: RFC 1035 sections 3.1 (names), 4.1 (messages), 4.1.4 (compression), 4.2.2 (TCP);
RFC 6891 section 6.1 (OPT, extended response code); RFC 9460 sections 2.2 and 14.3 (SVCB, HTTPS);
RFC 9848 (the ``ech`` parameter).

Names are lower-case, without the root's dot ("" is the root). In a label, a dot or a backslash is
``\.`` or ``\\`` and any byte that is not visible ASCII is ``\DDD`` (RFC 1035 section 5.1), so
two names on the wire never read the same.
"""

from enum import IntEnum

import msgspec

from davylamp.inspection.wire.reader import Cursor, Malformed, printable

DNS_PORT = 53
MAX_QUESTIONS = 16
MAX_RECORDS = 512
MAX_HOPS = 128
MAX_NAME = 255
MAX_LABELS = 4096
MAX_BINDINGS = 1024
MAX_CHAIN = 16


class RecordType(IntEnum):
    """The record types whose data is read (IANA DNS parameters); others keep their number."""

    A = 1
    NS = 2
    CNAME = 5
    PTR = 12
    AAAA = 28
    DNAME = 39
    SVCB = 64
    HTTPS = 65


_OPT = 41
_NAMES = frozenset({RecordType.NS, RecordType.CNAME, RecordType.PTR, RecordType.DNAME})
_ADDRESS_SIZE = {RecordType.A: 4, RecordType.AAAA: 16}


class Question(msgspec.Struct, frozen=True):
    """What is asked: a lower-case name and a record type (compare it with `RecordType`)."""

    name: str
    type: int


class ServiceBinding(msgspec.Struct, frozen=True):
    """An SVCB or HTTPS record's data; ``addresses`` are its hints, packed."""

    priority: int
    target: str
    alpn: tuple[str, ...] = ()
    port: int | None = None
    ech: bool = False
    addresses: tuple[bytes, ...] = ()


type Value = bytes | str | ServiceBinding | None
"""A, AAAA: the packed address. NS, CNAME, PTR, DNAME: a name. SVCB, HTTPS: a ServiceBinding.
None: another type, or data that its type does not allow."""


class Answer(msgspec.Struct, frozen=True):
    """A record of the answer section; ``ttl`` is in seconds (a negative one reads as 0)."""

    name: str
    type: int
    ttl: int
    value: Value


class Binding(msgspec.Struct, frozen=True):
    """A name that an answer tied to a packed address for ``ttl`` seconds."""

    name: str
    address: bytes
    ttl: int


class DnsMessage(msgspec.Struct, frozen=True):
    """One message.

    ``truncated`` says that the bytes ended or stopped making sense before the counts in the
    header were met; ``tc`` is the header's own bit, which tells the client to ask again over TCP.
    ``rcode`` includes the EDNS extension; ``edns`` says whether there is an OPT record.
    """

    id: int
    is_response: bool
    opcode: int
    rcode: int
    tc: bool
    truncated: bool
    edns: bool
    questions: tuple[Question, ...]
    answers: tuple[Answer, ...]

    def bindings(self) -> tuple[Binding, ...]:
        """Return every name that this answer ties to an address, aliases included.

        A client that asked for a name got the addresses at the end of its CNAME chain, so each
        name of the chain counts, with the smallest time to live on the way. At most
        `MAX_BINDINGS`, and at most `MAX_CHAIN` names for an address.
        """
        owners: dict[str, list[Answer]] = {}
        for answer in self.answers:
            if answer.type == RecordType.CNAME and isinstance(answer.value, str):
                owners.setdefault(answer.value, []).append(answer)
        found: dict[tuple[str, bytes], Binding] = {}
        for answer in self.answers:
            # Thousands of hints fit in one record, and may all be the same.
            addresses = dict.fromkeys(_addresses(answer.value))
            chain = _chain(answer, owners) if addresses else []
            for address in addresses:
                for name, ttl in chain:
                    if len(found) == MAX_BINDINGS:
                        return tuple(found.values())
                    found.setdefault((name, address), Binding(name, address, ttl))
        return tuple(found.values())


def _addresses(value: Value) -> tuple[bytes, ...]:
    match value:
        case bytes():
            return (value,)
        case ServiceBinding():
            return value.addresses
        case _:
            return ()


def _chain(answer: Answer, owners: dict[str, list[Answer]]) -> list[tuple[str, int]]:
    """Return an answer's name and the aliases that lead to it, nearest first."""
    chain = [(answer.name, answer.ttl)]
    seen = {answer.name}
    for name, ttl in chain:  # grows while we walk it
        for alias in owners.get(name, ()):
            if alias.name not in seen and len(chain) < MAX_CHAIN:
                seen.add(alias.name)
                chain.append((alias.name, min(ttl, alias.ttl)))
    return chain


def parse_message(data: bytes) -> DnsMessage | Malformed:
    """Read one message (a UDP payload, or a TCP message without its length).

    Malformed when there is no header, or when nothing of what the header announces can be read.
    """
    if len(data) < 12:
        return Malformed("shorter than a DNS header", 0, data)
    flags = int.from_bytes(data[2:4], "big")
    parser = _Parser(data)
    parser.run()
    announced = any(data[4:12])
    if announced and not parser.records_read and not parser.questions:
        return Malformed("no question or record can be read", 12, data)
    return DnsMessage(
        int.from_bytes(data[:2], "big"),
        bool(flags & 0x8000),
        flags >> 11 & 0x0F,
        flags & 0x0F | parser.extended_rcode << 4,
        bool(flags & 0x0200),
        parser.truncated,
        parser.edns,
        tuple(parser.questions),
        tuple(parser.answers),
    )


class _Parser:
    """The state of one pass over one message."""

    __slots__ = (
        "answers",
        "cursor",
        "edns",
        "extended_rcode",
        "labels",
        "questions",
        "records_read",
        "truncated",
    )

    def __init__(self, data: bytes) -> None:
        self.cursor = Cursor(data, 12)
        self.questions: list[Question] = []
        self.answers: list[Answer] = []
        self.records_read = 0
        self.truncated = False
        self.edns = False
        self.extended_rcode = 0
        self.labels = 0

    def run(self) -> None:
        """Read the sections in order, until the end or the first thing that cannot be read."""
        counts = Cursor(self.cursor.data, 4, 12)
        questions, answers = counts.u16(), counts.u16()
        others = counts.u16() + counts.u16()
        self.truncated = questions > MAX_QUESTIONS or answers + others > MAX_RECORDS
        try:
            for _ in range(min(questions, MAX_QUESTIONS)):
                self._question()
            if questions > MAX_QUESTIONS:
                return
            for number in range(min(answers + others, MAX_RECORDS)):
                self._record(is_answer=number < answers)
        except EOFError:
            self.truncated = True

    def _question(self) -> None:
        name = self._name(self.cursor)
        kind = self.cursor.u16()
        self.cursor.u16()  # class: always Internet in practice, and none of our business
        self.questions.append(Question(name, kind))

    def _record(self, *, is_answer: bool) -> None:
        name = self._name(self.cursor)
        kind = self.cursor.u16()
        self.cursor.u16()
        ttl = self.cursor.u32()
        body = self.cursor.sub(self.cursor.u16())
        self.records_read += 1
        if kind == _OPT:
            self.edns = True
            self.extended_rcode = ttl >> 24
        elif is_answer:
            ttl = 0 if ttl >> 31 else ttl  # RFC 2181 section 8
            self.answers.append(Answer(name, kind, ttl, self._value(kind, body)))

    def _value(self, kind: int, body: Cursor) -> Value:
        try:
            if size := _ADDRESS_SIZE.get(RecordType(kind)):
                return body.take(size) if body.left == size else None
            if kind in _NAMES:
                return self._name(body)
            return self._service(body)
        except (EOFError, ValueError):  # ValueError: a type we do not read
            return None

    def _service(self, body: Cursor) -> ServiceBinding:
        priority, target = body.u16(), self._name(body)
        alpn: tuple[str, ...] = ()
        addresses: list[bytes] = []
        port, ech = None, False
        while body.left:
            key, value = body.u16(), body.sub(body.u16())
            match key:
                case 1:
                    alpn = _alpn(value)
                case 3:
                    port = value.u16()
                case 4 | 6:
                    size = 4 if key == 4 else 16
                    addresses += [value.take(size) for _ in range(value.left // size)]
                case 5:
                    ech = True
        return ServiceBinding(priority, target, alpn, port, ech, tuple(addresses))

    def _name(self, cursor: Cursor) -> str:
        """Read a name at a cursor and leave the cursor behind it; EOFError when it is none."""
        data, at, end = cursor.data, cursor.at, cursor.end
        parts: list[str] = []
        size, hops, earliest, after = 1, 0, at, -1
        while True:
            if at >= end:
                raise EOFError
            length = data[at]
            self.labels += 1
            if self.labels > MAX_LABELS:
                raise EOFError
            if length >= 0xC0:
                if at + 1 >= end or hops == MAX_HOPS:
                    raise EOFError
                target = (length & 0x3F) << 8 | data[at + 1]
                if target >= earliest:
                    raise EOFError
                after = at + 2 if after < 0 else after
                at = earliest = target
                hops += 1
                continue
            size += length + 1 if length else 0
            if length >= 0x40 or size > MAX_NAME or at + length >= end:
                raise EOFError
            at += 1
            if not length:
                break
            parts.append(_label(data[at : at + length]))
            at += length
        cursor.at = at if after < 0 else after
        return ".".join(parts)


def _label(raw: bytes) -> str:
    if raw.replace(b"-", b"").replace(b"_", b"").isalnum():
        return raw.decode("ascii").lower()
    return "".join(
        f"\\{chr(byte)}"
        if byte in b".\\"
        else chr(byte).lower()
        if 0x21 <= byte <= 0x7E
        else f"\\{byte:03}"
        for byte in raw
    )


def _alpn(value: Cursor) -> tuple[str, ...]:
    found: list[str] = []
    while value.left and len(found) < 16:
        found.append(printable(value.take(value.u8())))
    return tuple(found)
