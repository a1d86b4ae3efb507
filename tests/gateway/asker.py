"""A sandbox's questions: ``udp|tcp ADDRESS PORT``, ``https udp|tcp ADDRESS NAME``, ``forge ...``.

The first two print ``answered``, ``refused`` or ``silence``; ``https`` prints what the name's HTTPS
record says. ``forge RESOLVER NAME ADDRESS VICTIM`` sends an answer that no resolver gave.
"""

import contextlib
import socket
import struct
import sys

from tests.packets import ip_packet
from tests.streams import dns_name, dns_query, over_tcp

from davylamp.inspection.wire.dns import DnsMessage, ServiceBinding, parse_message


def ask(kind: str, address: str, port: str) -> str:
    """Send a question for www.example; the time-out is for who gets no answer at all."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    what = socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
    question = dns_query("www.example")
    with socket.socket(family, what) as client:
        client.settimeout(3.0)
        try:
            client.connect((address, int(port)))
            client.send(question if kind == "udp" else over_tcp(question))
            return "answered" if client.recv(4096) else "closed"
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "silence"


def https(kind: str, address: str, name: str) -> str:
    """Ask for a name's HTTPS record and say what it holds."""
    question = dns_query(name)[:-4] + b"\0\x41\0\1"
    what = socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, what) as client:
        client.settimeout(3.0)
        client.connect((address, 53))
        client.send(question if kind == "udp" else over_tcp(question))
        if kind == "udp":
            message = parse_message(client.recv(4096))
        else:
            size = int.from_bytes(client.recv(2, socket.MSG_WAITALL), "big")
            message = parse_message(client.recv(size, socket.MSG_WAITALL))
    assert isinstance(message, DnsMessage)
    value = message.answers[0].value
    assert isinstance(value, ServiceBinding)
    return f"alpn={','.join(value.alpn)} ech={value.ech}"


def forge(resolver: str, name: str, address: str, victim: str) -> str:
    """Send another sandbox an answer in a resolver's name, with a raw socket."""
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(address)
    message = struct.pack(">HHHHHH", 7, 0x8180, 1, 1, 0, 0) + dns_name(name) + b"\0\1\0\1" + record
    packet = ip_packet(
        resolver, victim, 17, struct.pack(">HHHH", 53, 33_000, 8 + len(message), 0) + message
    )
    total = sum(struct.unpack(">10H", packet[:20]))
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    packet = packet[:10] + checksum.to_bytes(2, "big") + packet[12:]
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)) as raw:
        raw.bind(("eth0", 0x0800))
        raw.sendto(packet, ("eth0", 0x0800, 0, 0, gateway_address()))
    return "sent"


def gateway_address() -> bytes:
    """Return the gateway's Ethernet address, after making sure that the kernel knows it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.settimeout(0.5)
        probe.connect(("10.90.0.1", 9))
        probe.send(b"x")
        probe.recv(1)
    with open("/proc/net/arp", encoding="ascii") as table:  # noqa: PTH123 - a line a time
        for line in table:
            words = line.split()
            if words[0] == "10.90.0.1":
                return bytes.fromhex(words[3].replace(":", ""))
    raise SystemExit("the gateway has no Ethernet address")


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    match what:
        case "https":
            said = https(*words)
        case "forge":
            said = forge(*words)
        case _:
            said = ask(what, *words)
    sys.stdout.write(said + "\n")
