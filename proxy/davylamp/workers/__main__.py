"""``python -m davylamp.workers FD PARENT``: the process that workers are forked from (`zygote`).

FD is its end of a socket pair; the first line is the brief (`orders`), whose pack is loaded before
anybody is forked. PARENT is the number of the process that supervises it and them.
"""

import contextlib
import logging
import signal
import socket
import sys

from davylamp.errors import DavylampError
from davylamp.logs import set_up_as_told
from davylamp.signatures.memo import Memo
from davylamp.updates.loading import PackSource, load_source
from davylamp.workers.inline import InlineWorker
from davylamp.workers.link import read_brief
from davylamp.workers.loop import Worker, settle_in
from davylamp.workers.prctl import name_process, tie_to
from davylamp.workers.sampler import Sampler
from davylamp.workers.zygote import Assignment, hatch

_EXIT_CANNOT = 2


def main(arguments: list[str]) -> int:
    """Fork workers until the gateway is gone; in a worker, return its exit status."""
    descriptor, parent = map(int, arguments)
    set_up_as_told()
    name_process("zygote")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the gateway's, in workers too
    if not tie_to(parent):
        return _EXIT_CANNOT
    memo = Memo()
    gateway = socket.socket(fileno=descriptor)
    try:
        brief = read_brief(gateway)
    except EOFError:
        return _EXIT_CANNOT

    def load(source: PackSource) -> None:
        with contextlib.suppress(DavylampError):  # a worker that is to judge by it will say why
            load_source(source, memo)

    load(brief.pack)
    assignment = hatch(gateway, load)
    return 0 if assignment is None else _work(assignment, parent, memo)


def _work(assignment: Assignment, parent: int, memo: Memo) -> int:
    """Be a worker; return 2, with the reason in the log, where it cannot start."""
    try:
        worker = _worker(assignment, memo)
    except (DavylampError, EOFError) as error:
        name = f"{assignment.kind}-{assignment.number}"
        logging.getLogger(__name__).error("%s: %s", name, error)  # noqa: TRY400 - no trace
        return _EXIT_CANNOT
    settle_in(worker, parent)
    worker.run()
    return 0


def _worker(assignment: Assignment, memo: Memo) -> Worker:
    brief = read_brief(assignment.end)
    if assignment.kind == "queue":
        return InlineWorker(assignment.number, brief, assignment.end, memo)
    return Sampler(brief, assignment.end, memo)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
