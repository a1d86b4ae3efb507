"""DNS questions and aliases against the pack's pool hosts, over UDP and TCP."""

from davylamp.flow import Direction
from davylamp.inspection.context import Context
from davylamp.inspection.finding import AppProto
from davylamp.inspection.reader import Inner, Place
from davylamp.inspection.wire.dns import DnsMessage, ServiceBinding, parse_message


def inspect_dns(
    context: Context, direction: Direction, payload: bytes, message: DnsMessage
) -> None:
    """Report each name in a DNS datagram that the pack lists: asked for, or an alias on the way."""
    for name in _names(message):
        context.named("dns.query", name, direction, 0, payload, ("udp", AppProto.DNS.value))


class DnsMessages:
    """Reads one direction of DNS over TCP: messages behind their lengths (RFC 1035 4.2.2)."""

    __slots__ = ("_buffer", "_place", "_seen")
    inner = Inner.NONE

    def __init__(self, place: Place) -> None:
        self._place = place
        self._buffer = b""
        self._seen = 0

    @property
    def settled(self) -> bool:
        """Whether the depth was searched: one connection may carry many questions."""
        return self._seen >= self._place.depth

    @property
    def partial(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._buffer)

    @property
    def held(self) -> int:
        """Bytes of the unfinished message, at most 64 KiB of them."""
        return len(self._buffer)

    def receive(self, data: bytes, offset: int) -> bytes | None:
        """Take more of the stream; hand back what is no DNS message, and all behind it."""
        self._seen += len(data)
        place, context = self._place, self._place.context
        buffer = self._buffer + data
        at, base = 0, offset + len(data) - len(buffer)
        believable = True
        while believable and len(buffer) >= (end := _end(buffer, at)):
            message = parse_message(buffer[at + 2 : end])
            believable = isinstance(message, DnsMessage) and not message.truncated
            if believable:
                context.app_proto = AppProto.DNS
            if isinstance(message, DnsMessage):
                if context.answers is not None and place.direction is Direction.RESPONDER:
                    context.answers.append(message)
                for name in _names(message):
                    context.named(
                        "dns.query",
                        name,
                        place.direction,
                        base + at,
                        buffer[at:end],
                        (*place.layers, AppProto.DNS.value),
                    )
            if believable:
                at = end
        self._buffer = buffer[at:] if believable else b""
        return None if believable else buffer[at:]


def _end(buffer: bytes, at: int) -> int:
    """Return where the message at ``at`` ends; past the buffer while its length is not there."""
    if len(buffer) < at + 2:
        return at + 2
    return at + 2 + (buffer[at] << 8 | buffer[at + 1])


def _names(message: DnsMessage) -> list[str]:
    names = [question.name for question in message.questions]
    names += [answer.name for answer in message.answers]
    for answer in message.answers:
        if isinstance(answer.value, str):
            names.append(answer.value)
        elif isinstance(answer.value, ServiceBinding):
            names.append(answer.value.target)
    return list(dict.fromkeys(names))
