"""The part of the Elastic Common Schema that davylamp fills in.

Names are those of ECS 9.4 (https://www.elastic.co/docs/reference/ecs/ecs-field-reference). What
ECS has no field for is under ``davylamp``, as its "Custom fields" section asks of a product.
"""

import msgspec

from davylamp.events import (
    ActionInfo,
    CandidateInfo,
    EvidenceInfo,
    FusionInfo,
    MiningInfo,
    Struct,
    VerdictInfo,
)


class Ecs(Struct, frozen=True, kw_only=True):
    """Which version of the schema the document follows."""

    version: str


class EventFields(Struct, frozen=True, kw_only=True):
    """``event.*``: what kind of event this is, by the schema's fixed words."""

    kind: str
    id: str
    module: str
    dataset: str
    category: tuple[str, ...] = ()
    type: tuple[str, ...] = ()
    action: str = ""
    outcome: str = ""
    reason: str = ""
    severity: int | None = None
    risk_score: float | None = None
    start: str = ""


class Rule(Struct, frozen=True, kw_only=True):
    """``rule.*``: the signature."""

    id: str
    name: str
    category: str
    version: str
    ruleset: str = ""


class Endpoint(Struct, frozen=True, kw_only=True):
    """``source.*`` and ``destination.*``."""

    ip: str
    port: int
    address: str = ""
    domain: str = ""


class Network(Struct, frozen=True, kw_only=True):
    """``network.*``: the flow."""

    transport: str
    type: str
    community_id: str
    direction: str
    protocol: str = ""


class Named(Struct, frozen=True, kw_only=True):
    """An id, as the schema nests it; arrays, because an event may be several techniques."""

    id: tuple[str, ...]


class Techniques(Struct, frozen=True, kw_only=True):
    """``threat.technique.*``."""

    id: tuple[str, ...]
    subtechnique: Named | None = None


class Threat(Struct, frozen=True, kw_only=True):
    """``threat.*``: ATT&CK."""

    framework: str
    technique: Techniques


class Image(Struct, frozen=True, kw_only=True):
    """``container.image.*``."""

    name: str


class Container(Struct, frozen=True, kw_only=True):
    """``container.*``."""

    id: str = ""
    name: str = ""
    image: Image | None = None


class TlsClient(Struct, frozen=True, kw_only=True):
    """``tls.client.*``."""

    server_name: str


class Tls(Struct, frozen=True, kw_only=True):
    """``tls.*``."""

    client: TlsClient | None = None


class Identity(Struct, frozen=True, kw_only=True):
    """``trace.*`` and ``span.*``."""

    id: str


class Observer(Struct, frozen=True, kw_only=True):
    """``observer.*``: us."""

    vendor: str
    product: str
    version: str
    type: str


class Related(Struct, frozen=True, kw_only=True):
    """``related.*``: what to pivot on."""

    ip: tuple[str, ...]


class Counters(Struct, frozen=True, kw_only=True):
    """A stats event's own members."""

    packets: int
    bytes: int
    flows: int
    alerts: int
    seconds: float
    worker: str = ""
    counters: dict[str, int] = msgspec.field(default_factory=dict)


class Own(Struct, frozen=True, kw_only=True):
    """``davylamp.*``: what the schema has no field for, under EVE's names."""

    flow_id: int | None = None
    incident_id: str = ""
    confidence: int | None = None
    verdict: VerdictInfo | None = None
    mining: MiningInfo | None = None
    evidence: tuple[EvidenceInfo, ...] = ()
    fusion: FusionInfo | None = None
    ja4: str = ""
    candidates: tuple[CandidateInfo, ...] = ()
    action: ActionInfo | None = None
    stats: Counters | None = None


class EcsDocument(Struct, frozen=True, kw_only=True):
    """One document; ``labels`` are keywords, as the schema has them."""

    timestamp: str = msgspec.field(name="@timestamp")
    ecs: Ecs
    message: str
    event: EventFields
    observer: Observer
    rule: Rule | None = None
    source: Endpoint | None = None
    destination: Endpoint | None = None
    network: Network | None = None
    threat: Threat | None = None
    container: Container | None = None
    tls: Tls | None = None
    trace: Identity | None = None
    span: Identity | None = None
    related: Related | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    davylamp: Own | None = None
