"""The Inspector: a flow's bytes in, findings out.

Sans-I/O: it reads no clock, opens no socket, and raises nothing on hostile bytes. The kernel queue,
a capture file and a mitmproxy addon all feed the same object.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from davylamp.flow import Direction
from davylamp.inspection.combination import Gathering, Seen
from davylamp.inspection.context import Context
from davylamp.inspection.conversation import Conversation
from davylamp.inspection.dns import inspect_dns
from davylamp.inspection.finding import AppProto, Finding
from davylamp.inspection.wire.dns import DnsMessage, parse_message
from davylamp.inspection.wire.reader import Malformed
from davylamp.inspection.wire.tls import ClientHello
from davylamp.signatures.combined import CombinationIndex
from davylamp.signatures.pack import Pack

DEPTH = 16 * 1024
_LAYERS = ("tcp",)


@dataclass(frozen=True, slots=True)
class InspectionLimits:
    """``depth``: bytes of a direction after which it is taken for what it seems."""

    depth: int = DEPTH


_DEFAULT_LIMITS = InspectionLimits()


class Inspector:
    """Inspects one TCP flow."""

    __slots__ = (
        "_context",
        "_conversation",
        "_depth",
        "_gathering",
        "_offsets",
        "_whole",
    )

    def __init__(self, pack: Pack, limits: InspectionLimits = _DEFAULT_LIMITS) -> None:
        self._context = Context(pack)
        self._conversation = Conversation(self._context, _LAYERS, limits.depth)
        self._offsets = [0, 0]  # of the originator's and the responder's next byte
        self._whole = [True, True]  # whether none of their bytes was lost
        self._depth = limits.depth
        self._gathering: Gathering | None = None

    @property
    def app_proto(self) -> AppProto:
        """What the flow speaks, as far as is known."""
        return self._context.app_proto

    @property
    def is_tls(self) -> bool:
        """Whether TLS is what the flow itself speaks, and not something that it carries."""
        return self._context.is_tls

    def keep_answers(self) -> None:
        """Keep the DNS messages that are answered from now on, until they are taken."""
        self._context.answers = []

    def take_answers(self) -> Sequence[DnsMessage]:
        """Return the DNS messages that were answered since the last time, if they are kept."""
        context = self._context
        found = context.answers
        if not found:
            return ()
        context.answers = []
        return found

    @property
    def pack_version(self) -> str:
        """The version of the pack that this flow is inspected with to its end."""
        return self._context.pack.version

    @property
    def hello(self) -> ClientHello | None:
        """The ClientHello, once it was seen whole."""
        return self._context.hello

    @property
    def settled(self) -> bool:
        """Whether the first bytes were judged, so that the kernel may have the rest."""
        return self._conversation.settled and not self._waits

    @property
    def partial(self) -> bool:
        """Whether half a message is held: its other half must come here too."""
        return self._conversation.partial

    @property
    def half_json(self) -> bool:
        """Whether half of what looks like a bare JSON message is held."""
        return self._conversation.half_json

    @property
    def http_body_left(self) -> int | None:
        """Bytes still to come of the originator's HTTP body; None where it speaks no HTTP."""
        return self._conversation.http_body_left

    @property
    def held(self) -> int:
        """Bytes that the inspection's buffers hold."""
        held = self._conversation.held
        return held if self._gathering is None else held + self._gathering.held

    def reach(self, key: bytes, now: float) -> None:
        """Note where the flow goes: a packed address with its port behind it, at ``now`` seconds.

        What that tells is told with the next bytes.
        """
        self._context.reached(key, now, _LAYERS)

    def greeted(self, hello: ClientHello) -> None:
        """Note the hello of the TLS around the flow, which was judged for what it is by itself.

        What it tells together with what is said is told then. Its fingerprint stands for it.
        """
        context = self._context
        before = len(context.findings)
        context.greeted(hello, 0, hello.ja4.encode(), (*_LAYERS, AppProto.TLS.value))
        added = context.findings[before:]
        context.findings[before:] = (one for one in added if one.signature.part is not None)

    def certified(self, der: bytes) -> None:
        """Note the server's certificate, in DER, where whoever opened the TLS around was shown it.

        What that tells is told with the next bytes.
        """
        self._context.certified(der, (0, 0), _LAYERS)

    def unmeasured(self) -> None:
        """Ask nothing about sizes: what comes is not a flow from its beginning, as it was sent."""
        self._context.measures = False

    def receive(self, direction: Direction, data: bytes, now: float) -> tuple[Finding, ...]:
        """Take the next bytes of one direction; return what they complete.

        ``now`` is the packet's time in seconds since the epoch, for readers that measure pace.
        """
        del now  # no reader of this slice measures pace
        if not data:
            return ()
        side = direction is Direction.RESPONDER
        offset = self._offsets[side]
        self._offsets[side] = offset + len(data)
        self._conversation.receive(direction, data, offset)
        if self._context.findings or self._gathering is not None:
            return self._collect()
        return ()

    def gap(self, direction: Direction, size: int) -> None:
        """Note that ``size`` bytes of one direction will never come; read on after them."""
        self._offsets[direction is Direction.RESPONDER] += size
        self._whole[direction is Direction.RESPONDER] = False
        self.unmeasured()
        self._conversation.resume(direction)

    def rewind(self, direction: Direction, offset: int) -> None:
        """Note that the next bytes of one direction go before those that were received.

        ``offset`` is where they stand in their stream; what follows them is received again.
        """
        self._offsets[direction is Direction.RESPONDER] = offset
        self.unmeasured()
        self._conversation.restart(direction)

    def conflict(self, direction: Direction, payload: bytes) -> tuple[Finding, ...]:
        """Note that a segment contradicted an earlier one about the same bytes."""
        offset = self._offsets[direction is Direction.RESPONDER]
        self._context.noticed("tcp.overlap-conflict", direction, offset, payload, _LAYERS)
        return self._collect()

    def _collect(self) -> tuple[Finding, ...]:
        found = tuple(self._context.findings)
        self._context.findings.clear()
        combinations = self._context.pack.combinations
        return found if combinations is None else self._combined(found, combinations)

    def _combined(
        self, found: tuple[Finding, ...], combinations: CombinationIndex
    ) -> tuple[Finding, ...]:
        """Put what was met of combinations to what was before; return what else was found."""
        own = tuple(one for one in found if one.signature.part is None)
        gathering = self._gathering
        if len(own) < len(found):
            if gathering is None:
                gathering = self._gathering = Gathering(combinations)
            for one in found:
                if one.signature.part is not None:
                    gathering.take(one)
        if gathering is None or not gathering.waiting:
            return own
        seen = [
            offset if whole else 0 for offset, whole in zip(self._offsets, self._whole, strict=True)
        ]
        flights = self._conversation.flights if self._context.measures else None
        return (*own, *gathering.holding(Seen((seen[0], seen[1]), flights)))

    @property
    def _waits(self) -> bool:
        """Whether a combination lacks something that may yet come, within the depth."""
        waiting = self._gathering is not None and self._gathering.waiting
        return waiting and max(self._offsets) < self._depth


def combines(pack: Pack, hello: ClientHello) -> bool:
    """Tell whether a hello is part of any combination of a pack's."""
    if pack.combinations is None:
        return False
    context = Context(pack, AppProto.TLS)
    context.greeted(hello, 0, b"", _LAYERS)
    return any(one.signature.part is not None for one in context.findings)


def inspect_certificate(pack: Pack, der: bytes) -> tuple[Finding, ...]:
    """Return what a server's certificate tells by itself, to whoever opened the TLS around it."""
    context = Context(pack, AppProto.TLS)
    context.certified(der, (0, 0), (*_LAYERS, AppProto.TLS.value))
    return tuple(one for one in context.findings if one.signature.part is None)


def inspect_datagram(
    pack: Pack, direction: Direction, payload: bytes
) -> tuple[tuple[Finding, ...], DnsMessage | None]:
    """Inspect one UDP datagram of port 53; return what it tells, and the message if it is one."""
    message = parse_message(payload)
    if isinstance(message, Malformed):
        return (), None
    context = Context(pack, AppProto.DNS)
    inspect_dns(context, direction, payload, message)
    found = tuple(one for one in context.findings if one.signature.part is None)
    return found, message
