# /// script
# dependencies = ["aiohttp==3.14.5", "python-logstash==0.4.8"]
# ///
"""JSON lines over TCP: a job queue with a miner's words, and logs shipped that quote Stratum."""

import asyncio
import json
import logging
import socket
import socketserver
import threading

import logstash
from quotes import LOG, MESSAGES
from stage import pypi, python, recorded

PORT = 5000


class Queue(socketserver.StreamRequestHandler):
    """Hands out jobs and takes results, a JSON object a line."""

    def handle(self) -> None:
        """Answer each request until the worker is gone."""
        for line in self.rfile:
            request = json.loads(line)
            answer: dict[str, object] = {"id": request["id"], "error": None}
            match request["method"]:
                case "login":
                    answer["result"] = {"status": "OK", "session": "f1", "job": None}
                case "get_job":
                    answer["result"] = {"job_id": f"{request['id']:08x}", "target": "x86_64",
                                        "blob": "print('hello')", "height": 1}  # fmt: skip
                case "submit":
                    answer["result"] = {"status": "OK", "accepted": True}
                case "keepalive":
                    answer["result"] = {"status": "alive"}
            self.wfile.write(json.dumps(answer).encode() + b"\n")


def work(port: int) -> None:
    """Log in as a worker, ask for jobs, submit results with nonces and digests."""
    with (
        socket.create_connection(("127.0.0.1", port)) as connection,
        connection.makefile("rwb") as io,
    ):

        def call(number: int, method: str, **members: object) -> None:
            message = {"id": number, "jsonrpc": "2.0", "method": method, **members}
            io.write(json.dumps(message).encode() + b"\n")
            io.flush()
            assert json.loads(io.readline())["error"] is None

        call(1, "login", params={"login": "ci-worker-7", "pass": "x", "agent": "runner/2.4"})
        for number in range(2, 10):
            call(number, "get_job", worker="ci-worker-7")
            params = {
                "job_id": f"{number:08x}",
                "worker": "ci-worker-7",
                "result": f"{number:064x}",
            }
            call(number, "submit", params=params, worker="ci-worker-7")
        call(11, "keepalive", params={"id": "f1"})


async def work_async(port: int) -> None:
    """Say results as events, without waiting for answers."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in range(20):
        event = {"id": number, "worker": "rig7", "job_id": f"{number:08x}", "method": "submit",
                 "state": "done", "seconds": 1.5}  # fmt: skip
        writer.write(json.dumps(event).encode() + b"\n")
    await writer.drain()
    writer.write_eof()
    await asyncio.sleep(0.2)
    writer.close()


class Collector(socketserver.StreamRequestHandler):
    """Takes log lines and says nothing."""

    def handle(self) -> None:
        """Read to the end."""
        for line in self.rfile:
            json.loads(line)


def ship(port: int) -> None:
    """Log Stratum messages, alone, formatted, and as fields, through a logstash handler."""
    log = logging.getLogger("pool")
    log.setLevel(logging.DEBUG)
    handler = logstash.TCPLogstashHandler("127.0.0.1", port, version=1)
    log.addHandler(handler)
    for line in MESSAGES:
        log.info(line)
        log.debug("received %s from %s", line, "203.0.113.5:40112")
        fields = json.loads(line)
        log.warning("refused", extra={"request": fields, "worker": "rig7", "job_id": "bf"})
    for line in LOG.splitlines():
        log.info(line)
    log.removeHandler(handler)
    handler.close()


def main() -> None:
    """Record the family."""
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    for handler, port in ((Queue, PORT), (Collector, PORT + 1)):
        server = socketserver.ThreadingTCPServer(("127.0.0.1", port), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    with recorded(
        "jsonlines-job-queue",
        software=[python()],
        does="a worker logs in, asks for jobs and submits results, as JSON-RPC lines over TCP",
        near="login, get_job, submit and keepalive, with job_id, blob, target and 64-digit results",
    ):
        work(PORT)
    with recorded(
        "jsonlines-events",
        software=[python()],
        does="an asyncio client reports finished jobs, a JSON object a line",
        near='"method": "submit" beside "worker" and "job_id" in every line',
    ):
        asyncio.run(work_async(PORT + 1))
    with recorded(
        "logstash",
        software=[pypi("python-logstash"), python()],
        does="a log handler ships JSON lines to a collector",
        near="messages are quoted in a member, and their members stand as one object among others",
    ):
        ship(PORT + 1)


if __name__ == "__main__":
    main()
