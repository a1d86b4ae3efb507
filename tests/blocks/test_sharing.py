"""Which verdicts are for every gateway."""

import pytest
from tests.blocks.conftest import MakeAlert

from davylamp.blocks.model import parse_endpoint
from davylamp.blocks.sharing import shareable
from davylamp.errors import ConfigError
from davylamp.events import Action, FusionInfo, FusionPart, TlsInfo


def fused(confidence: int, *kinds: str) -> FusionInfo:
    """Return a sum of findings."""
    part = {"signature_id": "s", "direction": "originator", "confidence": 70, "weight": 3.7}
    parts = tuple(FusionPart(kind=kind, **part) for kind in kinds)  # type: ignore[arg-type]
    return FusionInfo(confidence=confidence, needed=80, weight=9.0, parts=parts)


# name, what differs from a CryptoNote login in the clear that was reset, whether all share it
CASES = [
    ("a login in the clear", {}, True),
    ("over IPv6", {"dest_ip": "2001:db8::9"}, True),
    ("to a private address", {"dest_ip": "192.168.0.9"}, True),
    ("in TLS that asked for no name", {"layers": ("tcp", "tls"), "tls": TlsInfo()}, True),
    ("in TLS that asked for a name", {"layers": ("tcp", "tls"), "tls": TlsInfo(sni="a.b")}, False),
    ("in TLS whose hello nobody saw", {"layers": ("tcp", "tls")}, False),
    ("in HTTPS", {"layers": ("tcp", "tls", "http"), "tls": TlsInfo()}, False),
    ("in HTTP", {"layers": ("tcp", "http")}, False),
    ("in WebSocket", {"layers": ("tcp", "http", "websocket")}, False),
    ("through SOCKS", {"layers": ("tcp", "socks")}, False),
    ("through a relay of no kind we know", {"layers": ("tcp", "whatever")}, False),
    ("of unknown layers", {"layers": ()}, False),
    ("a pool's name", {"category": "pool"}, False),
    ("SSH where it may not go", {"category": "tunnel"}, False),
    ("a block template", {"category": "solo"}, False),
    ("only alerted on", {"action": Action.ALERT}, False),
    ("dropped without a reset", {"action": Action.DROP}, True),
    ("not sure enough", {"confidence": 79}, False),
    ("sure together", {"confidence": 70, "fusion": fused(85, "login", "job")}, True),
    ("together not sure enough", {"confidence": 70, "fusion": fused(79, "login", "job")}, False),
    ("sure by a name", {"confidence": 70, "fusion": fused(90, "login", "name")}, False),
]


@pytest.mark.parametrize(("name", "changes", "expected"), CASES, ids=[case[0] for case in CASES])
def test_only_a_dialect_spoken_to_the_endpoint_is_for_everybody(
    make_alert: MakeAlert, name: str, changes: dict[str, object], expected: bool
) -> None:
    """A name, a relay or a doubt keeps a verdict where it was made."""
    block = shareable(make_alert(**changes), "gw-1", 80, 1e9, 60.0)
    assert (block is not None) is expected
    if block is not None:
        assert (block.gateway, block.incident_id, block.rev) == ("gw-1", "inc-1", 2)
        assert block.until == 1e9 + 60
        assert str(parse_endpoint(block.endpoint)) == block.endpoint


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("203.0.113.10:3333", "tcp/203.0.113.10:3333"),
        ("UDP/203.0.113.10:53", "udp/203.0.113.10:53"),
        ("[2001:DB8::0:10]:443", "tcp/[2001:db8::10]:443"),
        ("[::ffff:203.0.113.10]:443", "tcp/203.0.113.10:443"),
    ],
)
def test_an_endpoint_is_read_in_each_form(text: str, shown: str) -> None:
    """And always written in one."""
    assert str(parse_endpoint(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        *("", "pool.example:3333", "203.0.113.10", "203.0.113.10:0", "203.0.113.10:65536"),
        *("icmp/203.0.113.10:1", "0.0.0.0:80", "224.0.0.1:80", "127.0.0.1:80", "10.0.0.0/8:80"),
        "x" * 9000,
    ],
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    """Names, networks, nobody and everybody are no endpoints."""
    with pytest.raises(ConfigError, match="endpoint"):
        parse_endpoint(text)
