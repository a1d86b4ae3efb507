"""Honest streams, both ends; clients trust whom their environment says, and exit 0 if all is well.

streams.py grpc-server HOST PORT CHAIN KEY     streams.py grpc HOST:PORT
streams.py echo-server HOST PORT CHAIN KEY     streams.py echo wss://HOST/
streams.py events https://HOST                 streams.py ranges URL FILE SHA256
"""

import asyncio
import hashlib
import json
import os
import ssl
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue

import grpc
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.extensions.permessage_deflate import PerMessageDeflate

from davylamp.lab.programs.report import Reporter

_SERVICE = "lab.Echo"
_MESSAGES = 50
_PARTS = 8


def grpc_server(host: str, port: str, chain: str, key: str) -> None:
    """Echo: one for one, one for many, many for one, many for many."""

    def many(request: bytes, _: grpc.ServicerContext) -> Iterator[bytes]:
        for number in range(_MESSAGES):
            yield b"%d:" % number + request

    def joined(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        context.set_trailing_metadata((("x-lab-trailer", "there"),))
        return hashlib.sha256(b"".join(requests)).digest()

    def refused(_: bytes, context: grpc.ServicerContext) -> bytes:
        return context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no more")  # type: ignore[no-any-return]

    handlers = {
        "One": grpc.unary_unary_rpc_method_handler(lambda request, _: request),
        "Many": grpc.unary_stream_rpc_method_handler(many),
        "Joined": grpc.stream_unary_rpc_method_handler(joined),
        "Both": grpc.stream_stream_rpc_method_handler(lambda requests, _: requests),
        "Refused": grpc.unary_unary_rpc_method_handler(refused),
    }
    server = grpc.server(ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, handlers),))
    pair = (Path(key).read_bytes(), Path(chain).read_bytes())
    server.add_secure_port(f"{host}:{port}", grpc.ssl_server_credentials([pair]))
    server.start()
    Reporter().ready()
    server.wait_for_termination()


def grpc_client(target: str) -> None:
    """Call each of them; of the last, every message waits for the answer to the one before."""
    large = os.urandom(1 << 20)
    with grpc.secure_channel(target, grpc.ssl_channel_credentials()) as channel:
        one = channel.unary_unary(f"/{_SERVICE}/One")
        assert one(b"hello", timeout=20) == b"hello"
        assert one(large, timeout=20) == large
        many = channel.unary_stream(f"/{_SERVICE}/Many")
        got = list(many(b"x", timeout=20))
        assert got == [b"%d:x" % number for number in range(_MESSAGES)]
        joined = channel.stream_unary(f"/{_SERVICE}/Joined")
        answer, call = joined.with_call(iter([large] * 4), timeout=20)
        assert answer == hashlib.sha256(large * 4).digest()
        assert ("x-lab-trailer", "there") in [tuple(one) for one in call.trailing_metadata()]
        taking_turns(channel)
        refused = channel.unary_unary(f"/{_SERVICE}/Refused").future(b"", timeout=20)
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refused.details() == "no more"


def taking_turns(channel: grpc.Channel) -> None:
    """Say the next thing only once the last was answered."""
    said: SimpleQueue[bytes | None] = SimpleQueue()
    answers = channel.stream_stream(f"/{_SERVICE}/Both")(iter(said.get, None), timeout=20)
    for number in range(_MESSAGES):
        said.put(b"%d" % number)
        assert next(answers) == b"%d" % number
    said.put(None)
    assert list(answers) == []


async def echo_server(host: str, port: str, chain: str, key: str) -> None:
    """Send every message back."""

    async def echo(peer: ServerConnection) -> None:
        async for message in peer:
            await peer.send(message)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    async with serve(echo, host, int(port), ssl=context, max_size=None) as server:
        Reporter().ready()
        await server.serve_forever()


async def echo_client(url: str) -> None:
    """Have text and binary, small and large, in pieces and empty, sent back; compressed and not."""
    messages: list[str | bytes] = ["hello", "", b"\x00\xff" * 500, "long " * 100_000]
    messages += [os.urandom(2 << 20), json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"})]
    for compression in ("deflate", None):
        async with connect(url, compression=compression, max_size=None, proxy=None) as peer:
            offered = [
                one for one in peer.protocol.extensions if isinstance(one, PerMessageDeflate)
            ]
            assert bool(offered) == bool(compression)
            for message in messages:
                await peer.send(message)
                assert await peer.recv() == message
            await peer.send(iter(["in ", "pieces"]))
            assert await peer.recv() == "in pieces"
            await asyncio.wait_for(await peer.ping(), 20)


def events(url: str) -> None:
    """Read events; tell the server of each, without which it would not send the next."""
    with urllib.request.urlopen(f"{url}/events", timeout=20) as stream:
        number = 0
        for line in stream:
            if line.startswith(b"data: "):
                assert json.loads(line[6:])["number"] == number
                urllib.request.urlopen(f"{url}/seen/{number}", timeout=20).close()
                number += 1
    assert number == 5


def ranges(url: str, file: str, sha256: str) -> None:
    """Fetch parts side by side, each of them broken off once and resumed, as downloaders do."""
    with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=20) as head:
        size, tag = int(head.headers["Content-Length"]), head.headers["ETag"]

    def part(first: int, end: int) -> bytes:
        found = b""
        while len(found) < end - first:
            wanted = f"bytes={first + len(found)}-{end - 1}"
            asked = urllib.request.Request(url, headers={"Range": wanted, "If-Range": tag})
            with urllib.request.urlopen(asked, timeout=60) as answer:
                assert answer.status == 206
                found += answer.read((end - first) // 2) if not found else answer.read()
        return found

    borders = [size * number // _PARTS for number in range(_PARTS + 1)]
    with ThreadPoolExecutor(_PARTS) as pool:
        parts = list(pool.map(lambda pair: part(*pair), pairwise(borders)))
    Path(file).write_bytes(b"".join(parts))
    assert hashlib.sha256(b"".join(parts)).hexdigest() == sha256


def main(role: str, *rest: str) -> None:
    """Be one end."""
    match role:
        case "grpc-server":
            grpc_server(*rest)
        case "grpc":
            grpc_client(*rest)
        case "echo-server":
            asyncio.run(echo_server(*rest))
        case "echo":
            asyncio.run(echo_client(*rest))
        case "events":
            events(*rest)
        case _:
            ranges(*rest)


if __name__ == "__main__":
    main(*sys.argv[1:])
