"""DNS questions and aliases against the pack's pool hosts."""

from davylamp.flow import Direction
from davylamp.inspection.context import Context
from davylamp.inspection.finding import AppProto
from davylamp.inspection.wire.dns import DnsMessage, parse_message
from davylamp.inspection.wire.reader import Malformed


def inspect_dns(context: Context, direction: Direction, payload: bytes) -> None:
    """Report each name in a DNS message that the pack lists: asked for, or an alias on the way."""
    message = parse_message(payload)
    if isinstance(message, Malformed):
        return
    for name in _names(message):
        context.named("dns.query", name, direction, 0, payload, ("udp", AppProto.DNS.value))


def _names(message: DnsMessage) -> list[str]:
    names = [question.name for question in message.questions]
    names += [answer.name for answer in message.answers]
    names += [answer.value for answer in message.answers if isinstance(answer.value, str)]
    return list(dict.fromkeys(names))
