# /// script
# dependencies = ["web3==8.0.0", "eth-tester[py-evm]==0.14.0b1", "aiohttp==3.14.5", "setuptools<81"]
# ///
"""web3.py against an eth-tester chain, over HTTP and WebSocket: everything but work."""

import asyncio
import json

from aiohttp import WSMsgType, web
from eth_tester import EthereumTester, PyEVMBackend
from stage import pypi, recorded
from web3 import AsyncWeb3, EthereumTesterProvider, Web3, WebSocketProvider

PORT = 8545
chain = EthereumTesterProvider(EthereumTester(PyEVMBackend()))


def plain(value: object) -> object:
    """Turn what eth-tester answers into JSON."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict) or hasattr(value, "items"):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def answer(call: dict[str, object]) -> object:
    """Answer one call."""
    print(call)
    got = chain.make_request(call["method"], call.get("params", []))
    print(got)
    return plain({**got, "id": call["id"]})


async def http(request: web.Request) -> web.Response:
    """Answer a call or a batch by HTTP."""
    asked = await request.json()
    if isinstance(asked, list):
        return web.json_response([answer(call) for call in asked])
    return web.json_response(answer(asked))


async def websocket(request: web.Request) -> web.WebSocketResponse:
    """Answer by WebSocket; a subscription to new heads is told of two."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is not WSMsgType.TEXT:
            break
        call = json.loads(message.data)
        if call["method"] != "eth_subscribe":
            await socket.send_json(answer(call))
            continue
        name = "0x9cef478923ff08bf67fde6c64013158d"
        await socket.send_json({"jsonrpc": "2.0", "id": call["id"], "result": name})
        for _ in range(2):
            chain.ethereum_tester.mine_block()
            asked = {"id": 1, "method": "eth_getBlockByNumber", "params": ["latest", False]}
            told = {"subscription": name, "result": answer(asked)["result"]}
            pushed = {"jsonrpc": "2.0", "method": "eth_subscription", "params": told}
            await socket.send_json(pushed)
    return socket


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
    with w3.batch_requests() as batch:
        for number in range(2):
            batch.add(w3.eth.get_block(number))
        batch.execute()


async def over_websocket() -> None:
    """Subscribe to new heads and take two, with calls before."""
    async with AsyncWeb3(WebSocketProvider(f"ws://127.0.0.1:{PORT}/ws")) as w3:
        await w3.eth.get_block("latest")
        await w3.eth.gas_price
        await w3.eth.subscribe("newHeads")
        heads = 0
        async for _ in w3.socket.process_subscriptions():
            heads += 1
            if heads == 2:
                break


async def main() -> None:
    """Record the family."""
    site = web.Application()
    site.router.add_post("/", http)
    site.router.add_get("/ws", websocket)
    runner = web.AppRunner(site)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", PORT).start()
    software = [pypi("web3"), pypi("eth-tester"), pypi("aiohttp")]
    with recorded(
        "web3-http",
        software=software,
        does="blocks, balances, a transaction and its receipt, logs, a batch",
        near="eth_ methods whose answers are lists and objects of 32-byte words",
    ):
        await asyncio.to_thread(over_http)
    with recorded(
        "web3-websocket",
        software=software,
        does="calls, and a subscription to new heads",
        near="eth_subscribe, and headers pushed with nonce, mixHash and difficulty",
    ):
        await asyncio.wait_for(over_websocket(), 60)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
