"""The nouns of what gateways refuse together. Times are seconds since the epoch.

An *endpoint block* keeps every sandbox from an address and port; a *quarantine* keeps one
container's lifecycle from everything. Both end by themselves at ``until``, or when they are
``released``. A record that was released is kept for a time: gateways that were away must hear of
it.
"""

import ipaddress

import msgspec

from davylamp.decision import Endpoint
from davylamp.errors import ConfigError
from davylamp.events import Struct
from davylamp.flow import Proto


class EndpointBlock(Struct, frozen=True, kw_only=True):
    """An endpoint, written ``tcp/203.0.113.10:3333``, and why it is refused to everybody.

    ``gateway`` judged it, or ``by`` says which person did. ``released`` is when that ended.
    """

    endpoint: str
    at: float
    until: float
    gateway: str = ""
    by: str = ""
    reason: str = ""
    signature_id: str = ""
    rev: int = 0
    confidence: int = 0
    incident_id: str = ""
    released: float = 0.0
    released_by: str = ""

    def stands(self, now: float) -> bool:
        """Tell whether it is in force."""
        return not self.released and self.until > now


class Quarantine(Struct, frozen=True, kw_only=True):
    """A lifecycle whose addresses send nothing; ``addresses`` are those known when it began."""

    lifecycle_id: str
    addresses: tuple[str, ...]
    at: float
    until: float
    gateway: str = ""
    container: str = ""
    incident_id: str = ""
    released: float = 0.0
    released_by: str = ""

    def stands(self, now: float) -> bool:
        """Tell whether it is in force."""
        return not self.released and self.until > now


class Report(Struct, frozen=True, kw_only=True):
    """How far a gateway has followed the stream of changes, and what it makes of them.

    ``enforcing`` says that its kernel refuses anything, ``shares`` that it takes what other
    gateways judged.
    """

    name: str
    at: float
    position: str
    enforcing: bool = False
    shares: bool = False


class EndpointChange(Struct, tag_field="change", tag="endpoint", frozen=True, kw_only=True):
    """An endpoint's block is now this."""

    block: EndpointBlock


class QuarantineChange(Struct, tag_field="change", tag="quarantine", frozen=True, kw_only=True):
    """A lifecycle's quarantine is now this."""

    quarantine: Quarantine


class UndoChange(Struct, tag_field="change", tag="undo", frozen=True, kw_only=True):
    """A person asked a gateway to undo what it did about an incident."""

    gateway: str


Change = EndpointChange | QuarantineChange | UndoChange

encode = msgspec.json.Encoder().encode
"""Return a record or change as one line of JSON."""
_block_decoder = msgspec.json.Decoder(EndpointBlock)
_quarantine_decoder = msgspec.json.Decoder(Quarantine)
_report_decoder = msgspec.json.Decoder(Report)
_change_decoder = msgspec.json.Decoder(Change)


def decode_block(raw: bytes) -> EndpointBlock:
    """Read an endpoint's block back; raise msgspec.DecodeError on anything else."""
    return _block_decoder.decode(raw)


def decode_quarantine(raw: bytes) -> Quarantine:
    """Read a quarantine back; raise msgspec.DecodeError on anything else."""
    return _quarantine_decoder.decode(raw)


def decode_report(raw: bytes) -> Report:
    """Read a gateway's report back; raise msgspec.DecodeError on anything else."""
    return _report_decoder.decode(raw)


def decode_change(raw: bytes) -> Change:
    """Read a change back; raise msgspec.DecodeError on anything else."""
    change: Change = _change_decoder.decode(raw)
    return change


def parse_endpoint(text: str) -> Endpoint:
    """Read ``[tcp/|udp/]ADDRESS:PORT``; raise ConfigError for what is no endpoint of one host."""
    proto, slash, rest = text.strip().rpartition("/")
    host, _, port = rest.rpartition(":")
    name = proto.upper() if slash else Proto.TCP.name
    number = int(port) if port.isascii() and port.isdigit() and len(port) < 6 else 0
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        address = None
    if address is None or name not in Proto.__members__ or not 0 < number <= 65535:
        raise ConfigError(
            f"{text[:80]!r} is no endpoint; write 203.0.113.10:3333, [2001:db8::10]:443 or "
            "udp/203.0.113.10:3333"
        )
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_unspecified or address.is_multicast or address.is_loopback:
        raise ConfigError(f"{text[:80]!r} is no endpoint that a sandbox could reach")
    return Endpoint(Proto[name], address.packed, number)
