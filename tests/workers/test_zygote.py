"""Workers forked from a zygote: real processes, up to where one would touch the kernel."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from davylamp.config import GatewayConfig
from davylamp.errors import KernelError
from davylamp.paths import SIGNATURES
from davylamp.updates.loading import PackSource
from davylamp.workers.forked import Forked, Zygote
from davylamp.workers.orders import Brief, LoadOrder
from davylamp.workers.prctl import adopt_orphans
from davylamp.workers.process import WorkerProcess
from davylamp.workers.zygote import hatch

CORE = Brief(config=GatewayConfig(), pack=PackSource(path=str(SIGNATURES / "core")))


@pytest.fixture(autouse=True)
def reaper() -> Iterator[None]:
    """Have orphans of what other tests run go where they went before."""
    yield
    adopt_orphans(now=False)


@asynccontextmanager
async def running(brief: Brief = CORE) -> AsyncIterator[Zygote]:
    """Run a zygote, and end it."""
    zygote = Zygote(brief)
    task = asyncio.create_task(zygote.run())
    try:
        yield zygote
    finally:
        await zygote.stop()
        await task


async def fork(zygote: Zygote, number: int = 40) -> tuple[Forked, socket.socket]:
    """Fork a worker that waits for its brief; return it and our end of its line."""
    forked = await zygote.fork("queue", number)
    assert forked is not None
    return forked


def test_what_is_forked_is_our_child_and_named() -> None:
    """It is reaped with its status; ``ps`` tells which worker it is."""

    async def play() -> list[int]:
        async with running() as zygote:
            with contextlib.ExitStack() as stack:
                made = [await fork(zygote, number) for number in range(4)]
                for _, each in made:
                    stack.enter_context(each)
                for number, (one, _) in enumerate(made):
                    assert _name_and_parent(one.pid) == (f"queue-{number}", os.getpid())
                (killed, _), (ended, _), (left, line), (told, end) = made
                killed.kill()
                ended.terminate()
                line.close()  # the gateway is gone before it said a word
                end.sendall(b"{}\n")  # and this is no brief
                codes = [await one.wait() for one in (killed, ended, left, told)]
                with pytest.raises(ProcessLookupError):
                    killed.kill()
                for one, _ in made:
                    with pytest.raises(ProcessLookupError):
                        os.kill(one.pid, 0)
                return codes

    assert asyncio.run(play()) == [-signal.SIGKILL, -signal.SIGTERM, 2, 1]


def test_a_dead_zygote_takes_no_worker_with_it() -> None:
    """Those that it made live on; the next is forked from another."""

    async def play() -> None:
        async with running() as zygote:
            first, line = await fork(zygote)
            parent = _zygote_pid()
            os.kill(parent, signal.SIGKILL)
            second, other = await _insist(lambda: fork(zygote))
            assert _zygote_pid() != parent
            assert first.returncode is None
            for one, each in ((first, line), (second, other)):
                one.kill()
                assert await one.wait() == -signal.SIGKILL
                each.close()
            assert zygote.restarts == 1

    asyncio.run(play())


def test_a_signal_to_all_ends_no_zygote_before_the_gateway_does() -> None:
    """Who ends all of a gateway's processes at once reads of no error; its workers do end."""

    async def play() -> None:
        async with running() as zygote:
            one, line = await fork(zygote)
            os.kill(_zygote_pid(), signal.SIGTERM)
            other, another = await fork(zygote)
            for each, end in ((one, line), (other, another)):
                each.terminate()
                assert await each.wait() == -signal.SIGTERM
                end.close()
            began = time.monotonic()
            await zygote.stop()
            assert time.monotonic() - began < 4  # it was not waited for and killed
            assert zygote.restarts == 0

    asyncio.run(play())


def test_a_worker_that_cannot_start_says_so() -> None:
    """A pack that is not there ends the worker, not the zygote; the message names the worker."""
    brief = Brief(config=GatewayConfig(), pack=PackSource(path="/nowhere"))

    async def play() -> None:
        async with running(brief) as zygote:
            worker = WorkerProcess("queue", 40, brief, zygote, lambda *_: None)
            with pytest.raises(KernelError, match=r"queue-40 cannot start \(exit 2\)"):
                await worker.run()
            assert zygote.restarts == 0

    asyncio.run(play())


