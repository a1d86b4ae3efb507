"""What every layer of one flow's inspection shares: the pack, and where findings go."""

from davylamp.flow import Direction
from davylamp.inspection.finding import MAX_EXCERPT, AppProto, Finding
from davylamp.inspection.wire.tls import ClientHello
from davylamp.signatures.model import Match
from davylamp.signatures.pack import Pack


class Context:
    """One flow's pack, findings not yet collected, and facts that events carry."""

    __slots__ = ("app_proto", "findings", "hello", "pack")
    findings: list[Finding]
    hello: ClientHello | None

    def __init__(self, pack: Pack, app_proto: AppProto = AppProto.UNKNOWN) -> None:
        self.pack = pack
        self.findings = []
        self.app_proto = app_proto
        self.hello = None

    def matched(
        self, match: Match, direction: Direction, offset: int, text: bytes, layers: tuple[str, ...]
    ) -> None:
        """Record that ``text``, at ``offset`` of its stream, matched a signature."""
        self.findings.append(
            Finding(
                signature=match.signature,
                confidence=match.signature.confidence,
                direction=direction,
                offset=offset,
                end=offset + len(text),
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
    ) -> None:
        """Record an event (``ssh.banner``, ``tcp.overlap-conflict``) if a signature wants it."""
        signature = self.pack.match_event(event)
        if signature is not None:
            self.findings.append(
                Finding(
                    signature=signature,
                    confidence=signature.confidence,
                    direction=direction,
                    offset=offset,
                    end=offset + len(text),
                    excerpt=text[:MAX_EXCERPT],
                    layers=layers,
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
        """Record a host name (``tls.sni``, ``dns.query``) if the pack lists it as a pool's."""
        match = self.pack.match_name(field_name, name)
        if match is None:
            return
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
