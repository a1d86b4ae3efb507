"""The process that queue workers and samplers are forked from.

A worker's modules and the pack take most of a second to load, and many times that for a large
pack. This process loads them once; a worker is then there in milliseconds, at the start as when one
has died, and all share the memory that they do not write to. It touches no packet and holds
nothing but what its brief says, so that workers inherit no secret of the gateway's.

A worker is forked twice: the process between ends at once, so that its child falls to the gateway
(prctl(2), PR_SET_CHILD_SUBREAPER), lives on where this process dies, and is reaped by who hears it.
"""

import gc
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from davylamp.updates.loading import PackSource
from davylamp.workers.orders import ForkOrder, LoadOrder, ZygoteOrder
from davylamp.workers.prctl import name_process

_PIECE = 65_536

_orders = msgspec.json.Decoder(ForkOrder | LoadOrder)


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a forked process is to be, and its end of the line to the gateway."""

    kind: str
    number: int
    end: socket.socket


def hatch(gateway: socket.socket, load: Callable[[PackSource], None]) -> Assignment | None:
    """Fork whenever the gateway asks; return in each new process, and None once it is gone.

    The answer is the new process's number, and 0 where the kernel allows no more processes. Asked
    to ``load`` a pack, it does and answers 0. A SIGTERM is for the gateway to obey, who ends the
    line; a new process hears even one that came before it was ready for it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    _settle()
    while True:
        order, descriptors = _next_order(gateway)
        match order:
            case None:
                return None
            case LoadOrder():
                load(order.pack)
                _settle()
                gateway.sendall(b"0\n")
                continue
            case ForkOrder():
                end = socket.socket(fileno=descriptors[0])
        pid = _fork_twice(f"{order.kind}-{order.number}")
        if pid is None:
            gateway.close()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            return Assignment(order.kind, order.number, end)
        end.close()
        gateway.sendall(b"%d\n" % pid)


def _settle() -> None:
    """Leave what is there now out of collections: one would write to every page that is shared."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _next_order(gateway: socket.socket) -> tuple[ZygoteOrder | None, list[int]]:
    """Return what the gateway wants, and the descriptor that came with it; None at its end.

    There is one order at a time, for each is answered before the next.
    """
    message, descriptors, _, _ = socket.recv_fds(gateway, _PIECE, 1)
    while not message.endswith(b"\n"):
        piece = gateway.recv(_PIECE)
        if not piece:
            return None, descriptors
        message += piece
    order: ZygoteOrder = _orders.decode(message)
    return order, descriptors


def _fork_twice(name: str) -> int | None:
    """Return the number of the new process, 0 if there is none; None in the new process.

    It has its name before anybody knows its number.
    """
    reading, writing = os.pipe()
    try:
        between = os.fork()
    except OSError:
        os.close(reading)
        os.close(writing)
        return 0
    if between == 0:
        os.close(reading)
        name_process(name)  # which the next one inherits: all command lines are the same
        try:
            pid = os.fork()
        except OSError:
            os._exit(1)
        if pid == 0:
            os.close(writing)
            return None
        os.write(writing, b"%d" % pid)
        os._exit(0)
    os.close(writing)
    said = os.read(reading, 32)
    os.close(reading)
    # Once it has ended, the new process is the gateway's child.
    os.waitpid(between, 0)
    return int(said or b"0")
