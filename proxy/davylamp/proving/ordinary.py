"""Ordinary traffic: what a training sandbox says all day, to measure packs by.

The bytes are made here; RFCs 8446, 6066 and 1035 say how.
"""

import struct

from davylamp.flow import Direction

type Segment = tuple[Direction, bytes]
type Flow = tuple[Segment, ...]


def ordinary_flows() -> tuple[tuple[str, Flow], ...]:
    """Return the beginnings of ordinary TCP flows, each with a word for what it is."""
    client, server = Direction.ORIGINATOR, Direction.RESPONDER
    body = b'{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"search"}}'
    answer = b'{"jsonrpc":"2.0","id":17,"result":{"content":[{"type":"text","text":"none"}]}}'
    get = b"GET /simple/torch/ HTTP/1.1\r\nHost: pypi.org\r\nUser-Agent: pip/24\r\n\r\n"
    browser = (
        b"GET /a/b?c=d HTTP/1.1\r\nHost: huggingface.co\r\nConnection: keep-alive\r\n"
        b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0\r\n"
        b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
        b"Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.5\r\n\r\n"
    )
    post = (
        b"POST /rpc HTTP/1.1\r\nHost: api.internal\r\nContent-Type: application/json\r\n"
        b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
    )
    text = b"220 mail.example ESMTP ready\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
    return (
        ("GET", ((client, get),)),
        ("GET of a browser", ((client, browser),)),
        ("TLS hello", ((client, client_hello("download.pytorch.org")),)),
        ("POST of JSON", ((client, post),)),
        ("JSON lines", ((client, body + b"\n"), (server, answer + b"\n")) * 4),
        ("text lines", ((server, text), (client, b"EHLO sandbox\r\nQUIT\r\n"))),
        ("opaque bytes", ((client, bytes(range(255, 0, -1)) * 4),)),
        ("SSH", ((client, b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),)),
    )


def client_hello(name: str) -> bytes:
    """Return a TLS 1.2 ClientHello in one record that asks for a host (RFC 5246 and RFC 6066)."""
    host = name.encode("idna")
    listed = struct.pack(">BH", 0, len(host)) + host
    extension = struct.pack(">HHH", 0, 2 + len(listed), len(listed)) + listed
    body = b"\x03\x03" + bytes(range(32)) + b"\x00" + b"\x00\x02\xc0\x2f" + b"\x01\x00"
    body += struct.pack(">H", len(extension)) + extension
    handshake = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + struct.pack(">H", len(handshake)) + handshake


def dns_query(name: str) -> bytes:
    """Return a query for a host's address (RFC 1035 section 4.1)."""
    labels = b"".join(bytes((len(one),)) + one for one in name.encode("idna").split(b"."))
    return struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"
