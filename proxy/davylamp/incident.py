"""Findings become alerts and a verdict: an alert is one signature on one flow."""

import hashlib
from dataclasses import dataclass

import msgspec

from davylamp.events import (
    Action,
    AlertEvent,
    AlertInfo,
    EvidenceInfo,
    FusionInfo,
    FusionPart,
    MiningInfo,
    TlsEvent,
    TlsInfo,
    VerdictInfo,
    rfc3339,
)
from davylamp.flow import Direction, FlowKey
from davylamp.fusion import Sum, Suspicion, counts
from davylamp.identity import NO_WALLET, wallet_mark
from davylamp.inspection.finding import AppProto, Finding
from davylamp.inspection.wire.tls import ClientHello
from davylamp.policy import Mode, Policy, Verdict, gravity
from davylamp.redaction import redact
from davylamp.signatures.model import Category

_SEVERAL = 2  # parts that make a sum worth showing
_FLOW_ID_BITS = 52  # what a JSON number holds exactly in every reader


@dataclass(frozen=True, slots=True)
class Sighting:
    """The flow that a finding was met on; ``begin`` and ``now`` are seconds since the epoch."""

    key: FlowKey
    begin: float
    now: float
    app_proto: AppProto
    hello: ClientHello | None = None
    pack: str = ""


class Reporter:
    """Judges findings by one policy and writes their alerts.

    At most ``alerts_per_flow`` alerts are written about a flow, one for each signature. Wallets are
    marked with ``wallet_key``; without one they are only shown, masked.
    """

    __slots__ = ("_alerts_per_flow", "_pack", "_policy", "_wallet_key")

    def __init__(
        self, policy: Policy, pack: str, alerts_per_flow: int, wallet_key: bytes = b""
    ) -> None:
        self._policy = policy
        self._pack = pack
        self._alerts_per_flow = alerts_per_flow
        self._wallet_key = wallet_key

    def use(self, pack: str) -> None:
        """Name another pack's version from now on, where a sighting names none."""
        self._pack = pack

    def report(
        self, found: tuple[Finding, ...], sighting: Sighting, suspicion: Suspicion
    ) -> tuple[tuple[AlertEvent, ...], Verdict]:
        """Return the alerts on findings (at least one), and the gravest verdict on any of them.

        ``suspicion`` is what was found on this flow before; it takes in what was found now.
        """
        together = suspicion.weigh(found)
        reported = suspicion.reported
        alerts: list[AlertEvent] = []
        verdicts: list[Verdict] = []
        for finding in found:
            verdict = self._policy.judge(finding, sighting.key, together)
            verdicts.append(verdict)
            identity = finding.signature.id
            if (
                verdict.action is not Action.PASS
                and identity not in reported
                and len(reported) < self._alerts_per_flow
            ):
                reported.add(identity)
                alerts.append(self._alert(finding, verdict, sighting, together))
        return tuple(alerts), max(verdicts, key=gravity)

    def _alert(
        self, finding: Finding, verdict: Verdict, sighting: Sighting, together: Sum
    ) -> AlertEvent:
        """Return the alert on a finding, with what it was added to if it counts there."""
        policy = self._policy
        alert = alert_event(
            finding,
            verdict,
            sighting,
            mode=policy.mode,
            pack=sighting.pack or self._pack,
            wallet_key=self._wallet_key,
        )
        if len(together.parts) < _SEVERAL or not counts(finding):
            return alert
        others = tuple(
            _evidence(part.finding) for part in together.parts if part.finding is not finding
        )
        return msgspec.structs.replace(
            alert,
            evidence=alert.evidence + others,
            fusion=_fusion(together, policy.block_confidence),
        )


