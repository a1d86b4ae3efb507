"""A TCP client in user space, for segments that no kernel would send.

It shakes hands properly, acknowledges what it receives, and sends a stream as the scenario says:
out of order, twice, overlapping, in the SYN, in IP fragments, across the sequence wrap. It tells
everything that comes back as JSON lines. Needs root in its network namespace.

Exit code 0: played to the end. 3: the connection was reset. 4: it was never established.
"""

import base64
import secrets
import signal
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

import click

from davylamp.errors import ConfigError
from davylamp.flow import TcpFlag
from davylamp.lab.programs.addresses import parse_endpoint
from davylamp.lab.programs.packets import (
    Ends,
    Received,
    Unreachable,
    ip_packets,
    read_back,
    tcp_segment,
)
from davylamp.lab.programs.rawtcp_road import (
    PacketSocket,
    find_road,
    kernel_resets_dropped,
    make_ends,
)
from davylamp.lab.programs.rawtcp_scenario import Close, Piece, Scenario, read_scenario
from davylamp.lab.programs.report import Reporter, excerpt
from davylamp.lab.programs.shell import plain_errors

SYN_TRIES = 3
SYN_PATIENCE = 1.0
FIN_PATIENCE = 0.1
MAX_KEPT = 1 << 20
_WRAP = 1 << 32


class Exit(IntEnum):
    """What the exit code says."""

    PLAYED = 0
    RESET = 3
    NOT_ESTABLISHED = 4


@dataclass(slots=True)
class State:
    """The connection's variables (RFC 9293 section 3.3.1) and what the peer said so far."""

    iss: int
    rcv_nxt: int = 0
    established: bool = False
    reset: bool = False
    peer_closed: bool = False
    acked: int = 0
    received: bytearray = field(default_factory=bytearray)


