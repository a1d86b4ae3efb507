"""What a mitmproxy worker and the gateway say to each other, over a socket pair.

The gateway says its brief, one line of JSON, then orders (`workers.orders`) and answers. The worker
says events, a line each, as every worker does (`workers.link`), and beside them which endpoints to
block, and asks which names were given out: it reads what strangers wrote, and so does not get to
speak to the kernel itself. Its first line means that it listens. A line that is none of these, or
too long, is the end of that worker.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address

import msgspec

from davylamp.decision import Block
from davylamp.events import AlertEvent, Event, StatsEvent, TlsEvent
from davylamp.flow import FlowKey, Proto
from davylamp.workers.orders import PackReply


class BlockRecord(Event, tag="block", frozen=True, kw_only=True):
    """An endpoint that a sandbox may not reach again for a while."""

    proto: str
    src_ip: str
    dest_ip: str
    dest_port: int

    @classmethod
    def of(cls, key: FlowKey, timestamp: str) -> "BlockRecord":
        """Return the record that blocks a flow's responder to its originator."""
        return cls(
            timestamp=timestamp,
            proto=key.proto.name,
            src_ip=key.orig_ip,
            dest_ip=key.resp_ip,
            dest_port=key.resp_port,
        )

    def block(self) -> Block:
        """Return what to tell the kernel; raise ValueError where this names no endpoint."""
        source, destination = ip_address(self.src_ip), ip_address(self.dest_ip)
        if self.proto not in Proto.__members__ or not 0 < self.dest_port <= 65535:
            raise ValueError(f"{self.proto} port {self.dest_port} is no endpoint")
        if source.version != destination.version or not _one_host(destination):
            raise ValueError(f"{self.dest_ip} is no endpoint of {self.src_ip}")
        return Block(Proto[self.proto], source.packed, destination.packed, self.dest_port)


class QuestionRecord(Event, tag="question", frozen=True, kw_only=True):
    """Was ``src_ip`` told that ``name`` is at ``dest_ip``? The answer has the same ``number``."""

    number: int
    src_ip: str
    dest_ip: str
    name: str

    def ends(self) -> tuple[bytes, bytes]:
        """Return both addresses packed; raise ValueError where they are not of one family."""
        source, destination = ip_address(self.src_ip), ip_address(self.dest_ip)
        if source.version != destination.version:
            raise ValueError(f"{self.dest_ip} is no address that {self.src_ip} was told")
        return source.packed, destination.packed


type Record = AlertEvent | TlsEvent | StatsEvent | BlockRecord | QuestionRecord | PackReply

_decoder = msgspec.json.Decoder(
    AlertEvent | TlsEvent | StatsEvent | BlockRecord | QuestionRecord | PackReply
)


def decode(line: bytes) -> Record:
    """Read one line of a worker's; raise msgspec.DecodeError on anything else."""
    record: Record = _decoder.decode(line)
    return record


def _one_host(address: IPv4Address | IPv6Address) -> bool:
    return not (address.is_unspecified or address.is_multicast)
