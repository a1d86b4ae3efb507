"""Many datagrams in one system call: ``recvmmsg(2)`` into a buffer that lives as long as we do.

Why not ``socket.recv``: it costs a call and a fresh buffer a packet, and an exception each time
the socket runs dry. The buffer is an anonymous ``mmap`` because slicing one gives ``bytes`` in a
single copy, and because pages that no packet ever reached cost nothing.
"""

import ctypes
import mmap
import socket
import struct


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("iovecs", ctypes.c_void_p),
        ("iovec_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("header", _Msghdr), ("length", ctypes.c_uint))


_libc = ctypes.CDLL(None, use_errno=True)
_recvmmsg = _libc.recvmmsg
_recvmmsg.argtypes = (
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_uint,
    ctypes.c_int,
    ctypes.c_void_p,
)

_WAIT_FOR_ONE = 0x10000
"""MSG_WAITFORONE: block for the first datagram, then take only what is there."""


class ReceiveRing:
    """Slots that a socket's datagrams are received into; the next receive overwrites them all."""

    def __init__(self, slots: int, slot_bytes: int) -> None:
        self.slots = slots
        self.slot_bytes = slot_bytes
        self.buffer = mmap.mmap(-1, slots * slot_bytes)
        self._headers = (_Mmsghdr * slots)()
        self._iovecs = (_Iovec * slots)()
        # from_buffer pins the map for as long as this object, which recvmmsg writes through.
        self._pin = ctypes.c_char.from_buffer(self.buffer)
        base = ctypes.addressof(self._pin)
        iovecs = ctypes.addressof(self._iovecs)
        for slot in range(slots):
            self._iovecs[slot].base = base + slot * slot_bytes
            self._iovecs[slot].length = slot_bytes
            header = self._headers[slot].header
            header.iovecs = iovecs + slot * ctypes.sizeof(_Iovec)
            header.iovec_count = 1
        self._address = ctypes.addressof(self._headers)
        size, offset = ctypes.sizeof(_Mmsghdr), _Mmsghdr.length.offset
        self._lengths = memoryview(self._headers).cast("B")
        self._every = struct.Struct("=" + f"{offset}xI{size - offset - 4}x" * slots)
        self._first = struct.Struct(f"={offset}xI")

    def receive(self, fd: int, *, block: bool) -> tuple[int, ...]:
        """Return the length of each datagram received, slot by slot; empty when there is none.

        Datagram n is at ``buffer[n * slot_bytes:]``. With ``block``, waits for the first of them as
        long as the socket's SO_RCVTIMEO says. Raises OSError for any errno but EAGAIN and EINTR.
        """
        flags = _WAIT_FOR_ONE if block else socket.MSG_DONTWAIT
        count = _recvmmsg(fd, self._address, self.slots, flags, None)
        if count == 1:
            return self._first.unpack_from(self._lengths)
        if count > 1:
            return self._every.unpack_from(self._lengths)[:count]
        return _none_or_raise()


def _none_or_raise() -> tuple[int, ...]:
    number = ctypes.get_errno()
    error = OSError(number, "recvmmsg")
    if isinstance(error, BlockingIOError | InterruptedError):
        return ()
    raise error