def test_nobody_waits_for_a_zygote_that_was_ended() -> None:
    """Who asks after the end, or waits over it, is told."""

    async def play() -> None:
        zygote = Zygote(CORE)  # which nobody runs
        waiting = asyncio.create_task(fork(zygote))
        await asyncio.sleep(0)
        await zygote.stop()
        with pytest.raises(KernelError, match="the gateway ends"):
            await waiting
        with pytest.raises(KernelError, match="the gateway ends"):
            await fork(zygote)

    asyncio.run(play())


def test_no_worker_is_made_twice_over_one_line() -> None:
    """A zygote that ends while it is asked gives no worker, for there may be one already."""

    async def play() -> None:
        async with running() as zygote:
            one, line = await fork(zygote)
            os.kill(_zygote_pid(), signal.SIGSTOP)
            asked = asyncio.create_task(zygote.fork("queue", 41))
            await asyncio.sleep(0.05)
            os.kill(_zygote_pid(), signal.SIGKILL)
            assert await asked is None
            one.kill()
            await one.wait()
            line.close()

    asyncio.run(play())


def test_a_fork_that_is_cancelled_leaves_its_answer_to_nobody() -> None:
    """The next worker is its own, and what nobody waited for ends and is reaped."""

    async def play() -> None:
        async with running() as zygote:
            one, line = await fork(zygote)
            before, parent = _children(), _zygote_pid()
            os.kill(parent, signal.SIGSTOP)
            asked = [asyncio.create_task(zygote.fork("queue", number)) for number in (41, 42)]
            await asyncio.sleep(0.05)  # the first is asked for, the second waits for its turn
            for each in asked:
                each.cancel()
            await asyncio.wait(asked)
            os.kill(parent, signal.SIGCONT)
            other, another = await fork(zygote, 43)
            assert _name_and_parent(other.pid) == ("queue-43", os.getpid())
            await _insist(lambda: _only({*before, other.pid}))
            assert zygote.restarts == 0
            for each_one, end in ((one, line), (other, another)):
                each_one.kill()
                await each_one.wait()
                end.close()

    asyncio.run(play())


def test_it_loads_what_it_is_told_and_goes_on_where_it_cannot() -> None:
    """Packs change while it waits; of one that cannot be read the next worker will complain."""

    async def play() -> None:
        async with running() as zygote:
            for path in ("/nowhere", CORE.pack.path):
                zygote.use(PackSource(path=path, disabled=tuple(map(str, range(50_000)))))
                zygote.use(PackSource(path=path))
                await asyncio.sleep(0)
                one, line = await fork(zygote)
                one.kill()
                await one.wait()
                line.close()
            assert zygote.restarts == 0

    asyncio.run(play())


def test_an_order_may_come_in_pieces() -> None:
    """What a site has switched off can be longer than a socket takes at once."""
    ours, theirs = socket.socketpair()
    loaded: list[PackSource] = []
    source = PackSource(path="/nowhere", disabled=tuple(map(str, range(100_000))))
    waiting = threading.Thread(target=hatch, args=(theirs, loaded.append))
    waiting.start()
    try:
        with ours, ours.makefile("rb") as answers:
            for _ in range(2):
                ours.sendall(msgspec.json.encode(LoadOrder(pack=source)) + b"\n")
                assert answers.readline() == b"0\n"
    finally:
        waiting.join(10)
        gc.unfreeze()
        theirs.close()
    assert loaded == [source, source]


async def _insist[T](attempt: Callable[[], Awaitable[T]]) -> T:
    """Try again where a zygote's end was not seen yet."""
    for _ in range(50):
        try:
            return await attempt()
        except AssertionError:
            await asyncio.sleep(0.02)
    raise TimeoutError


async def _only(pids: set[int]) -> None:
    """Assert that we have no other children than these, of the dead neither."""
    assert set(_children()) <= pids


def _children() -> list[int]:
    main = os.getpid()
    return list(map(int, Path(f"/proc/{main}/task/{main}/children").read_text().split()))


def _zygote_pid() -> int:
    """Return the number of our child that is a zygote and lives."""
    for pid in _children():
        if _name_and_parent(pid)[0] == "zygote":
            return pid
    raise AssertionError("there is no zygote")


def _name_and_parent(pid: int) -> tuple[str, int]:
    """Return a process's name, "" of one that has ended, and its parent's number."""
    words = Path(f"/proc/{pid}/stat").read_text().replace("(", ")").split(")")
    state, parent = words[2].split()[:2]
    return "" if state == "Z" else words[1], int(parent)
