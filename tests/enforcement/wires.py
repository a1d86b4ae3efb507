"""A sandbox, a gateway and an outside host in three network namespaces, entered in-process.

Sockets belong to the namespace their thread was in when it made them, so one test can hold the
client, the server and the gateway's queue, and step through a packet's journey without threads.
"""

import contextlib
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from davylamp.capture.nfqueue import NfQueue, QueuedPacket
from davylamp.decision import Fate
from davylamp.enforcement.kernel import Kernel
from davylamp.enforcement.spec import Rate, RulesetSpec
from davylamp.flow import Proto
from davylamp.packet import slice_packet


@dataclass(frozen=True, slots=True)
class Addresses:
    """Both ends' addresses in one family, as sockets take them."""

    family: socket.AddressFamily
    sandbox: str
    outside: str

    @property
    def packed(self) -> tuple[bytes, bytes]:
        """The sandbox's and the outside's address in network order."""
        return (
            socket.inet_pton(self.family, self.sandbox),
            socket.inet_pton(self.family, self.outside),
        )


FOUR = Addresses(socket.AF_INET, "10.90.0.2", "10.91.0.2")
SIX = Addresses(socket.AF_INET6, "fd90::2", "fd91::2")


@dataclass(slots=True)
class Conversation:
    """A TCP connection from the sandbox to the outside, held at both ends."""

    client: socket.socket
    server: socket.socket
    ends: Addresses

    def close(self) -> None:
        """Close both ends."""
        self.client.close()
        self.server.close()


class Wire:
    """The three namespaces: ``s`` (sandbox), ``g`` (gateway) and ``o`` (outside)."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._sockets: list[socket.socket] = []
        self._home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def build(self) -> None:
        """Make the namespaces, the links between them, and the routes."""
        for name in "sgo":
            self._ip("netns", "add", self.prefix + name)
            # Without it a link's IPv6 works a second after it is up.
            self.run(name, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
            self.run(name, "ip", "link", "set", "lo", "up")
        for name, end, network in (("s", "g0", "90"), ("o", "g1", "91")):
            self._ip(
                *("link", "add", "e0", "netns", self.prefix + name, "type", "veth"),
                *("peer", "name", end, "netns", self.prefix + "g"),
            )
            for host, device, last in (("g", end, "1"), (name, "e0", "2")):
                run = (host, "ip")
                self.run(*run, "addr", "add", f"10.{network}.0.{last}/24", "dev", device)
                self.run(*run, "addr", "add", f"fd{network}::{last}/64", "dev", device, "nodad")
                self.run(*run, "link", "set", device, "up")
            self.run(name, "ip", "route", "add", "default", "via", f"10.{network}.0.1")
            self.run(name, "ip", "-6", "route", "add", "default", "via", f"fd{network}::1")
        self.run("g", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")

    def destroy(self) -> None:
        """Close every socket and delete the namespaces; the links go with them."""
        for each in self._sockets:
            each.close()
        for name in "sgo":
            subprocess.run(
                ["ip", "netns", "del", self.prefix + name], capture_output=True, check=False
            )
        os.close(self._home)

    @contextlib.contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Put this thread into a namespace for as long as the block lasts."""
        there = os.open(f"/run/netns/{self.prefix}{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.setns(there, os.CLONE_NEWNET)
            yield
        finally:
            os.setns(self._home, os.CLONE_NEWNET)
            os.close(there)

    def run(self, name: str, *arguments: str) -> str:
        """Run a program in a namespace and return what it printed."""
        return self._call("ip", "netns", "exec", self.prefix + name, *arguments)

    def listen(self, ends: Addresses, port: int) -> socket.socket:
        """Open a listening socket outside."""
        with self.inside("o"):
            return self._keep(socket.create_server((ends.outside, port), family=ends.family))

    def datagrams(self, name: str, ends: Addresses, port: int = 0) -> socket.socket:
        """Open a UDP socket; given a port it is bound to that, at the address outside."""
        with self.inside(name):
            made = self._keep(socket.socket(ends.family, socket.SOCK_DGRAM))
            if port:
                made.bind((ends.outside, port))
        made.settimeout(3)
        return made

    def raw(self, name: str) -> socket.socket:
        """Open a raw IPv4 socket that sends whole packets."""
        with self.inside(name):
            return self._keep(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))

    def _keep(self, made: socket.socket) -> socket.socket:
        self._sockets.append(made)
        return made

    def connect(
        self, listener: socket.socket, ends: Addresses = FOUR, local: str | None = None
    ) -> Conversation:
        """Connect from the sandbox; the handshake must need no verdict."""
        with self.inside("s"):
            source = None if local is None else (local, 0)
            there = listener.getsockname()[:2]
            client = self._keep(socket.create_connection(there, 3, source))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server, _ = listener.accept()
        self._keep(server).settimeout(3)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Conversation(client, server, ends)

    def _ip(self, *arguments: str) -> None:
        self._call("ip", *arguments)

    @staticmethod
    def _call(*arguments: str) -> str:
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{arguments}: {done.stderr}")
        return done.stdout


