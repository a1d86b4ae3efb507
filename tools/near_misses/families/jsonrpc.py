# /// script
# dependencies = ["jsonrpcserver==5.0.9", "jsonrpcclient==4.0.3", "aiohttp==3.14.5", "setuptools<81"]
# [tool.near-misses]
# npm = ["jayson@5.0.0", "rpc-websockets@10.0.1"]
# ///
"""JSON-RPC libraries over HTTP, TCP and WebSocket, with methods named login, job and submit."""

import asyncio
from pathlib import Path

import aiohttp
import jsonrpcclient
import jsonrpcserver
from aiohttp import web
from stage import node, npm, program, pypi, recorded, run

HTTP, JAYSON, WEBSOCKET = 8000, 8001, 8002

_JAYSON_SERVER = f"""
const jayson = require('jayson');
const methods = {{
  login: (args, done) => done(null, {{id: 'f1', status: 'OK'}}),
  job: (args, done) => done(null, {{job_id: '17', blob: 'print(1)', target: 'x86_64'}}),
  submit: (args, done) => done(null, {{status: 'OK', worker: args.worker}}),
}};
const server = new jayson.Server(methods);
server.tcp().listen({JAYSON}, '127.0.0.1');
"""
_JAYSON_CLIENT = f"""
const jayson = require('jayson');
const client = jayson.Client.tcp({{port: {JAYSON}, host: '127.0.0.1'}});
const call = (method, args) => new Promise((ok, no) =>
  client.request(method, args, (error, answer) => error ? no(error) : ok(answer)));
(async () => {{
  await call('login', {{login: 'ci-worker-7', pass: 'x', agent: 'runner/2.4'}});
  for (let n = 0; n < 4; n++) {{
    await call('job', {{worker: 'ci-worker-7'}});
    await call('submit', {{worker: 'ci-worker-7', job_id: '17', result: 'cd'.repeat(32)}});
  }}
}})();
"""
_WEBSOCKET_SERVER = f"""
const {{Server}} = require('rpc-websockets');
const server = new Server({{port: {WEBSOCKET}, host: '127.0.0.1'}});
server.register('login', () => ({{id: 'f1', status: 'OK'}}));
server.register('submit', ([worker, job]) => ({{status: 'OK', worker, job}}));
server.event('job');
setInterval(() => server.emit('job', {{job_id: '17', target: 'x86_64', blob: 'print(1)'}}), 100);
"""
_WEBSOCKET_CLIENT = f"""
const {{Client}} = require('rpc-websockets');
const client = new Client('ws://127.0.0.1:{WEBSOCKET}');
client.on('open', async () => {{
  await client.call('login', ['ci-worker-7', 'x']);
  await client.subscribe('job');
  let jobs = 0;
  client.on('job', async job => {{
    await client.call('submit', ['ci-worker-7', job.job_id, 'cd'.repeat(32)]);
    if (++jobs === 4) {{ client.close(); process.exit(0); }}
  }});
}});
"""


@jsonrpcserver.method
def submit(worker: str, job_id: str, result: str) -> jsonrpcserver.Result:
    """Take a result."""
    return jsonrpcserver.Success({"status": "OK", "worker": worker, "job_id": job_id, "r": result})


@jsonrpcserver.method
def login(login: str, password: str) -> jsonrpcserver.Result:
    """Log in."""
    return jsonrpcserver.Success({"id": "f1", "login": login, "pass": password})


async def rpc(request: web.Request) -> web.Response:
    """Answer by HTTP."""
    answered = jsonrpcserver.dispatch(await request.text())
    return web.Response(text=answered, content_type="application/json")


async def over_http() -> None:
    """Call one by one and in a batch."""
    calls = [jsonrpcclient.request("login", {"login": "rig7", "password": "x"})]
    calls += [
        jsonrpcclient.request(
            "submit", {"worker": "rig7", "job_id": f"{n:08x}", "result": f"{n:064x}"}
        )
        for n in range(4)
    ]
    async with aiohttp.ClientSession() as session:
        for body in (*calls, calls):
            async with session.post(f"http://127.0.0.1:{HTTP}/", json=body) as answer:
                assert answer.status == 200
                jsonrpcclient.parse(await answer.json())


async def main() -> None:
    """Record the family."""
    site = web.Application()
    site.router.add_post("/", rpc)
    runner = web.AppRunner(site)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", HTTP).start()
    near = "methods login, job and submit with worker, job_id and 64-digit results"
    with recorded(
        "jsonrpc-http",
        software=[pypi("jsonrpcserver"), pypi("jsonrpcclient"), pypi("aiohttp")],
        does="calls one by one and in a batch over HTTP",
        near=near,
    ):
        await over_http()
    for name, server, client, port in (
        ("jayson", _JAYSON_SERVER, _JAYSON_CLIENT, JAYSON),
        ("rpc-websockets", _WEBSOCKET_SERVER, _WEBSOCKET_CLIENT, WEBSOCKET),
    ):
        Path("server.js").write_text(server)
        Path("client.js").write_text(client)
        with (
            program(["node", "server.js"], port=port),
            recorded(
                f"jsonrpc-{name}",
                software=[npm(name), node()],
                does=f"calls over {'TCP' if port == JAYSON else 'WebSocket, and events pushed'}",
                near=near,
            ),
        ):
            await asyncio.to_thread(run, ["node", "client.js"])
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
