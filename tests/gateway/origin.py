"""What sandboxes fetch from, over HTTPS: ``python origin.py ROOT HOST PORT CHAIN KEY``.

Files below ROOT, with Range (RFC 9110 section 14) and ETag; ``/bytes/N``; ``/git/`` by git's own
http-backend; ``/hash`` tells the SHA-256 of what is put there, chunked or not; ``/events`` is a
stream of events, each sent once its forerunner was fetched as ``/seen/N``.
"""

import hashlib
import os
import re
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from davylamp.lab.programs import content
from davylamp.lab.programs.report import Reporter

EVENTS = 5
_KINDS = {".html": "text/html", ".json": "application/json"}
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_PIECE = 1 << 16


class Origin(BaseHTTPRequestHandler):
    """Answers one connection's requests."""

    protocol_version = "HTTP/1.1"
    root: Path
    seen: threading.Semaphore

    def do_GET(self) -> None:
        """Answer what is asked for."""
        path = urlsplit(self.path).path
        match path.split("/"):
            case ["", "git", *_]:
                self._git(b"")
            case ["", "bytes", size]:
                self._head(200, int(size), "application/octet-stream")
                for piece in content.pieces(int(size)):
                    self.wfile.write(piece)
            case ["", "events"]:
                self._events()
            case ["", "seen", _]:
                self.seen.release()
                self._say(b"")
            case _:
                self._file(self.root / path.lstrip("/"))

    def do_HEAD(self) -> None:
        """Tell a file's size and tag, as downloaders want to know them first."""
        file = self.root / self.path.lstrip("/")
        self._head(200, file.stat().st_size, "application/octet-stream", {"ETag": tag(file)})

    def do_POST(self) -> None:
        """Take what is sent."""
        body = b"".join(self._body())
        if self.path.startswith("/git/"):
            self._git(body)
        else:
            self._say(body)

    def do_PUT(self) -> None:
        """Take what is sent, and tell what it was."""
        sha256 = hashlib.sha256()
        for piece in self._body():
            sha256.update(piece)
        self._say(sha256.hexdigest().encode())

    def _body(self) -> "list[bytes]":
        length = self.headers.get("Content-Length")
        if length is not None:
            return [self.rfile.read(int(length))]
        pieces = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return pieces

    def _file(self, file: Path) -> None:
        if file.is_dir():
            file /= "index.html"
        if not file.is_file():
            self._say(b"no such thing", 404)
            return
        size = file.stat().st_size
        kind = _KINDS.get(file.suffix, "application/octet-stream")
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        if asked is None:
            self._head(200, size, kind, {"ETag": tag(file), "Accept-Ranges": "bytes"})
            self.wfile.write(file.read_bytes())
            return
        first, last = int(asked[1]), min(int(asked[2] or size), size - 1)
        told = {"ETag": tag(file), "Content-Range": f"bytes {first}-{last}/{size}"}
        self._head(206, last - first + 1, kind, told)
        with file.open("rb") as stream:
            stream.seek(first)
            self.wfile.write(stream.read(last - first + 1))

    def _events(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(EVENTS):
            line = b'data: {"method": "token", "number": %d}\n\n' % number
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            if not self.seen.acquire(timeout=20):
                self.close_connection = True
                return
        self.wfile.write(b"0\r\n\r\n")

    def _git(self, body: bytes) -> None:
        """Be a CGI host (RFC 3875) to git http-backend."""
        url = urlsplit(self.path)
        variables = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.root / "git"),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "somebody",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": url.path.removeprefix("/git"),
            "QUERY_STRING": url.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        words = ["git", "http-backend"]
        said = subprocess.run(words, input=body, env=variables, capture_output=True, check=True)
        head, _, answer = said.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(fields.pop("Status", "200 OK").split()[0])
        self._head(status, len(answer), fields.pop("Content-Type", "text/plain"), fields)
        self.wfile.write(answer)

    def _say(self, body: bytes, status: int = 200) -> None:
        self._head(status, len(body), "text/plain")
        self.wfile.write(body)

    def _head(
        self, status: int, length: int, kind: str, more: "dict[str, str] | None" = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **(more or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def tag(file: Path) -> str:
    """Return a file's ETag."""
    return f'"{file.stat().st_size:x}-{file.stat().st_mtime_ns:x}"'


def main(root: str, host: str, port: str, chain: str, key: str) -> None:
    """Serve until killed."""
    Origin.root, Origin.seen = Path(root), threading.Semaphore(0)
    server = ThreadingHTTPServer((host, int(port)), Origin)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    Reporter().ready()
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
