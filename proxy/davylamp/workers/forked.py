"""The zygote seen from the gateway, and the processes that it is asked for."""

import asyncio
import contextlib
import os
import signal
import socket
import sys

import msgspec

from davylamp.errors import KernelError
from davylamp.updates.loading import PackSource
from davylamp.workers.orders import Brief, ForkOrder
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


class Zygote(Supervised):
    """Starts the process that workers are forked from, and asks it for them."""

    def __init__(self, brief: Brief) -> None:
        super().__init__("zygote")
        self._brief = brief
        self._line: tuple[socket.socket, asyncio.StreamReader] | None = None
        self._changed = asyncio.Condition()

    def use(self, source: PackSource) -> None:
        """Load this pack from the next start on."""
        self._brief = msgspec.structs.replace(self._brief, pack=source)

    async def fork(self, kind: str, number: int) -> tuple[Forked, socket.socket] | None:
        """Return a new process that is this worker, and our end of the line to it.

        Waits while there is no zygote. None where this one ended over it, or the system allows no
        more processes; a process that is there all the same finds its line closed, and ends.
        Raises KernelError where there will be no zygote any more.
        """
        ours, theirs = socket.socketpair()
        forked = None
        try:
            with theirs:
                forked = await self._forked(ForkOrder(kind=kind, number=number), theirs)
        finally:
            if forked is None:
                ours.close()
        return None if forked is None else (forked, ours)

    async def _forked(self, order: ForkOrder, end: socket.socket) -> Forked | None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._line is not None or self._stopping)
            if self._line is None:
                raise KernelError(f"{order.kind}-{order.number} is not started: the gateway ends")
            zygote, reader = self._line
            answer = b""
            with contextlib.suppress(OSError):
                socket.send_fds(zygote, [msgspec.json.encode(order)], [end.fileno()])
                answer = await reader.readline()
            if not answer.endswith(b"\n"):
                return None
            self.ready.set()
            with contextlib.suppress(ProcessLookupError):  # it has ended, and is not ours to reap
                return Forked(int(answer)) if int(answer) else None
            return None

    async def stop(self) -> None:
        """End it, and leave nobody waiting for it."""
        self._stopping = True
        if self._line is not None:
            with contextlib.suppress(OSError):
                self._line[0].shutdown(socket.SHUT_RDWR)
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
        reader, writer = await asyncio.open_connection(sock=ours)
        writer.write(msgspec.json.encode(self._brief) + b"\n")
        try:
            await writer.drain()
            await self._offer(ours, reader)
            return await process.wait()
        finally:
            self._line = None
            writer.close()

    async def _offer(self, ours: socket.socket, reader: asyncio.StreamReader) -> None:
        async with self._changed:
            self._line = ours, reader
            self._changed.notify_all()
