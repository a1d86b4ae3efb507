# /// script
# dependencies = ["python-bitcoinrpc==1.0"]
# ///
"""bitcoind's RPC: an operator's client asks a node about the chain, and never for work."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bitcoinrpc.authproxy import AuthServiceProxy
from quotes import WALLET
from stage import pypi, python, recorded, serving

PORT = 8332
HASH = "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048"
GENESIS = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
MERKLE = "0e3e2357e806b6cdb1f70b54c3a3a17b6714ee1f0e68bebb44a74b1efd512098"
HEADER = "010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051fd1e4ba744bbbe680e1fee14677ba1a3c3540bf7b1cdb606e857233e0e61bc6649ffff001d01e36299"
BLOCK = {
    "hash": HASH, "confirmations": 800_000, "height": 1, "version": 1, "versionHex": "00000001",
    "merkleroot": MERKLE, "time": 1231469665, "mediantime": 1231469665, "nonce": 2573394689,
    "bits": "1d00ffff", "difficulty": 1, "chainwork": f"{0x200020002:064x}", "nTx": 1,
    "previousblockhash": GENESIS, "size": 215, "weight": 860, "tx": [MERKLE],
}  # fmt: skip
ANSWERS: dict[str, object] = {
    "getblockchaininfo": {"chain": "main", "blocks": 800_001, "headers": 800_001,
                          "bestblockhash": HASH, "difficulty": 53911173001054.59,
                          "verificationprogress": 1, "chainwork": f"{2**95:064x}"},
    "getblockcount": 800_001,
    "getblockhash": HASH,
    "getblock": BLOCK,
    "getblockheader": HEADER,
    "getmininginfo": {"blocks": 800_001, "difficulty": 53911173001054.59,
                      "networkhashps": 4.1e17, "pooledtx": 4000, "chain": "main", "warnings": ""},
    "getnetworkhashps": 4.1e17,
    "getdifficulty": 53911173001054.59,
    "validateaddress": {"isvalid": True, "address": WALLET, "isscript": False, "iswitness": True},
    "getrawmempool": [MERKLE, HASH],
    "gettxoutproof": HEADER + "0100000001" + MERKLE + "0101",
    "getnewaddress": WALLET,
    "sendtoaddress": MERKLE,
}  # fmt: skip


class Node(BaseHTTPRequestHandler):
    """Answers as bitcoind words its answers."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer one call or a batch."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        calls = asked if isinstance(asked, list) else [asked]
        answers = [
            {"result": ANSWERS[call["method"]], "error": None, "id": call["id"]} for call in calls
        ]
        body = json.dumps(answers if isinstance(asked, list) else answers[0]).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is called
        """Say nothing."""


def main() -> None:
    """Record the family."""
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Node)
    with serving(server.serve_forever, PORT):
        software = [pypi("python-bitcoinrpc"), python()]
        with recorded(
            "bitcoin-rpc",
            software=software,
            does="an operator's client reads chain, blocks, headers, addresses and hash rate",
            near="JSON-RPC over HTTP with 64-digit hashes, nonces, bits, merkle roots and wallets",
        ):
            node = AuthServiceProxy(f"http://operator:secret@127.0.0.1:{PORT}")
            node.getblockchaininfo()
            node.getblock(node.getblockhash(node.getblockcount() - 800_000))
            node.getblockheader(HASH, False)
            node.getmininginfo()
            node.getnetworkhashps(120, -1)
            node.validateaddress(WALLET)
            node.getrawmempool()
            node.gettxoutproof([MERKLE], HASH)
            node.sendtoaddress(node.getnewaddress("rig7"), 0.1)
        with recorded(
            "bitcoin-rpc-batch",
            software=software,
            does="the same client asks in one batch",
            near="hashes and block headers in an array of answers",
        ):
            node = AuthServiceProxy(f"http://operator:secret@127.0.0.1:{PORT}")
            node.batch_([[method, 1] for method in ANSWERS])


if __name__ == "__main__":
    main()
