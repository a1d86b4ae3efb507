"""Which verdicts are for every gateway, and not only for the sandbox that earned them. Pure.

Strategy. A block that one sandbox brings upon itself hurts nobody else, so policy may be generous
with it. One that is shared keeps everybody from an endpoint: it must follow from a mining dialect,
spoken to that very endpoint. Not from a name, and not behind one: where TLS or HTTP asked for a
name the address may be a CDN's; where the dialect came through a relay, it is the relay's.
"""

from davylamp.blocks.model import EndpointBlock
from davylamp.events import Action, AlertEvent
from davylamp.signatures.model import Category, Kind
from davylamp.wording import endpoint

_DIRECT = frozenset({"tcp", "tls", "json", "noise", "stratum-v2", "duino-coin", "alephium"})
"""Layers that only the two ends of a connection put there; all others may hide a third."""


def shareable(
    alert: AlertEvent, gateway: str, needed: int, at: float, seconds: float
) -> EndpointBlock | None:
    """Return the block of an alert's endpoint for everybody, or None where it is not for everybody.

    ``needed`` is the confidence that blocks. ``at`` is now, and ``seconds`` how long it is to last.
    """
    if not _certain(alert, needed) or not _spoken_to(alert):
        return None
    return EndpointBlock(
        endpoint=_endpoint(alert),
        at=at,
        until=at + seconds,
        gateway=gateway,
        reason=alert.alert.signature,
        signature_id=alert.alert.signature_id,
        rev=alert.alert.rev,
        confidence=alert.fusion.confidence if alert.fusion else alert.alert.confidence,
        incident_id=alert.incident_id,
    )


def _certain(alert: AlertEvent, needed: int) -> bool:
    """Tell whether the verdict was to refuse a dialect, surely: only stable signatures may."""
    if alert.verdict.action not in (Action.DROP, Action.REJECT):
        return False
    if alert.alert.category != Category.MINING:
        return False
    if alert.alert.confidence >= needed:
        return True
    fusion = alert.fusion
    if fusion is None or fusion.confidence < needed:
        return False
    return all(part.kind != Kind.NAME for part in fusion.parts)


def _spoken_to(alert: AlertEvent) -> bool:
    layers = alert.mining.layers if alert.mining else ()
    if not layers or not _DIRECT.issuperset(layers):
        return False
    if "tls" not in layers:
        return True
    # Where nobody saw the ClientHello nobody knows whether it asked for a name.
    return alert.tls is not None and not alert.tls.sni


def _endpoint(alert: AlertEvent) -> str:
    return f"{alert.proto.lower()}/{endpoint(alert.dest_ip, alert.dest_port)}"
