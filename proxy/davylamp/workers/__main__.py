"""``python -m davylamp.workers FD PARENT``: the process that workers are forked from (`zygote`).

FD is its end of a socket pair; the first line is the brief (`orders`), whose pack is loaded before
anybody is forked. PARENT is the number of the process that supervises it and them.
"""

import contextlib
import logging
import signal
import socket
import sys
from dataclasses import dataclass, field

from davylamp.errors import DavylampError
from davylamp.logs import set_up_as_told
from davylamp.signatures.memo import Memo
from davylamp.signatures.pack import Pack
from davylamp.updates.loading import PackSource, load_source, load_to_begin
from davylamp.workers.inline import InlineWorker
from davylamp.workers.link import read_brief
from davylamp.workers.loop import Beginning, Worker, settle_in
from davylamp.workers.orders import Brief
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
    held = _Held()
    gateway = socket.socket(fileno=descriptor)
    try:
        brief = read_brief(gateway)
    except EOFError:
        return _EXIT_CANNOT

    held.load(brief.pack)
    assignment = hatch(gateway, held.load)
    return 0 if assignment is None else _work(assignment, parent, held)


@dataclass(slots=True)
class _Held:
    """The pack that was loaded last, for workers that are forked from now on.

    A worker takes what is here, and not what has become of the files meanwhile: they are in force
    once the gateway says so, to all workers, and until then may be half written.
    """

    memo: Memo = field(default_factory=Memo)
    source: PackSource | None = None
    pack: Pack | None = None

    def load(self, source: PackSource) -> None:
        """Load a pack; one that cannot be is left, and a worker that is to judge by it says why."""
        with contextlib.suppress(DavylampError):
            self.pack = load_source(source, self.memo).pack
            self.source = source

    def begin(self, brief: Brief) -> Beginning:
        """Return what a worker begins with; raise PackError where there is no such pack."""
        if self.pack is not None and self.source == brief.pack:
            return Beginning(brief, self.pack, self.memo)
        return Beginning(brief, load_to_begin(brief.pack, self.memo), self.memo)


def _work(assignment: Assignment, parent: int, held: _Held) -> int:
    """Be a worker; return 2, with the reason in the log, where it cannot start."""
    try:
        worker = _worker(assignment, held)
    except (DavylampError, EOFError) as error:
        name = f"{assignment.kind}-{assignment.number}"
        logging.getLogger(__name__).error("%s: %s", name, error)  # noqa: TRY400 - no trace
        return _EXIT_CANNOT
    settle_in(worker, parent)
    worker.run()
    return 0


def _worker(assignment: Assignment, held: _Held) -> Worker:
    begin = held.begin(read_brief(assignment.end))
    if assignment.kind == "queue":
        return InlineWorker(assignment.number, begin, assignment.end)
    return Sampler(begin, assignment.end)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
