"""``python -m davylamp.workers queue NUMBER FD`` or ``... sample GROUP FD``: one worker process.

FD is the worker's end of the socket pair; its first line is the configuration, as JSON.
"""

import logging
import socket
import sys

import msgspec

from davylamp.config import GatewayConfig
from davylamp.errors import DavylampError
from davylamp.workers.inline import InlineWorker
from davylamp.workers.loop import Worker, settle_in
from davylamp.workers.sampler import Sampler

_EXIT_CANNOT = 2


def main(arguments: list[str]) -> int:
    """Run the worker; return 2, with the reason on stderr, when it cannot start."""
    kind, number, descriptor = arguments
    logging.basicConfig(level=logging.INFO, format="davylamp: %(levelname)s: %(message)s")
    end = socket.socket(fileno=int(descriptor))
    config = _read_config(end)
    try:
        worker = _worker(kind, int(number), config, end)
    except DavylampError as error:
        sys.stderr.write(f"davylamp: {kind} {number}: {error}\n")
        return _EXIT_CANNOT
    settle_in(worker)
    worker.run()
    return 0


def _worker(kind: str, number: int, config: GatewayConfig, end: socket.socket) -> Worker:
    if kind == "queue":
        return InlineWorker(number, config, end)
    return Sampler(config, end)


def _read_config(end: socket.socket) -> GatewayConfig:
    line = bytearray()
    while (byte := end.recv(1)) != b"\n":
        if not byte:
            raise SystemExit(_EXIT_CANNOT)
        line += byte
    return msgspec.json.decode(line, type=GatewayConfig)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