class Gateway:
    """The ruleset in force in ``g`` and its queues, judged by hand."""

    def __init__(self, wire: Wire, spec: RulesetSpec) -> None:
        self._wire = wire
        self.spec = spec
        self._passed: set[tuple[bytes, int, bytes]] = set()
        with wire.inside("g"):
            self.kernel = Kernel(spec)
            self.kernel.apply()
            self.queues = [
                NfQueue(number, marks=spec.marks)
                for number in range(spec.first_queue, spec.first_queue + spec.queues)
            ]
            self.sets = self.kernel.sets()

    @property
    def queue(self) -> NfQueue:
        """The first queue, where there is but one."""
        return self.queues[0]

    def judge(self, fate: Fate, count: int = 1) -> list[QueuedPacket]:
        """Wait for ``count`` packets, give all the same verdict, and return them.

        A segment sent once more because its verdict took long gets its verdict too, and does not
        count where the first was delivered.
        """
        judged: list[QueuedPacket] = []
        while len(judged) < count:
            packets = self.queue.receive(3.0)
            assert packets, f"waited for packet {len(judged) + 1} of {count} in vain"
            for packet in packets:
                self.queue.verdict(packet.packet_id, fate, packet.mark)
                if fate is Fate.DROP or self._is_new(packet):
                    judged.append(packet)
        self.queue.flush()
        return judged

    def _is_new(self, packet: QueuedPacket) -> bool:
        """Say whether a delivered packet is no retransmission of another."""
        sliced = slice_packet(packet.captured)
        if sliced is None or sliced.proto != Proto.TCP or not sliced.payload:
            return True
        segment = (sliced.tuple_key, sliced.seq, sliced.payload)
        known = segment in self._passed
        self._passed.add(segment)
        return not known

    def idle(self) -> bool:
        """Say whether nothing is queued within a moment."""
        return all(not queue.receive(0.15) for queue in self.queues)

    def clear(self, conversation: Conversation, fate: Fate = Fate.CLEAR) -> None:
        """Have a flow judged clean by its first bytes."""
        conversation.client.sendall(b"benign")
        self.judge(fate)
        assert conversation.server.recv(100) == b"benign"

    def packets(self, counter: str) -> int:
        """Read one of the ruleset's counters."""
        with self._wire.inside("g"):
            return self.kernel.counters()[counter].packets

    def close(self) -> None:
        """Close the queues and take the ruleset out."""
        for queue in self.queues:
            queue.close()
        self.sets.close()
        with self._wire.inside("g"):
            self.kernel.remove()


SPEC = RulesetSpec(sandbox_interfaces=("g0",), sample_after=6, triggers=Rate(1, 2))


def ip_fragments(payload: bytes, flags: int, *, cut: int = 0, valid: bool = True) -> list[bytes]:
    """Return a TCP/IPv4 packet from the sandbox, in two fragments where ``cut`` says so.

    ``cut`` counts bytes of the TCP header and payload, in eights. Not ``valid``, its TCP checksum
    is wrong.
    """
    source, target = FOUR.packed
    tcp = struct.pack(">HHIIBBHHH", 4000, 3333, 1, 1, 0x50, flags, 1024, 0, 0) + payload
    words = source + target + struct.pack(">HH", 6, len(tcp)) + tcp + bytes(len(tcp) % 2)
    total = sum(struct.unpack(f">{len(words) // 2}H", words))
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    checksum ^= 0 if valid else 0x5555
    tcp = tcp[:16] + checksum.to_bytes(2, "big") + tcp[18:]
    parts = [(0, 0x2000, tcp[:cut]), (cut // 8, 0, tcp[cut:])] if cut else [(0, 0, tcp)]
    return [
        struct.pack(">BBHHHBBH", 0x45, 0, 0, 77, more | offset, 64, 6, 0) + source + target + part
        for offset, more, part in parts
    ]
