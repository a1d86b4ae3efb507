"""What every layer of one flow's inspection shares: the pack, findings, and a budget for inflating.

A layer whose inner bytes stand in messages of its own (WebSocket, base64) gives what is inside a
context of its own (`carried`) and takes its findings over with the place of the message that
carried them (`adopt`).
"""

from collections.abc import Iterable
from dataclasses import replace

from davylamp.flow import Direction, format_endpoint
from davylamp.inspection.finding import MAX_EXCERPT, AppProto, Finding
from davylamp.inspection.wire.dns import DnsMessage
from davylamp.inspection.wire.tls import ClientHello
from davylamp.signatures.model import Match, Signature
from davylamp.signatures.pack import Pack

MAX_BUDGET = 1 << 20
BUDGET_RATIO = 20


class Context:
    """One flow's pack, findings not yet collected, and facts that events carry.

    ``answers`` are the DNS messages that came back since they were last taken, where somebody asked
    for them; else None. ``outer`` is the context whose messages carry this one's bytes, if they are
    carried. ``budget`` is how many bytes HTTP bodies may still be inflated to: `MAX_BUDGET` at
    first and at most, and `BUDGET_RATIO` more for each byte that comes. ``is_tls`` says that TLS is
    what the flow itself speaks, and not something that it carries. ``measures`` says that the pack
    asks for the sizes of flights, and that they can be told.
    """

    __slots__ = (
        "answers",
        "app_proto",
        "budget",
        "findings",
        "hello",
        "is_tls",
        "measures",
        "outer",
        "pack",
    )
    answers: list[DnsMessage] | None
    findings: list[Finding]
    hello: ClientHello | None

    def __init__(self, pack: Pack, app_proto: AppProto = AppProto.UNKNOWN) -> None:
        self.pack = pack
        self.answers = None
        self.findings = []
        self.app_proto = app_proto
        self.hello = None
        self.is_tls = False
        combinations = pack.combinations
        self.measures = combinations is not None and combinations.measures
        self.budget = MAX_BUDGET
        self.outer: Context | None = None

    def carried(self) -> "Context":
        """Return a context for what this one's messages carry."""
        context = Context(self.pack)
        context.outer = self
        context.measures = False
        return context

    def adopt(self, context: "Context", span: tuple[int, int] | None = None) -> None:
        """Take over a carried context's findings, and what it learned of the flow.

        ``span`` is the message that carried them, in this stream; None leaves them where they are.
        """
        if found := context.findings:
            context.findings = []
            if span is not None:
                found = [replace(one, offset=span[0], end=span[1]) for one in found]
            self.findings += found
        self.hello = self.hello or context.hello
        weak = context.app_proto in (AppProto.UNKNOWN, AppProto.JSON)
        if not weak or self.app_proto is AppProto.UNKNOWN:
            self.app_proto = context.app_proto

    def afford(self, size: int) -> int:
        """Return how many bytes compressed data of this size may be inflated to now.

        Only bytes of the flow itself fill the budget up; what those were inflated to does not.
        """
        if self.outer is not None:
            return self.outer.afford(0)
        self.budget = min(MAX_BUDGET, self.budget + BUDGET_RATIO * size)
        return self.budget

    def spend(self, size: int) -> None:
        """Take bytes from the budget."""
        if self.outer is not None:
            self.outer.spend(size)
        else:
            self.budget = max(0, self.budget - size)

    def matched(  # noqa: PLR0913, PLR0917 - a match is all of these
        self,
        match: Match,
        direction: Direction,
        offset: int,
        text: bytes,
        layers: tuple[str, ...],
        end: int | None = None,
    ) -> None:
        """Record that ``text``, at ``offset`` of its stream, matched a signature.

        ``end`` is where the message ends that carries it, if it was not read as it stands.
        """
        self.findings.append(
            Finding(
                signature=match.signature,
                confidence=match.signature.confidence,
                direction=direction,
                offset=offset,
                end=offset + len(text) if end is None else end,
                excerpt=text[:MAX_EXCERPT],
                layers=layers,
                coin=match.coin,
                detail=match.detail,
            )
        )

    def noticed(  # noqa: PLR0913, PLR0917 - an event is all of these
        self,
        event: str,
        direction: Direction,
        offset: int,
        text: bytes,
        layers: tuple[str, ...],
        detail: str = "",
        coin: str = "",
    ) -> None:
        """Record an event (``ssh.banner``, ``tcp.overlap-conflict``) if a signature wants it."""
        for signature in self.pack.match_events(event):
            self.findings.append(
                Finding(
                    signature=signature,
                    confidence=signature.confidence,
                    direction=direction,
                    offset=offset,
                    end=offset + len(text),
                    excerpt=text[:MAX_EXCERPT],
                    layers=layers,
                    coin=coin or signature.coin,
                    detail=detail or signature.detail,
                )
            )

    def named(  # noqa: PLR0913, PLR0917 - a name is all of these
        self,
        field_name: str,
        name: str,
        direction: Direction,
        offset: int,
        text: bytes,
        layers: tuple[str, ...],
    ) -> None:
        """Record a host name (``tls.sni``, ``socks.host``) if the pack lists it as a pool's."""
        for match in self.pack.match_names(field_name, name):
            self.findings.append(
                Finding(
                    signature=match.signature,
                    confidence=match.confidence,
                    direction=direction,
                    offset=offset,
                    end=offset + len(text),
                    excerpt=name.encode("utf-8", "replace"),
                    layers=layers,
                    coin=match.coin,
                    detail=f"{match.signature.detail}: {name}",
                )
            )

    def reached(self, key: bytes, now: float, layers: tuple[str, ...]) -> None:
        """Record where the flow goes if the pack lists that; ``now`` is seconds since the epoch."""
        endpoints = self.pack.endpoints
        for match in endpoints.match(key, now) if endpoints is not None else ():
            where = format_endpoint(match.entry.address, match.entry.port)
            self.findings.append(
                Finding(
                    signature=match.signature,
                    confidence=match.confidence,
                    direction=Direction.ORIGINATOR,
                    offset=0,
                    end=0,
                    excerpt=where.encode(),
                    layers=layers,
                    coin=match.coin,
                    detail=f"{match.signature.detail}: {where}",
                )
            )

    def greeted(
        self, hello: ClientHello, offset: int, text: bytes, layers: tuple[str, ...]
    ) -> None:
        """Record what a client's hello, ``text`` at ``offset`` of its stream, is to the pack."""
        direction, hellos = Direction.ORIGINATOR, self.pack.hellos
        if hellos is not None and (found := hellos.match(hello)):
            self.met(found, direction, offset, text, layers)
        for name in hello.server_names:
            self.named("tls.sni", name, direction, offset, text, layers)

    def certified(self, der: bytes, span: tuple[int, int], layers: tuple[str, ...]) -> None:
        """Record a server's certificate, at ``span`` of its stream, if the pack asks for it."""
        certificates = self.pack.certificates
        if certificates is None:
            return
        certificate = certificates.read(der)
        shown = f"sha256 {certificate.sha256} {' '.join(certificate.names)}".strip()
        for signature in certificates.match(certificate):
            self.findings.append(
                Finding(
                    signature=signature,
                    confidence=signature.confidence,
                    direction=Direction.RESPONDER,
                    offset=span[0],
                    end=span[1],
                    excerpt=shown.encode("utf-8", "replace")[:MAX_EXCERPT],
                    layers=layers,
                    coin=signature.coin,
                    detail=signature.detail,
                )
            )

    def met(
        self,
        signatures: Iterable[Signature],
        direction: Direction,
        offset: int,
        text: bytes,
        layers: tuple[str, ...],
    ) -> None:
        """Record that ``text``, at ``offset`` of its stream, is what some signatures ask for."""
        for signature in signatures:
            match = Match(signature, signature.coin, signature.detail)
            self.matched(match, direction, offset, text, layers)
