"""Several capture files at once, one process each, their results in the order of the files.

Strategy: a worker is given one file at a time and answers over a pipe of its own. The first file
not yet told is the head; its messages go straight through, those of later files wait. When too
many wait, only the head is listened to, and the pipes hold the other workers back: memory stays
bounded however much there is to say. A worker that dies costs its file, not the replay.
"""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from davylamp.errors import DavylampError
from davylamp.replay.onefile import Advance, Done, Message, SinkFactory, replay_file

Setup = Callable[[], SinkFactory]
"""Run once in each process, so that a signature pack is loaded once; must survive pickling."""

MAX_WAITING = 10_000
"""Messages that may wait for an earlier file to be told."""

_BATCH = 64

# Imported once, by the server that workers are forked from: the command line's own module, which
# multiprocessing has every worker import again, and the inspection.
_PRELOAD = ["davylamp.cli", "davylamp.replay.observe"]


def replay_files(
    paths: Sequence[Path], setup: Setup, jobs: int = 1
) -> Iterator[tuple[int, Message]]:
    """Yield (index of the file, message): files in order, but for Advance, which comes at once.

    With one job or one file all is done in this process. Raises what ``setup`` raises. Closing
    the iterator, or an interrupt, ends the workers.
    """
    jobs = min(jobs, len(paths))
    if jobs > 1:
        yield from _Pool(paths, setup, jobs).run()
        return
    make_sink = setup()
    for index, path in enumerate(paths):
        for message in replay_file(path, make_sink):
            yield index, message


@dataclass(slots=True)
class _Worker:
    process: ForkServerProcess
    pipe: Connection
    index: int = -1  # of the file it reads; -1 when it has none


@dataclass(slots=True)
class _Pool:
    paths: Sequence[Path]
    setup: Setup
    jobs: int
    workers: list[_Worker] = field(default_factory=list)
    waiting: dict[int, deque[Message]] = field(default_factory=dict)
    backlog: int = 0
    head: int = 0
    following: int = 0  # the next file to hand out

    def run(self) -> Iterator[tuple[int, Message]]:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOAD)
        try:
            for _ in range(self.jobs):
                self._assign(self._start(context))
            while self.head < len(self.paths):
                for worker in self._ready():
                    for message in self._receive(worker):
                        if isinstance(message, Advance):
                            yield worker.index, message
                        else:
                            self.waiting.setdefault(worker.index, deque()).append(message)
                            self.backlog += 1
                    yield from self._tell()
                    self._go_on(context, worker)
        finally:
            self._stop()

    def _start(self, context: ForkServerContext) -> _Worker:
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self.setup), daemon=True)
        process.start()
        theirs.close()  # so that a dead worker reads as the end of the pipe
        worker = _Worker(process, ours)
        self.workers.append(worker)
        return worker

    def _assign(self, worker: _Worker) -> None:
        worker.index = -1
        if self.following < len(self.paths):
            worker.index = self.following
            self.following += 1
            with suppress(OSError):  # it died while idle: the next receive finds that out
                worker.pipe.send(self.paths[worker.index])

    def _ready(self) -> list[_Worker]:
        """Wait for workers that have something to say and may say it now."""
        busy = [worker for worker in self.workers if worker.index >= 0]
        if self.backlog > MAX_WAITING:
            busy = [worker for worker in busy if worker.index == self.head]
        pipes = wait([worker.pipe for worker in busy])
        return [worker for worker in busy if worker.pipe in pipes]

    def _receive(self, worker: _Worker) -> list[Message]:
        try:
            received: list[Message] | DavylampError = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join()
            path = self.paths[worker.index]
            code = worker.process.exitcode
            return [Done(error=f"{path}: the process reading it died (exit code {code})")]
        if isinstance(received, DavylampError):
            raise received
        return received

    def _tell(self) -> Iterator[tuple[int, Message]]:
        while self.head in self.waiting:
            messages = self.waiting[self.head]
            while messages:
                self.backlog -= 1
                message = messages.popleft()
                yield self.head, message
                if isinstance(message, Done):
                    del self.waiting[self.head]
                    self.head += 1
                    break
            else:
                return

    def _go_on(self, context: ForkServerContext, worker: _Worker) -> None:
        """Give a worker that has finished its file the next one; replace it if it died."""
        told = worker.index < self.head
        queued = self.waiting.get(worker.index)
        if not told and not (queued and isinstance(queued[-1], Done)):
            return
        if worker.process.exitcode is not None:
            self.workers.remove(worker)
            worker.pipe.close()
            if self.following >= len(self.paths):
                return
            worker = self._start(context)
        self._assign(worker)

    def _stop(self) -> None:
        for worker in self.workers:
            worker.pipe.close()
            worker.process.terminate()
        for worker in self.workers:
            worker.process.join()


def _work(pipe: Connection, setup: Setup) -> None:
    """Serve one worker: a path in, lists of messages out, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and ends us
    with suppress(EOFError, OSError):
        try:
            make_sink = setup()
        except DavylampError as error:
            pipe.send(error)
            return
        while True:
            batch: list[Message] = []
            for message in replay_file(pipe.recv(), make_sink):
                batch.append(message)
                if isinstance(message, Advance | Done) or len(batch) >= _BATCH:
                    pipe.send(batch)
                    batch = []
