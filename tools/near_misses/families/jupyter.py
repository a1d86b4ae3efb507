# /// script
# dependencies = ["jupyter-server==2.21.1", "ipykernel==7.4.0", "aiohttp==3.14.5"]
# ///
"""Jupyter: a notebook's cells, full of Stratum, run by a kernel over REST and WebSocket."""

import asyncio
import sys
import uuid

import aiohttp
from quotes import CODE, DOCUMENT, MESSAGES
from stage import program, pypi, recorded

PORT = 8888
CELLS = (
    CODE,
    "for number, line in CASES:\n    print(line)",
    f"{MESSAGES!r}[0]",
    f"from IPython.display import Markdown\nMarkdown({DOCUMENT!r})",
    "raise ValueError(CASES[3][1])",
)


async def work() -> None:
    """Start a kernel, run the cells, save the notebook, stop the kernel."""
    base = f"http://127.0.0.1:{PORT}/api"
    async with aiohttp.ClientSession(headers={"Authorization": "token x"}) as session:
        async with session.post(f"{base}/kernels", json={"name": "python3"}) as answer:
            kernel = (await answer.json())["id"]
        at = f"{base}/kernels/{kernel}/channels?session_id=editor"
        async with session.ws_connect(at) as socket:
            for number, code in enumerate(CELLS):
                await execute(socket, number, code)
        cells = [
            {"cell_type": "code", "source": code, "metadata": {}, "outputs": [],
             "execution_count": None, "id": f"c{number}"}
            for number, code in enumerate(CELLS)
        ]  # fmt: skip
        book = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        body = {"type": "notebook", "format": "json", "content": book}
        async with session.put(f"{base}/contents/pool.ipynb", json=body) as answer:
            assert answer.status == 201
        async with session.get(f"{base}/contents/pool.ipynb") as answer:
            await answer.json()
        async with session.delete(f"{base}/kernels/{kernel}") as answer:
            assert answer.status == 204


async def execute(socket: aiohttp.ClientWebSocketResponse, number: int, code: str) -> None:
    """Run one cell and wait until the kernel is idle again."""
    name = str(uuid.UUID(int=number + 1))
    header = {"msg_id": name, "msg_type": "execute_request", "username": "dev", "version": "5.3",
              "session": "editor", "date": "2026-01-01T00:00:00Z"}  # fmt: skip
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {},
               "allow_stdin": False, "stop_on_error": False}  # fmt: skip
    await socket.send_json(
        {"header": header, "parent_header": {}, "metadata": {}, "content": content,
         "channel": "shell", "buffers": []}
    )  # fmt: skip
    async for message in socket:
        said = message.json()
        idle = said["content"].get("execution_state") == "idle"
        if idle and said["parent_header"].get("msg_id") == name:
            return


def main() -> None:
    """Record the family."""
    argv = [sys.executable, "-P", "-m", "jupyter_server", "--allow-root", "--no-browser"]
    options = [f"--port={PORT}", "--IdentityProvider.token=x", "--ip=127.0.0.1"]
    # The kernel's own channels are ZeroMQ over Unix sockets: only the browser's side is TCP.
    options += ["--KernelManager.transport=ipc"]
    with (
        program([*argv, *options], port=PORT),
        recorded(
            "jupyter",
            software=[pypi("jupyter-server"), pypi("ipykernel"), pypi("aiohttp")],
            does="starts a kernel, runs cells over WebSocket, saves and reads the notebook",
            near="cells, their output, and a traceback are Stratum messages",
        ),
    ):
        asyncio.run(asyncio.wait_for(work(), 120))


if __name__ == "__main__":
    main()
