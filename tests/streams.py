"""What programs say to each other: mining, its near misses, and everyday traffic."""

import functools
import json
import struct

from davylamp import paths
from davylamp.signatures.disk import load_directory
from davylamp.signatures.pack import Pack

POOL_NAME = "gulf.moneroocean.stream"

SUBSCRIBE = b'{"id":1,"method":"mining.subscribe","params":["cgminer/4.9.2"]}\n'
AUTHORIZE = b'{"id":2,"method":"mining.authorize","params":["bc1qworker.1","x"]}\n'
NOTIFY = (
    b'{"id":null,"method":"mining.notify","params":["bf","'
    b"4d16b6f85af6e2198f44ae2a6de67f78487ae5611b77c6c0440b921e00000000"
    b'","01000000010000","072f736c7573682f00",[],"00000002","1c2ac4af","504e86b9",false]}\n'
)
LOGIN = (
    b'{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"4' + b"8" * 94 + b'",'
    b'"pass":"x","agent":"XMRig/6.21.0 (Linux x86_64)","algo":["rx/0","cn/r"]}}\n'
)
JOB = (
    b'{"jsonrpc":"2.0","method":"job","params":{"blob":"'
    + b"10" * 76
    + b'","job_id":"17","target":"b88d0600","algo":"rx/0","height":3000000,"seed_hash":"'
    + b"ab" * 32
    + b'"}}\n'
)
SUBMIT = (
    b'{"id":2,"jsonrpc":"2.0","method":"submit","params":{"id":"f1","job_id":"17",'
    b'"nonce":"01000000","result":"' + b"cd" * 32 + b'"}}\n'
)

RPC = b'{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"search","q":"davy"}}\n'
GET = b"GET /simple/torch/ HTTP/1.1\r\nHost: pypi.org\r\nAccept: */*\r\n\r\n"
ASKED = (
    b"GET /proxy HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
SSH_CLIENT = b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"
SSH_SERVER = b"SSH-2.0-OpenSSH_8.9p1 Ubuntu-3\r\n"


@functools.cache
def core_pack() -> Pack:
    """Return the core pack as a gateway has it."""
    return load_directory(paths.SIGNATURES / "core")


def frame(first: int, payload: bytes, *, masked: bool) -> bytes:
    """Return one WebSocket frame (RFC 6455 section 5.2)."""
    size = len(payload)
    head = bytes((first,))
    head += bytes((size | masked << 7,)) if size < 126 else bytes((126 | masked << 7,))
    head += struct.pack(">H", size) if size >= 126 else b""
    if not masked:
        return head + payload
    mask = b"\x11\x22\x33\x44"
    return head + mask + bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))


def post(body: bytes, *, chunked: bool = False) -> bytes:
    """Return a POST of a JSON body."""
    head = b"POST /rpc HTTP/1.1\r\nHost: api.internal\r\nContent-Type: application/json\r\n"
    if chunked:
        half = len(body) // 2
        parts = b"".join(
            b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:]) if part
        )
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def response(body: bytes) -> bytes:
    """Return an HTTP response with a JSON body."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def quoted(line: bytes) -> bytes:
    """Return a JSON message that quotes a line in a string."""
    return json.dumps({"id": 1, "method": "review", "params": [line.decode()]}).encode() + b"\n"


def client_hello(name: str, *, record: int = 1 << 14) -> bytes:
    """Return a TLS 1.2 ClientHello for a host, in records of at most so many bytes."""
    host = name.encode()
    listed = struct.pack(">BH", 0, len(host)) + host
    extension = struct.pack(">HHH", 0, 2 + len(listed), len(listed)) + listed
    body = b"\x03\x03" + bytes(32) + b"\x00" + b"\x00\x02\x13\x01" + b"\x01\x00"
    body += struct.pack(">H", len(extension)) + extension
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"".join(
        b"\x16\x03\x01" + struct.pack(">H", len(part)) + part
        for part in (message[at : at + record] for at in range(0, len(message), record))
    )


def dns_name(name: str) -> bytes:
    """Return a name as labels."""
    return b"".join(bytes((len(part),)) + part.encode() for part in name.split(".")) + b"\0"


def dns_query(name: str) -> bytes:
    """Return a query for a name's address."""
    return struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + dns_name(name) + b"\0\1\0\1"


def dns_alias(name: str, alias: str) -> bytes:
    """Return the answer that a name is another's alias."""
    target = dns_name(alias)
    return (
        struct.pack(">HHHHHH", 7, 0x8180, 1, 1, 0, 0)
        + dns_name(name)
        + b"\0\1\0\1"
        + b"\xc0\x0c"
        + struct.pack(">HHIH", 5, 1, 60, len(target))
        + target
    )


def over_tcp(*messages: bytes) -> bytes:
    """Return DNS messages behind their lengths."""
    return b"".join(len(message).to_bytes(2, "big") + message for message in messages)
