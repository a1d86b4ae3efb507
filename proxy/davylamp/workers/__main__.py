"""``python -m davylamp.workers queue NUMBER FD PARENT`` or ``... sample GROUP FD PARENT``.

One worker process. FD is the worker's end of the socket pair; its first line is the brief
(`orders`). PARENT is the number of the process that supervises it.
"""

import logging
import socket
import sys

from davylamp.errors import DavylampError
from davylamp.logs import set_up_as_told
from davylamp.workers.inline import InlineWorker
from davylamp.workers.link import read_brief
from davylamp.workers.loop import Worker, settle_in
from davylamp.workers.orders import Brief
from davylamp.workers.sampler import Sampler

_EXIT_CANNOT = 2


def main(arguments: list[str]) -> int:
    """Run the worker; return 2, with the reason on stderr, when it cannot start."""
    kind, number, descriptor, parent = arguments
    set_up_as_told()
    end = socket.socket(fileno=int(descriptor))
    try:
        worker = _worker(kind, int(number), read_brief(end), end)
    except (DavylampError, EOFError) as error:
        logging.getLogger(__name__).error("%s %s: %s", kind, number, error)  # noqa: TRY400 - no trace
        return _EXIT_CANNOT
    settle_in(worker, int(parent))
    worker.run()
    return 0


def _worker(kind: str, number: int, brief: Brief, end: socket.socket) -> Worker:
    if kind == "queue":
        return InlineWorker(number, brief, end)
    return Sampler(brief, end)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
