"""Who reads what a direction's first bytes open."""

from collections.abc import Callable

from davylamp.flow import Direction
from davylamp.inspection.armoured import ArmouredLines, may_be_armoured
from davylamp.inspection.declared.beanstalkd import BEANSTALKD
from davylamp.inspection.declared.elements import Protocol
from davylamp.inspection.declared.mqtt import MQTT
from davylamp.inspection.declared.nats import NATS
from davylamp.inspection.declared.resp import RESP
from davylamp.inspection.dns import DnsMessages
from davylamp.inspection.identify import Opening
from davylamp.inspection.jsonlines import JsonLines
from davylamp.inspection.peers import PeerGreeting
from davylamp.inspection.proxyheader import ProxyPrefix
from davylamp.inspection.reader import Place, Reader
from davylamp.inspection.socks import SocksClient, SocksServer
from davylamp.inspection.ssh import SshIdentification
from davylamp.inspection.tls import TlsClient
from davylamp.inspection.trial import Trial

DECLARED: dict[Opening, tuple[Protocol, Direction]] = {
    Opening.REDIS: (RESP, Direction.ORIGINATOR),
    Opening.BEANSTALKD: (BEANSTALKD, Direction.ORIGINATOR),
    Opening.MQTT: (MQTT, Direction.ORIGINATOR),
    Opening.NATS: (NATS, Direction.RESPONDER),
}
"""Protocols whose values declare their length, and which side speaks first."""

READERS: dict[tuple[Opening, Direction], Callable[[Place], Reader]] = {
    (Opening.TLS_CLIENT, Direction.ORIGINATOR): TlsClient,
    (Opening.PROXY_HEADER, Direction.ORIGINATOR): ProxyPrefix,
    (Opening.SOCKS, Direction.ORIGINATOR): SocksClient,
    (Opening.SOCKS, Direction.RESPONDER): SocksServer,
    (Opening.SSH, Direction.ORIGINATOR): SshIdentification,
    (Opening.SSH, Direction.RESPONDER): SshIdentification,
    (Opening.DNS, Direction.ORIGINATOR): DnsMessages,
    (Opening.DNS, Direction.RESPONDER): DnsMessages,
    (Opening.PEER, Direction.ORIGINATOR): PeerGreeting,
    (Opening.PEER, Direction.RESPONDER): PeerGreeting,
    (Opening.BINARY, Direction.ORIGINATOR): Trial,
    (Opening.BINARY, Direction.RESPONDER): Trial,
}
"""Who reads what, by who says it; of what is missing here lines are read."""

LINES = (JsonLines, ArmouredLines)
OPAQUE = frozenset({JsonLines, ArmouredLines, Trial, SocksClient, SocksServer, PeerGreeting})
"""Readers of what may as well be opaque, so that both directions are watched beside them."""

_PLAIN = frozenset({b'{"', b"{ ", b"{\n", b"{}", b"[{", b"[]"})
"""How JSON begins that nothing can be armour of: the common case."""


def lines(data: bytes, place: Place) -> Reader:
    """Return what reads lines, or the armour around them, that begin so."""
    armoured = data[:2] not in _PLAIN and may_be_armoured(data)
    return ArmouredLines(place) if armoured else JsonLines(place)
