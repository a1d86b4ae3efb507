# /// script
# dependencies = ["mcp==2.3.0"]
# ///
"""The Model Context Protocol: tools/call over streamable HTTP, and its stdio lines over TCP.

Started with a word, this file is one of the programs: ``http`` and ``stdio`` serve, ``relay`` joins
a client's pipes to the server that listens on TCP.
"""

import asyncio
import os
import shutil
import socket
import socketserver
import subprocess
import sys
import threading

from mcp import Client, StdioServerParameters, stdio_client
from mcp.server.mcpserver import MCPServer
from quotes import DOCUMENT, LOG, TRANSCRIPT
from stage import program, pypi, python, recorded, serving

HTTP, TCP = 8000, 8001
server = MCPServer("pool-helper", instructions=DOCUMENT)


@server.tool()
def submit(worker: str, job_id: str, nonce: str, result: str) -> dict[str, str]:
    """Submit a job's result for a worker."""
    return {"status": "OK", "worker": worker, "job_id": job_id, "nonce": nonce, "result": result}


@server.tool()
def login(login: str, password: str, agent: str) -> dict[str, str]:
    """Log in."""
    return {"id": "f1", "status": "OK", "login": login, "pass": password, "agent": agent}


@server.tool()
def read_log() -> str:
    """Read the pool's log."""
    return LOG + "\n" + TRANSCRIPT


@server.resource("docs://stratum")
def page() -> str:
    """Explain Stratum."""
    return DOCUMENT


@server.prompt()
def explain(session: str) -> str:
    """Ask for an explanation of a session."""
    return f"Explain:\n{session}"


async def use(client: Client) -> None:
    """List what there is, call every tool, read the page, get the prompt."""
    async with client:
        await client.list_tools()
        await client.call_tool("login", {"login": "rig7", "password": "x", "agent": "agent/1.0"})
        for number in range(4):
            work = {"job_id": f"{number:08x}", "nonce": f"{number:08x}", "result": "cd" * 32}
            called = await client.call_tool("submit", {"worker": "rig7", **work})
            assert not called.is_error
        await client.call_tool("read_log", {})
        await client.read_resource("docs://stratum")
        await client.get_prompt("explain", {"session": TRANSCRIPT})


class Stdio(socketserver.BaseRequestHandler):
    """Gives a connection to a server that speaks on its standard input and output."""

    def handle(self) -> None:
        """Run the server on the connection."""
        argv = [sys.executable, "-P", __file__, "stdio"]
        subprocess.run(argv, stdin=self.request, stdout=self.request, check=False)


def relay() -> None:
    """Join this process's pipes to the server on TCP."""
    with socket.create_connection(("127.0.0.1", TCP)) as connection:
        io = connection.makefile("rb", buffering=0)
        answers = threading.Thread(
            target=lambda: [(sys.stdout.buffer.write(x), sys.stdout.flush()) for x in io]
        )
        answers.start()
        with connection.makefile("wb", buffering=0) as out:
            shutil.copyfileobj(sys.stdin.buffer.raw, out)
        connection.shutdown(socket.SHUT_WR)
        answers.join()


def main() -> None:
    """Record the family."""
    me = [sys.executable, "-P", __file__]
    software = [pypi("mcp")]
    with program([*me, "http"], port=HTTP):
        for mode, name in (("legacy", "mcp-http"), ("auto", "mcp-http-stateless")):
            with recorded(
                name,
                software=software,
                does=f"tools, a resource and a prompt over streamable HTTP, {mode} handshake",
                near="JSON-RPC tools named submit and login with worker, job_id, nonce and digest",
            ):
                client = Client(f"http://127.0.0.1:{HTTP}/mcp", mode=mode)
                asyncio.run(asyncio.wait_for(use(client), 60))
    tcp = socketserver.ThreadingTCPServer(("127.0.0.1", TCP), Stdio)
    with (
        serving(tcp.serve_forever, TCP),
        recorded(
            "mcp-stdio-tcp",
            software=[*software, python()],
            does="the same over the stdio transport, piped through a TCP connection",
            near="JSON-RPC 2.0, an object a line over TCP, as CryptoNote pools speak",
        ),
    ):
        pipes = StdioServerParameters(
            command=sys.executable, args=["-P", __file__, "relay"], env=dict(os.environ)
        )
        asyncio.run(asyncio.wait_for(use(Client(stdio_client(pipes), mode="legacy")), 60))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["http"]:
            server.run("streamable-http", host="127.0.0.1", port=HTTP)
        case ["stdio"]:
            server.run("stdio")
        case ["relay"]:
            relay()
        case _:
            main()
