"""What inspection says: findings, each with the bytes that are its evidence."""

from dataclasses import dataclass
from enum import StrEnum

from davylamp.flow import Direction
from davylamp.signatures.model import Kind, Signature

MAX_EXCERPT = 512


class AppProto(StrEnum):
    """The application protocol of a flow, as far as its first bytes tell."""

    UNKNOWN = ""
    JSON = "json"
    TLS = "tls"
    SSH = "ssh"
    HTTP = "http"
    DNS = "dns"
    SOCKS = "socks"
    WEBSOCKET = "websocket"
    STRATUM_V2 = "stratum-v2"
    DUINO_COIN = "duino-coin"
    ALEPHIUM = "alephium"
    PEER = "p2p"
    REDIS = "redis"
    NATS = "nats"
    BEANSTALKD = "beanstalkd"
    MQTT = "mqtt"


@dataclass(frozen=True, slots=True)
class Finding:
    """One signature met on one flow.

    ``offset`` counts bytes of the direction's stream to the first byte of the evidence and ``end``
    to one past the byte that completed it. ``excerpt`` is raw and at most ``MAX_EXCERPT`` bytes:
    it is redacted where it is rendered. ``layers`` run from the outermost inward.
    """

    signature: Signature
    confidence: int
    direction: Direction
    offset: int
    end: int
    excerpt: bytes
    layers: tuple[str, ...] = ()
    coin: str = ""
    detail: str = ""

    @property
    def kind(self) -> Kind:
        """What the evidence does in a session; findings of different kinds are independent."""
        return self.signature.kind
