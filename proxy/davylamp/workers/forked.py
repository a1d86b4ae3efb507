"""The zygote seen from the gateway, and the processes that it is asked for."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from dataclasses import dataclass, field

import msgspec

from davylamp.errors import KernelError
from davylamp.updates.loading import PackSource
from davylamp.workers.orders import Brief, ForkOrder, LoadOrder
from davylamp.workers.prctl import adopt_orphans
from davylamp.workers.supervised import Supervised

_UNKNOWN_STATUS = 255
"""What asyncio gives a child that somebody else has reaped."""


class Forked:
    """A child of ours that another process started; as much of ``subprocess`` as is needed."""

    def __init__(self, pid: int) -> None:
        """Watch a child; raise ProcessLookupError where there is none of that number."""
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()
        self._descriptor = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._descriptor, self._reap)

    async def wait(self) -> int:
        """Wait until it has ended; return its exit status, or minus the signal that ended it."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def terminate(self) -> None:
        """Ask it to end; raise ProcessLookupError where it has."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it; raise ProcessLookupError where it has ended."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.returncode is not None:
            raise ProcessLookupError(self.pid)
        signal.pidfd_send_signal(self._descriptor, number)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        self.returncode = _UNKNOWN_STATUS
        with contextlib.suppress(ChildProcessError):
            found = os.waitid(os.P_PIDFD, self._descriptor, os.WEXITED)
            assert found is not None  # None is WNOHANG's
            exited = found.si_code == os.CLD_EXITED
            self.returncode = found.si_status if exited else -found.si_status
        os.close(self._descriptor)
        self._ended.set()


@dataclass(frozen=True, slots=True)
class _Line:
    """The line to a zygote: one order at a time, whose answer is nothing where it has ended.

    Answers do not say whose they are. So whoever has sent an order must stay for its answer, or
    the next would take that for its own.
    """

    end: socket.socket
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def fork(self, order: ForkOrder, end: socket.socket) -> bytes:
        async with self.turn:
            if end.fileno() < 0:  # nobody wants it any more
                return b""
            with contextlib.suppress(OSError):
                socket.send_fds(self.end, [msgspec.json.encode(order) + b"\n"], [end.fileno()])
                return await self.reader.readline()
            return b""

    async def load(self, order: LoadOrder) -> bytes:
        async with self.turn:
            with contextlib.suppress(OSError):
                self.writer.write(msgspec.json.encode(order) + b"\n")
                await self.writer.drain()
                return await self.reader.readline()
            return b""


class Zygote(Supervised):
    """Starts the process that workers are forked from, and asks it for them."""

    def __init__(self, brief: Brief) -> None:
        super().__init__("zygote")
        self._brief = brief
        self._line: _Line | None = None
        self._changed = asyncio.Condition()
        self._load_due = asyncio.Event()

    def use(self, source: PackSource) -> None:
        """Load this pack, or what has become of it, for workers that are forked from now on."""
        self._brief = msgspec.structs.replace(self._brief, pack=source)
        self._load_due.set()

    async def fork(self, kind: str, number: int) -> tuple[Forked, socket.socket] | None:
        """Return a new process that is this worker, and our end of the line to it.

        Waits while there is no zygote. None where this one ended over it, or the system allows no
        more processes; a process that is there all the same finds its line closed, and ends, as
        does one that was asked for when this was cancelled. Raises KernelError where there will be
        no zygote any more.
        """
        order = ForkOrder(kind=kind, number=number)
        ours, theirs = socket.socketpair()
        forked = None
        try:
            with theirs:
                line = await self._connected(order)
                # Shielded: an answer that nobody waits for any more must be read all the same.
                forked = await asyncio.shield(self._forked(line, order, theirs))
        finally:
            if forked is None:
                ours.close()
        return None if forked is None else (forked, ours)

    async def _connected(self, order: ForkOrder) -> _Line:
        """Wait until there is a zygote to give an order to."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._line is not None or self._stopping)
            if self._line is None:
                raise KernelError(f"{order.kind}-{order.number} is not started: the gateway ends")
            return self._line

    async def _forked(self, line: _Line, order: ForkOrder, end: socket.socket) -> Forked | None:
        """Carry a fork out, and see to it that what it makes is reaped when it ends."""
        answer = await line.fork(order, end)
        if not answer.endswith(b"\n"):
            return None
        self.ready.set()
        with contextlib.suppress(ProcessLookupError):  # it has ended, and is not ours to reap
            return Forked(int(answer)) if int(answer) else None
        return None

    async def _keep_loaded(self, line: _Line) -> None:
        """Have the zygote load what has changed since it was started."""
        while True:
            await self._load_due.wait()
            self._load_due.clear()
            await line.load(LoadOrder(pack=self._brief.pack))

    async def stop(self) -> None:
        """End it, and leave nobody waiting for it."""
        self._stopping = True
        if self._line is not None:
            with contextlib.suppress(OSError):
                self._line.end.shutdown(socket.SHUT_RDWR)
        await super().stop()
        async with self._changed:
            self._changed.notify_all()

    async def _once(self) -> int:
        adopt_orphans()  # which what it forks twice is
        ours, theirs = socket.socketpair()
        with theirs:
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "davylamp.workers",
                str(theirs.fileno()),
                str(os.getpid()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
            )
        line = _Line(ours, *await asyncio.open_connection(sock=ours))
        self._load_due.clear()
        line.writer.write(msgspec.json.encode(self._brief) + b"\n")
        loading = asyncio.create_task(self._keep_loaded(line))
        try:
            await line.writer.drain()
            async with self._changed:
                self._line = line
                self._changed.notify_all()
            return await process.wait()
        finally:
            self._line = None
            loading.cancel()
            line.writer.close()
