"""The part of the Open Cybersecurity Schema Framework 1.8 that davylamp fills in.

Names are those of https://schema.ocsf.io/1.8.0; each class names the object that it is. Numbers
without a default are required there. What the framework has no attribute for is in ``unmapped``,
under EVE's names.
"""

import msgspec

from davylamp.events import (
    ActionInfo,
    EvidenceInfo,
    FusionInfo,
    LineageInfo,
    MiningInfo,
    Struct,
    TlsInfo,
    VerdictInfo,
)


class Product(Struct, frozen=True, kw_only=True):
    """The object ``product``."""

    name: str
    vendor_name: str
    version: str


class Metadata(Struct, frozen=True, kw_only=True):
    """The object ``metadata``; ``correlation_uid`` is the incident."""

    version: str
    product: Product
    uid: str
    log_name: str
    profiles: tuple[str, ...] = ()
    correlation_uid: str = ""


class Analytic(Struct, frozen=True, kw_only=True):
    """The object ``analytic``: the signature."""

    uid: str
    name: str
    type_id: int
    type: str
    category: str
    version: str


class Named(Struct, frozen=True, kw_only=True):
    """The objects ``technique`` and ``sub_technique``."""

    uid: str


class Attack(Struct, frozen=True, kw_only=True):
    """The object ``attack``."""

    technique: Named
    sub_technique: Named | None = None


class FindingInfo(Struct, frozen=True, kw_only=True):
    """The object ``finding_info``; times in milliseconds since the epoch."""

    uid: str
    title: str
    analytic: Analytic
    created_time: int
    first_seen_time: int
    last_seen_time: int
    types: tuple[str, ...]
    desc: str = ""
    attacks: tuple[Attack, ...] = ()


class Image(Struct, frozen=True, kw_only=True):
    """The object ``image``."""

    uid: str
    name: str


class Container(Struct, frozen=True, kw_only=True):
    """The object ``container``."""

    uid: str = ""
    name: str = ""
    image: Image | None = None


class Endpoint(Struct, frozen=True, kw_only=True):
    """The object ``network_endpoint``."""

    ip: str
    port: int
    hostname: str = ""
    container: Container | None = None


class Connection(Struct, frozen=True, kw_only=True):
    """The object ``network_connection_info``."""

    direction_id: int
    direction: str
    protocol_name: str
    community_uid: str


class Tls(Struct, frozen=True, kw_only=True):
    """The object ``tls``."""

    version: str
    sni: str = ""


class Ja4(Struct, frozen=True, kw_only=True):
    """The object ``ja4_fingerprint``."""

    type_id: int
    type: str
    value: str


class Evidence(Struct, frozen=True, kw_only=True):
    """The object ``evidences``: the flow, and in ``data`` what was said on it, redacted."""

    src_endpoint: Endpoint
    dst_endpoint: Endpoint
    connection_info: Connection
    data: tuple[EvidenceInfo, ...] = ()
    tls: Tls | None = None
    ja4_fingerprint_list: tuple[Ja4, ...] = ()


class Label(Struct, frozen=True, kw_only=True):
    """The object ``key_value_object``."""

    name: str
    value: str


class Resource(Struct, frozen=True, kw_only=True):
    """The object ``resource_details``: the sandbox, and whose work it does."""

    name: str
    uid: str
    type: str
    tags: tuple[Label, ...] = ()


class Observable(Struct, frozen=True, kw_only=True):
    """The object ``observable``."""

    name: str
    type_id: int
    type: str
    value: str


class Unmapped(Struct, frozen=True, kw_only=True):
    """What has no attribute in the framework."""

    flow_id: int | None = None
    verdict: VerdictInfo | None = None
    mining: MiningInfo | None = None
    fusion: FusionInfo | None = None
    lineage: LineageInfo | None = None
    tls: TlsInfo | None = None
    pack: str = ""
    change: str = ""
    action: ActionInfo | None = None
    ip: str = ""
    packets: int | None = None
    bytes: int | None = None
    flows: int | None = None
    alerts: int | None = None
    seconds: float | None = None
    worker: str = ""
    counters: dict[str, int] = msgspec.field(default_factory=dict)


class Document(Struct, frozen=True, kw_only=True):
    """What every class has; ``time`` in milliseconds since the epoch."""

    category_uid: int
    category_name: str
    class_uid: int
    class_name: str
    activity_id: int
    activity_name: str
    type_uid: int
    severity_id: int
    severity: str
    time: int
    message: str
    metadata: Metadata
    unmapped: Unmapped


class BaseEvent(Document, frozen=True, kw_only=True):
    """The class Base Event, 0."""


class DetectionFinding(Document, frozen=True, kw_only=True):
    """The class Detection Finding, 2004, with the profile security_control."""

    finding_info: FindingInfo
    evidences: tuple[Evidence, ...]
    observables: tuple[Observable, ...]
    status_id: int
    status: str
    is_alert: bool
    action_id: int
    action: str
    disposition_id: int
    disposition: str
    confidence_id: int
    confidence_score: int
    start_time: int
    resources: tuple[Resource, ...] = ()


class NetworkActivity(Document, frozen=True, kw_only=True):
    """The class Network Activity, 4001, with the profile security_control."""

    src_endpoint: Endpoint
    dst_endpoint: Endpoint
    connection_info: Connection
    status_id: int
    status: str
    status_detail: str
    action_id: int
    action: str
    disposition_id: int
    disposition: str
    start_time: int
    tls: Tls | None = None
    ja4_fingerprint_list: tuple[Ja4, ...] = ()
