# /// script
# dependencies = ["aiorpcx==0.25.0"]
# ///
"""Electrum's protocol: subscriptions and hashes in JSON lines over TCP, with aiorpcX at both ends."""

import asyncio

import aiorpcx
from stage import pypi, recorded

PORT = 50001
HEADER = "010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051fd1e4ba744bbbe680e1fee14677ba1a3c3540bf7b1cdb606e857233e0e61bc6649ffff001d01e36299"
HASHES = [f"{number * 0x9E3779B97F4A7C15 % 2**256:064x}" for number in range(1, 9)]
ANSWERS = {
    "server.version": ["ElectrumX 1.16.0", "1.4"],
    "server.banner": "Welcome",
    "server.features": {"genesis_hash": HASHES[0], "hosts": {}, "protocol_max": "1.4",
                        "protocol_min": "1.4", "pruning": None, "server_version": "ElectrumX",
                        "hash_function": "sha256"},
    "server.ping": None,
    "blockchain.headers.subscribe": {"height": 800_000, "hex": HEADER},
    "blockchain.scripthash.subscribe": HASHES[1],
    "blockchain.scripthash.get_history": [{"height": 200_004, "tx_hash": HASHES[2]}],
    "blockchain.scripthash.get_balance": {"confirmed": 103873966, "unconfirmed": 0},
    "blockchain.transaction.get_merkle": {"block_height": 450_538, "merkle": HASHES, "pos": 710},
    "blockchain.block.headers": {"count": 4, "hex": HEADER * 4, "max": 2016},
    "blockchain.estimatefee": 0.0001,
    "mempool.get_fee_histogram": [[12, 128_812], [4, 92_524]],
}  # fmt: skip


class Server(aiorpcx.RPCSession):
    """Answers as ElectrumX does, and tells of a new block after a subscription."""

    async def handle_request(self, request: aiorpcx.Request) -> object:
        """Answer one request."""
        if request.method == "blockchain.scripthash.subscribe":
            asyncio.get_running_loop().call_later(0.05, asyncio.ensure_future, self.tell())
        return ANSWERS[request.method]

    async def tell(self) -> None:
        """Push a new header, and a new status of a script."""
        header = {"height": 800_001, "hex": HEADER}
        await self.send_notification("blockchain.headers.subscribe", [header])
        await self.send_notification("blockchain.scripthash.subscribe", [HASHES[3], HASHES[4]])


async def main() -> None:
    """Record the family."""
    server = await aiorpcx.serve_rs(Server, "127.0.0.1", PORT)
    arguments = {
        "server.version": ["electrum/4.5.8", "1.4"],
        "blockchain.scripthash.subscribe": [HASHES[3]],
        "blockchain.scripthash.get_history": [HASHES[3]],
        "blockchain.scripthash.get_balance": [HASHES[3]],
        "blockchain.transaction.get_merkle": [HASHES[2], 450_538],
        "blockchain.block.headers": [0, 4],
        "blockchain.estimatefee": [2],
    }
    with recorded(
        "electrum",
        software=[pypi("aiorpcx")],
        does="a wallet opens, subscribes to headers and a script, reads history and merkle proofs",
        near="JSON lines over TCP with .subscribe, merkle branches, 64-digit hashes and headers",
    ):
        async with aiorpcx.connect_rs("127.0.0.1", PORT) as session:
            for method in ANSWERS:
                await session.send_request(method, arguments.get(method, []))
            await asyncio.sleep(0.3)
    with recorded(
        "electrum-batch",
        software=[pypi("aiorpcx")],
        does="a wallet asks for all of its scripts in one batch",
        near="an array of subscriptions, answered by an array of 64-digit results",
    ):
        async with aiorpcx.connect_rs("127.0.0.1", PORT) as session:
            async with session.send_batch() as batch:
                batch.add_request("server.version", ["electrum/4.5.8", "1.4"])
                for script in HASHES:
                    batch.add_request("blockchain.scripthash.subscribe", [script])
            await asyncio.sleep(0.3)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
