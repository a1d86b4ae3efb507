# /// script
# dependencies = ["aiohttp==3.14.5"]
# [tool.near-misses]
# debian = ["aria2"]
# ///
"""aria2: its JSON-RPC over HTTP and WebSocket, while it downloads a page about Stratum."""

import asyncio
import json
from pathlib import Path

import aiohttp
from aiohttp import web
from quotes import DOCUMENT
from stage import debian, program, pypi, recorded

RPC, FILES = 6800, 8000


async def http() -> None:
    """Ask for a download by HTTP, one call and a batch of them."""
    async with aiohttp.ClientSession() as session:

        async def call(body: object) -> object:
            async with session.post(f"http://127.0.0.1:{RPC}/jsonrpc", json=body) as answer:
                return await answer.json(content_type=None)

        def method(name: str, *params: object) -> dict[str, object]:
            return {"jsonrpc": "2.0", "id": "1", "method": name, "params": ["token:x", *params]}

        await call(method("aria2.addUri", [f"http://127.0.0.1:{FILES}/stratum.md"]))
        for _ in range(3):
            await asyncio.sleep(0.1)
            await call([method("aria2.getGlobalStat"), method("aria2.tellActive")])
        await call(method("aria2.tellStopped", 0, 10))


async def websocket() -> None:
    """Ask for a download by WebSocket, and wait to be notified of its end."""
    at = f"http://127.0.0.1:{RPC}/jsonrpc"
    async with aiohttp.ClientSession() as session, session.ws_connect(at) as socket:
        params = ["token:x", [f"http://127.0.0.1:{FILES}/again.md"]]
        method = "aria2.addUri"
        await socket.send_json({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
        async for message in socket:
            if json.loads(message.data).get("method") == "aria2.onDownloadComplete":
                return


async def main() -> None:
    """Record the family."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=DOCUMENT, content_type="text/markdown")

    site = web.Application()
    site.router.add_get("/{name}", page)
    runner = web.AppRunner(site)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", FILES).start()
    argv = ["aria2c", "--enable-rpc", f"--rpc-listen-port={RPC}", "--rpc-secret=x", "--dir=."]
    software = [debian("aria2"), pypi("aiohttp")]
    with program([*argv, "--no-conf", "--disable-ipv6"], port=RPC):
        with recorded(
            "aria2-http",
            software=software,
            does="a download by JSON-RPC over HTTP, one call and batches, and the download",
            near="JSON-RPC with a secret before its parameters; a page full of Stratum comes down",
        ):
            await http()
        with recorded(
            "aria2-websocket",
            software=software,
            does="a download by JSON-RPC over WebSocket, with notifications",
            near="a server pushes JSON-RPC without id over WebSocket, as a browser's pool does",
        ):
            await websocket()
    assert Path("stratum.md").read_text() == DOCUMENT
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
