"""A webhook's receiver: ``python hook.py PORT RECORD`` appends each body to RECORD, a line each.

What was said before each body is in RECORD.heads, as JSON. The first request is answered 503 and
not recorded. It says ``{"ready": true}`` once it listens.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """Takes what is posted, but for the first."""

    record = Path("/dev/null")
    busy = True

    def do_POST(self) -> None:
        """Take one body."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not Handler.busy:
            with Handler.record.open("ab") as file:
                file.write(body + b"\n")
            with Handler.record.with_name(f"{Handler.record.name}.heads").open("a") as file:
                file.write(json.dumps(dict(self.headers)) + "\n")
        self.send_response(503 if Handler.busy else 204)
        self.end_headers()
        Handler.busy = False

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


def main(port: str, record: str) -> None:
    """Answer until killed."""
    Handler.record = Path(record)
    with HTTPServer(("127.0.0.1", int(port)), Handler) as server:
        sys.stdout.write(json.dumps({"ready": True, "listening": []}) + "\n")
        sys.stdout.flush()
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