class RawConnection:
    """One connection over a packet socket."""

    def __init__(self, wire: PacketSocket, ends: Ends, iss: int, reporter: Reporter) -> None:
        self.state = State(iss)
        self._wire = wire
        self._ends = ends
        self._reporter = reporter
        self._ident = secrets.randbits(32)

    def open(self, syn_data: bytes) -> bool:
        """Shake hands, with data in the SYN where given; return whether it succeeded."""
        for _ in range(SYN_TRIES):
            self._send(self.state.iss, TcpFlag.SYN, syn_data)
            self._reporter.say("syn", isn=self.state.iss, data=len(syn_data))
            until = time.monotonic() + SYN_PATIENCE
            while time.monotonic() < until and not self.state.reset:
                self.listen(min(0.05, SYN_PATIENCE))
                if self.state.established:
                    return True
            if self.state.reset:
                break
        return False

    def send_piece(self, piece: Piece, payload: bytes) -> None:
        """Send one segment of the scenario, as often as it says."""
        for _ in range(piece.repeat):
            self._send(self.state.iss + 1 + piece.offset, piece.bits, payload, piece)
        self._reporter.say(
            "sent", offset=piece.offset, bytes=len(payload), flags=piece.flags, repeat=piece.repeat
        )

    def listen(self, seconds: float) -> None:
        """Receive, acknowledge and report for so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            packet = self._wire.receive(left)
            if packet is not None:
                self._take(read_back(packet, self._ends))

    def finish(self, end: Close, offset: int) -> None:
        """Close our half, or reset, at a stream offset."""
        match end:
            case Close.FIN:
                self._send(self.state.iss + 1 + offset, TcpFlag.FIN | TcpFlag.ACK)
                self.listen(FIN_PATIENCE)  # the peer's own FIN wants its acknowledgement
            case Close.RST:
                self._send(self.state.iss + 1 + offset, TcpFlag.RST | TcpFlag.ACK)
            case Close.NONE:
                pass

    def _send(self, seq: int, flags: int, payload: bytes = b"", piece: Piece | None = None) -> None:
        piece = piece or Piece()
        ack = self.state.rcv_nxt if flags & TcpFlag.ACK else 0
        segment = tcp_segment(
            self._ends,
            seq=seq,
            ack=ack,
            flags=flags,
            payload=payload,
            spoil_checksum=piece.bad_checksum,
        )
        self._ident = (self._ident + 1) % _WRAP
        packets = list(
            ip_packets(
                self._ends, segment, ident=self._ident, fragment=piece.fragment, ttl=piece.ttl
            )
        )
        for packet in reversed(packets) if piece.reverse else packets:
            self._wire.send(packet)

    def _take(self, message: Received | Unreachable | None) -> None:
        match message:
            case Unreachable(kind, code):
                self._reporter.say("icmp", type=kind, code=code)
            case Received():
                self._tell(message)
                self._advance(message)
            case None:
                pass

    def _tell(self, segment: Received) -> None:
        named = [flag.name for flag in TcpFlag if segment.flags & flag and flag.name]
        self._reporter.say(
            "reset" if segment.flags & TcpFlag.RST else "segment",
            flags=named,
            seq=segment.seq,
            acked_offset=(segment.ack - self.state.iss - 1) % _WRAP,
            bytes=len(segment.payload),
            text=excerpt(segment.payload),
        )

    def _advance(self, segment: Received) -> None:
        """Step the state machine: SYN-SENT to ESTABLISHED, then receive in order."""
        state = self.state
        if segment.flags & TcpFlag.RST:
            state.reset = True
            return
        acked = (segment.ack - state.iss - 1) % _WRAP
        if acked < _WRAP // 2:
            state.acked = max(state.acked, acked)
        if segment.flags & TcpFlag.SYN:
            state.rcv_nxt = (segment.seq + 1) % _WRAP
            state.established = True
            self._send(state.iss + 1 + state.acked, TcpFlag.ACK)
            return
        fin = bool(segment.flags & TcpFlag.FIN)
        if segment.seq == state.rcv_nxt and (segment.payload or fin):
            state.received += segment.payload[: MAX_KEPT - len(state.received)]
            state.rcv_nxt = (state.rcv_nxt + len(segment.payload) + fin) % _WRAP
            state.peer_closed |= fin
        if segment.payload or fin:
            # The sequence number to speak with is the one after what the peer has of us.
            self._send(state.iss + 1 + state.acked, TcpFlag.ACK)


def play(scenario: Scenario, reporter: Reporter) -> Exit:
    """Play a scenario against its target; raise KernelError or ConfigError where that cannot be."""
    target = parse_endpoint(scenario.target)
    road = find_road(target.host, scenario.source)
    our_port = scenario.source_port or 40_000 + secrets.randbelow(20_000)
    try:
        ends = make_ends(road, our_port, target.host, target.port)
    except ValueError as error:
        raise ConfigError(f"{scenario.target}: give an address, not a name") from error
    iss = secrets.randbits(32) if scenario.isn is None else scenario.isn
    with kernel_resets_dropped(ends), closing(PacketSocket(road, ends)) as wire:
        reporter.ready()
        connection = RawConnection(wire, ends, iss, reporter)
        return _play(scenario, connection, reporter)


def _play(scenario: Scenario, connection: RawConnection, reporter: Reporter) -> Exit:
    data, state = scenario.data(), connection.state
    if not connection.open(data[: scenario.syn_data]):
        reporter.say("not_established", reset=state.reset)
        return Exit.NOT_ESTABLISHED
    end = 0
    for piece in scenario.pieces():
        connection.listen(piece.delay)
        payload = piece.payload(data)
        connection.send_piece(piece, payload)
        end = max(end, piece.offset + len(payload))
    connection.listen(scenario.listen)
    if not state.reset:
        connection.finish(scenario.close, end)
    reporter.say(
        "summary",
        reset=state.reset,
        peer_closed=state.peer_closed,
        acked=min(state.acked, end),  # our FIN takes a number too
        received=base64.b64encode(bytes(state.received)).decode("ascii"),
    )
    return Exit.RESET if state.reset else Exit.PLAYED


@click.command()
@click.argument("scenario", type=click.Path(path_type=Path, allow_dash=True), default="-")
def main(scenario: Path) -> None:
    """Play a SCENARIO (a JSON file, or - for stdin); see the classes in rawtcp_scenario."""
    # As an exception, so that the nftables rule is taken away on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with plain_errors():
        text = sys.stdin.buffer.read() if str(scenario) == "-" else scenario.read_bytes()
        code = play(read_scenario(text), Reporter())
    sys.exit(code)


if __name__ == "__main__":
    main()