def alert_event(  # noqa: PLR0913 - an alert is all of these
    finding: Finding,
    verdict: Verdict,
    sighting: Sighting,
    *,
    mode: Mode,
    pack: str,
    wallet_key: bytes = b"",
) -> AlertEvent:
    """Return the alert for one finding, its evidence redacted; ``pack`` is the pack's version."""
    key, signature = sighting.key, finding.signature
    community_id = key.community_id()
    return AlertEvent(
        timestamp=rfc3339(sighting.now),
        flow_id=flow_id(community_id, sighting.begin),
        flow_start=rfc3339(sighting.begin),
        community_id=community_id,
        src_ip=key.orig_ip,
        src_port=key.orig_port,
        dest_ip=key.resp_ip,
        dest_port=key.resp_port,
        proto=key.proto.name,
        app_proto=_app_proto(finding, sighting),
        alert=AlertInfo(
            signature_id=signature.id,
            rev=signature.rev,
            signature=signature.title,
            category=signature.category.value,
            severity=signature.severity,
            confidence=finding.confidence,
            technique=signature.technique,
        ),
        verdict=VerdictInfo(
            action=verdict.action,
            reason=verdict.reason,
            mode=mode.value,
            delivered=not verdict.blocks,
        ),
        mining=_mining(finding, wallet_key),
        evidence=(_evidence(finding),),
        tls=_tls_info(sighting.hello),
        pack=pack,
    )


def tls_event(  # noqa: PLR0913 - an event is all of these
    key: FlowKey,
    begin: float,
    now: float,
    hello: ClientHello | None,
    *,
    refusal: str = "",
    diversion: str = "",
) -> TlsEvent:
    """Return the event of TLS that went another way than its client meant; times in seconds.

    ``refusal`` is how the client refused our certificate, ``diversion`` why it may not go straight.
    """
    community_id = key.community_id()
    return TlsEvent(
        timestamp=rfc3339(now),
        flow_id=flow_id(community_id, begin),
        flow_start=rfc3339(begin),
        community_id=community_id,
        src_ip=key.orig_ip,
        src_port=key.orig_port,
        dest_ip=key.resp_ip,
        dest_port=key.resp_port,
        proto=key.proto.name,
        app_proto=AppProto.TLS.value,
        refusal=refusal,
        diversion=diversion,
        tls=_tls_info(hello),
    )


def _mining(finding: Finding, wallet_key: bytes) -> MiningInfo | None:
    """Return what kind of mining a finding tells, and for whom where a miner said it."""
    signature = finding.signature
    if signature.category not in {Category.MINING, Category.POOL, Category.SOLO}:
        return None
    outward = finding.direction is Direction.ORIGINATOR
    wallet = wallet_mark(finding.excerpt, wallet_key) if outward else NO_WALLET
    return MiningInfo(
        dialect=signature.dialect,
        coin=finding.coin or wallet.coin,
        role=signature.role.value,
        layers=finding.layers,
        wallet=wallet.shown,
        wallet_digest=wallet.digest,
    )


def _evidence(finding: Finding) -> EvidenceInfo:
    return EvidenceInfo(
        signature_id=finding.signature.id,
        direction=finding.direction.value,
        offset=finding.offset,
        length=finding.end - finding.offset,
        excerpt=redact(finding.excerpt),
        detail=finding.detail,
        kind=finding.kind.value,
    )


def _fusion(together: Sum, needed: int) -> FusionInfo:
    return FusionInfo(
        confidence=together.confidence,
        needed=needed,
        weight=round(together.weight, 1),
        parts=tuple(
            FusionPart(
                signature_id=part.finding.signature.id,
                kind=part.finding.kind.value,
                direction=part.finding.direction.value,
                confidence=part.confidence,
                weight=round(part.weight, 1),
            )
            for part in together.parts
        ),
    )


def flow_id(community_id: str, begin: float) -> int:
    """Return a number that names one flow: its tuple and when it began."""
    digest = hashlib.sha256(f"{community_id} {begin:.6f}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - _FLOW_ID_BITS)


def _app_proto(finding: Finding, sighting: Sighting) -> str:
    if finding.signature.category is Category.MINING:
        return finding.signature.dialect
    return sighting.app_proto.value or (finding.layers[-1] if finding.layers else "")


def _tls_info(hello: ClientHello | None) -> TlsInfo | None:
    if hello is None:
        return None
    return TlsInfo(
        sni=hello.sni, ja4=hello.ja4, alpn=hello.alpn, version=hello.version_name, ech=hello.ech
    )
