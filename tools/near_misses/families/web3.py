# /// script
# dependencies = ["web3==8.0.0"]
# [tool.near-misses]
# npm = ["ganache@7.9.2"]
# ///
"""web3.py and a Ganache chain, over HTTP and WebSocket: everything but work."""

import asyncio

from stage import node, node_modules, npm, program, pypi, recorded
from web3 import AsyncWeb3, Web3, WebSocketProvider

PORT = 8545


def over_http() -> None:
    """Look at the chain, send a transaction, wait for it, ask in a batch."""
    w3 = Web3(Web3.HTTPProvider(f"http://127.0.0.1:{PORT}"))
    one, two = w3.eth.accounts[:2]
    block = w3.eth.get_block("latest")
    assert w3.eth.get_balance(one)
    sent = w3.eth.send_transaction({"from": one, "to": two, "value": 7, "data": "0x" + "ab" * 32})
    assert w3.eth.wait_for_transaction_receipt(sent)["status"] == 1
    w3.eth.get_transaction(sent)
    w3.eth.get_logs({"fromBlock": block["number"]})
    w3.eth.estimate_gas({"from": one, "to": two, "value": 1})
    w3.eth.get_block(block["hash"], full_transactions=True)
    w3.eth.get_storage_at(two, 0)
    assert w3.is_connected()
    w3.provider.make_request("eth_mining", [])
    w3.provider.make_request("eth_hashrate", [])
    with w3.batch_requests() as batch:
        for number in range(2):
            batch.add(w3.eth.get_block(number))
        batch.execute()


async def over_websocket() -> None:
    """Subscribe to new heads and transactions, cause two blocks, and take what is pushed."""
    async with AsyncWeb3(WebSocketProvider(f"ws://127.0.0.1:{PORT}")) as w3:
        one, two, *_ = await w3.eth.accounts
        await w3.eth.gas_price
        await w3.eth.subscribe("newHeads")
        await w3.eth.subscribe("newPendingTransactions")
        for value in range(2):
            await w3.eth.send_transaction({"from": one, "to": two, "value": value})
        pushed = 0
        async for _ in w3.socket.process_subscriptions():
            pushed += 1
            if pushed == 4:
                return


def main() -> None:
    """Record the family."""
    argv = ["node", node_modules() / "ganache/dist/node/cli.js", "--wallet.deterministic"]
    software = [pypi("web3"), npm("ganache"), node()]
    with program([*argv, "--server.host=127.0.0.1", f"--server.port={PORT}"], port=PORT):
        with recorded(
            "web3-http",
            software=software,
            does="blocks, balances, a transaction and its receipt, logs, hash rate, a batch",
            near="eth_ methods whose answers are lists and objects of 32-byte words",
        ):
            over_http()
        with recorded(
            "web3-websocket",
            software=software,
            does="calls, and subscriptions to new heads and to transactions",
            near="eth_subscribe, and headers pushed with nonce, mixHash and difficulty",
        ):
            asyncio.run(asyncio.wait_for(over_websocket(), 60))


if __name__ == "__main__":
    main()
