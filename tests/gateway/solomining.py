"""Solo mining at a node over HTTP: bitcoind's getblocktemplate, and XMRig's daemon mode.

    solomining.py node HOST PORT [CHAIN KEY]   says a JSON line for each request received whole
    solomining.py miner bitcoin|monero URL     exit 0: a template was given; 3: reset; 1: else

The requests are those of BIP 22 with BIP 145's rules, as cpuminer's and bfgminer's are, and of
XMRig's DaemonClient.cpp: ``GET /getheight``, then ``getblocktemplate`` at ``/json_rpc``.
"""

import asyncio
import json
import ssl
import sys
from base64 import b64encode
from urllib.parse import urlsplit

from davylamp.lab.programs import http1
from davylamp.lab.programs.link import Outcome, outcome_of
from davylamp.lab.programs.miner import AGENTS, MONERO_USER
from davylamp.lab.programs.pool_answer import Dialect
from davylamp.lab.programs.report import Json, Reporter

_reporter = Reporter()
_AGENT = AGENTS[Dialect.CRYPTONOTE]
_TEMPLATES: dict[str, Json] = {
    "bitcoin": {
        "version": 536870912,
        "previousblockhash": "00" * 8 + "ab" * 24,
        "transactions": [],
        "coinbasevalue": 312_500_000,
        "target": "00" * 8 + "ff" * 24,
        "bits": "17034219",
        "height": 870_000,
    },
    "monero": {
        "blocktemplate_blob": "10" * 120,
        "blockhashing_blob": "10" * 76,
        "difficulty": 480_045_461_231,
        "height": 3_300_000,
        "prev_hash": "ab" * 32,
        "reserved_offset": 130,
        "seed_hash": "cd" * 32,
        "status": "OK",
    },
}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be the node on one connection."""
    try:
        while True:
            head = await http1.read_head(reader)
            body = await reader.readexactly(head.length)
            method, path, _ = head.start
            if body:
                _reporter.say("request", path=path, text=body.decode())
            asked = json.loads(body) if body else {}
            kind = "monero" if path == "/json_rpc" else "bitcoin"
            known = asked.get("method") == "getblocktemplate"
            result: Json = _TEMPLATES[kind] if known else {"height": 3_300_000, "status": "OK"}
            answer = json.dumps({"id": asked.get("id"), "error": None, "result": result}).encode()
            fields = {"Content-Type": "application/json", "Content-Length": len(answer)}
            _reporter.say("asked", method=method, path=path)
            writer.write(http1.head_bytes("HTTP/1.1 200 OK", fields) + answer)
            await writer.drain()
    except ConnectionResetError:
        _reporter.say("reset")
    except (OSError, EOFError):
        _reporter.say("ended")
    finally:
        writer.close()


def requests(kind: str, host: str) -> tuple[bytes, ...]:
    """Return what a miner says to its node at first."""
    if kind == "bitcoin":
        template: Json = {"capabilities": ["coinbasetxn", "workid"], "rules": ["segwit"]}
        asked: dict[str, Json] = {"method": "getblocktemplate", "params": [template], "id": 0}
        secret = b64encode(b"miner:secret").decode()
        return (post("/", host, asked, {"Authorization": f"Basic {secret}"}),)
    wanted: Json = {"wallet_address": MONERO_USER, "extra_nonce": "0000000000000000"}
    asked = {"id": 1, "jsonrpc": "2.0", "method": "getblocktemplate", "params": wanted}
    fields = {"Host": host, "User-Agent": _AGENT}
    return (http1.head_bytes("GET /getheight HTTP/1.1", fields), post("/json_rpc", host, asked, {}))


def post(path: str, host: str, asked: dict[str, Json], more: dict[str, str]) -> bytes:
    """Return a JSON-RPC request in a POST."""
    body = json.dumps(asked, separators=(",", ":")).encode()
    fields = {"Host": host, "User-Agent": _AGENT, "Content-Type": "application/json"}
    fields |= {"Content-Length": str(len(body)), **more}
    return http1.head_bytes(f"POST {path} HTTP/1.1", fields) + body


async def mine(kind: str, url: str) -> int:
    """Ask for a template; return the exit status."""
    place = urlsplit(url)
    tls = None
    if place.scheme == "https":
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    assert place.hostname is not None
    _reporter.ready()
    try:
        async with asyncio.timeout(20):
            peer = await asyncio.open_connection(
                place.hostname, place.port, ssl=tls, server_hostname="" if tls else None
            )
            for request in requests(kind, place.netloc):
                body = await http1.fetch(*peer, request)
                _reporter.say("answered", status=body.status, text=body.begin.decode())
                if body.status != 200:
                    return 1
        return 0 if "result" in json.loads(body.begin) else 1
    except (OSError, EOFError) as error:
        outcome = outcome_of(error)
        _reporter.say(outcome.value)
        return 3 if outcome is Outcome.RESET else 1


async def listen(host: str, port: int, tls: ssl.SSLContext | None) -> None:
    """Be the node until killed."""
    server = await asyncio.start_server(serve, host, port, ssl=tls)
    _reporter.ready()
    await server.serve_forever()


def main(role: str, *rest: str) -> int:
    """Be one end."""
    if role == "miner":
        return asyncio.run(mine(*rest))
    host, port, *pair = rest
    tls = None
    if pair:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*pair)
    asyncio.run(listen(host, int(port), tls))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
