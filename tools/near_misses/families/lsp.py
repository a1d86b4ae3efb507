# /// script
# dependencies = ["python-lsp-server==1.15.0", "python-lsp-jsonrpc==1.1.2"]
# [tool.near-misses]
# npm = ["pyright@1.1.414"]
# ///
"""The Language Server Protocol over TCP: an editor opens a file full of Stratum.

Started with a port, this file serves what pyright says on its pipes to that port.
"""

import socket
import socketserver
import subprocess
import sys
import threading
import time

from pylsp_jsonrpc.endpoint import Endpoint
from pylsp_jsonrpc.streams import JsonRpcStreamReader, JsonRpcStreamWriter
from quotes import CODE
from stage import node, node_modules, npm, program, pypi, python, recorded

PYLSP, PYRIGHT = 2087, 2088
URI = "file:///mnt/work/pool.py"
SOURCE = (
    '"""Speak Stratum."""\n\n\ndef submit(job_id: str, nonce: str) -> list[str]:\n'
    f'    return [job_id, nonce]\n\n\n{CODE}\nsubmit(CASES[0][1], "b2957c02")\n'
)


def edit(port: int) -> None:
    """Open the file, ask about a symbol in it, change it, and close it."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        out = connection.makefile("wb")
        answered = {"workspace/configuration": lambda params: [{} for _ in params["items"]]}
        endpoint = Endpoint(answered, JsonRpcStreamWriter(out).write)
        reader = JsonRpcStreamReader(connection.makefile("rb"))
        threading.Thread(target=reader.listen, args=(endpoint.consume,), daemon=True).start()

        def ask(method: str, **params: object) -> object:
            return endpoint.request(method, params).result(60)

        document = {"uri": URI}
        at = {"textDocument": document, "position": {"line": 3, "character": 5}}
        ask("initialize", processId=None, rootUri="file:///mnt/work", capabilities={})
        endpoint.notify("initialized", {})
        opened = {**document, "languageId": "python", "version": 1, "text": SOURCE}
        endpoint.notify("textDocument/didOpen", {"textDocument": opened})
        assert ask("textDocument/hover", **at)
        assert ask("textDocument/definition", **at)
        assert ask("textDocument/documentSymbol", textDocument=document)
        assert ask("textDocument/references", **at, context={"includeDeclaration": True})
        changed = {**document, "version": 2}
        changes = [{"text": SOURCE + "\n# done\n"}]
        endpoint.notify(
            "textDocument/didChange", {"textDocument": changed, "contentChanges": changes}
        )
        ask("textDocument/completion", **at)
        time.sleep(1.5)  # for diagnostics to be pushed
        endpoint.request("shutdown").result(60)
        endpoint.notify("exit")
        time.sleep(0.2)


class Pyright(socketserver.BaseRequestHandler):
    """Gives a connection to a pyright that speaks on its standard input and output."""

    def handle(self) -> None:
        """Run it on the connection."""
        argv = ["node", node_modules() / "pyright" / "langserver.index.js", "--stdio"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            out = server.stdout

            def answer() -> None:
                while data := out.read1():
                    self.request.sendall(data)

            threading.Thread(target=answer, daemon=True).start()
            while data := self.request.recv(65536):
                server.stdin.write(data)
                server.stdin.flush()
            server.stdin.close()


def main() -> None:
    """Record the family."""
    near = "JSON-RPC 2.0 over TCP behind Content-Length; the file's text is Stratum"
    argv = [sys.executable, "-P", "-m", "pylsp", "--tcp", "--host", "127.0.0.1"]
    with (
        program([*argv, "--port", str(PYLSP)], port=PYLSP),
        recorded(
            "lsp-pylsp",
            software=[pypi("python-lsp-server"), pypi("python-lsp-jsonrpc")],
            does="an editor opens a file, asks for hover, definition, references and completion",
            near=near,
        ),
    ):
        edit(PYLSP)
    server = program([sys.executable, "-P", __file__, str(PYRIGHT)], port=PYRIGHT)
    with (
        server,
        recorded(
            "lsp-pyright",
            software=[npm("pyright"), node(), pypi("python-lsp-jsonrpc"), python()],
            does="the same with pyright, whose pipes are joined to a TCP connection",
            near=near,
        ),
    ):
        edit(PYRIGHT)


if __name__ == "__main__":
    if sys.argv[1:]:
        socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Pyright).serve_forever()
    else:
        main()
