"""Packets that the kernel holds until we judge them: NFQUEUE over netlink, in plain Python.

Strategy: one ``recvmmsg`` fetches all that waits; the kernel lays the messages of one path out
alike, so a layout is learned from the first, and the next are checked against it and read with
two ``struct`` calls; verdicts are gathered and go out in one ``send``, a run of equal ones as one
batch verdict. docs/kernel.md has the measurements behind each of the three. Verdicts that the
kernel has no memory for are kept and go out with the next: their packets are held until then.
"""

import errno
from dataclasses import dataclass
from typing import Self

from davylamp import netlink
from davylamp.capture import nfqueue_wire as wire
from davylamp.capture.ring import ReceiveRing
from davylamp.decision import Fate
from davylamp.errors import CaptureError, KernelError
from davylamp.marks import MarkField

QueuedPacket = wire.QueuedPacket

_SLOT_OVERHEAD = 1024
_MAX_LAYOUTS = 8
_MAX_SENT = 1024  # verdicts in one message to the kernel: 40 KiB, of 208 that a socket may send


@dataclass(frozen=True, slots=True)
class QueueCounters:
    """The state of a queue, and what it lost since it was opened.

    ``waiting``: packets without a verdict. ``queue_dropped``: they came when ``max_length`` others
    waited. ``user_dropped``: our receive buffer was full. ``overruns``: ENOBUFS errors read.
    ``refused``: verdicts that the kernel did not take, counted each time where it had no memory.
    ``malformed``: messages that did not parse, whose packets stay held until the queue closes.
    """

    waiting: int
    queue_dropped: int
    user_dropped: int
    overruns: int
    refused: int
    malformed: int


class NfQueue:
    """An NFQUEUE, bound for as long as this object is open.

    Every packet that :meth:`receive` returns needs exactly one :meth:`verdict`; without one it
    stays in the kernel, and is dropped when the queue closes. The socket belongs to the network
    namespace of the thread that makes this object. Not for two threads at once.
    """

    def __init__(  # noqa: PLR0913 - each is one setting of the queue
        self,
        number: int,
        *,
        copy_bytes: int = wire.MAX_COPY,
        max_length: int = 8192,
        fail_open: bool = False,
        marks: MarkField | None = None,
        receive_bytes: int = 32 << 20,
        burst: int = 16,
    ) -> None:
        """Bind the queue; raise KernelError where the kernel refuses or another process has it.

        At most ``copy_bytes`` of each packet are captured (65,531 is the most). ``max_length``
        packets wait at most; more are dropped, or accepted unseen with ``fail_open``. ``burst``
        bounds the packets of one :meth:`receive`, and so how long the first waits for the last.
        """
        self.number = number
        self._copy_bytes = min(copy_bytes, wire.MAX_COPY)
        field = marks or MarkField()
        self._others = field.others
        self._states = {
            Fate.ACCEPT: 0,
            Fate.CLEAR: field.cleared,
            Fate.TRUST: field.trusted,
            Fate.REARM: field.rearm,
            Fate.DROP: wire.DROP,
        }
        self._encoder = wire.VerdictEncoder(number)
        self._pending: list[tuple[int, int]] = []
        self._held = 0
        self._layouts: list[wire.Layout] = []
        self._overruns = self._refused = self._malformed = 0
        self._ring = ReceiveRing(burst, (self._copy_bytes + _SLOT_OVERHEAD + 4095) & ~4095)
        self._socket = netlink.NetfilterSocket(receive_bytes)
        self._fd = self._socket.fileno()
        self._wait = 0.0
        self._bind(max_length, fail_open=fail_open)
        self._socket.drop_silently()

    def _bind(self, max_length: int, *, fail_open: bool) -> None:
        configuration = wire.encode_configuration(
            self.number, self._copy_bytes, max_length, fail_open=fail_open
        )
        for request in (wire.encode_bind(self.number), configuration):
            if failure := self._socket.transact(request):
                self._socket.close()
                why = netlink.why_not_bound("queue", self.number, failure)
                raise KernelError(f"cannot bind NFQUEUE {self.number}: {why}")

    def fileno(self) -> int:
        """Return the descriptor, readable when packets wait, for a selector."""
        return self._fd

    def receive(self, wait: float = 0.0) -> list[QueuedPacket]:
        """Send the verdicts gathered, then return the packets that wait, oldest first.

        Blocks for at most ``wait`` seconds when there is none. Nothing that a message holds raises;
        CaptureError means that the socket itself is dead.
        """
        if self._pending:
            self.flush()
        if wait != self._wait:
            self._wait = wait
            self._socket.receive_timeout(wait)
        lengths = self._fetch(block=wait > 0)
        packets: list[QueuedPacket] = []
        start = 0
        for length in lengths:
            packet = self._parse(start, length)
            if packet is not None:
                packets.append(packet)
            start += self._ring.slot_bytes
        self._held += len(packets)
        return packets

    def verdict(self, packet_id: int, fate: Fate, mark: int) -> None:
        """Judge one packet; ``mark`` is the mark it came with, whose other bits are kept.

        It takes effect with the next :meth:`receive` or :meth:`flush`.
        """
        state = self._states[fate]
        self._pending.append((packet_id, state if state < 0 else mark & self._others | state))

    def replace(self, packet_id: int, packet: bytes, mark: int) -> None:
        """Accept one packet with other bytes, checksums included; it leaves at once.

        Where the kernel has no memory for it the packet is dropped, and its sender repeats it.
        """
        message = self._encoder.encode_replacement(packet_id, mark & self._others, packet)
        if not self._send(message, 1):
            self.verdict(packet_id, Fate.DROP, mark)

    def flush(self) -> None:
        """Send the verdicts gathered so far; those that the kernel has no memory for stay here."""
        while self._pending:
            first = self._pending[:_MAX_SENT]
            # A batch verdict reaches every packet held up to its id, so none may be held back.
            batch = len(first) == self._held and not self._malformed
            if not self._send(self._encoder.encode(first, batch=batch), len(first)):
                return
            del self._pending[: len(first)]

    def counters(self) -> QueueCounters:
        """Return the counters; the kernel's are those of the calling thread's namespace."""
        columns = netlink.listed("queue", self.number)
        # Columns of net/netfilter/nfnetlink_queue.c, seq_show().
        waiting, queue_dropped, user_dropped = (
            int(columns[at]) if len(columns) > at else 0 for at in (2, 5, 6)
        )
        return QueueCounters(
            waiting, queue_dropped, user_dropped, self._overruns, self._refused, self._malformed
        )

    def close(self) -> None:
        """Send what was judged and unbind; the kernel drops every packet without a verdict."""
        try:
            self.flush()
        finally:
            self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, verdicts: bytes, packets: int) -> bool:
        """Send messages that judge so many packets; say whether the kernel took them."""
        try:
            self._socket.socket.send(verdicts)
        except OSError as error:
            if error.errno not in (errno.ENOBUFS, errno.ENOMEM):
                raise CaptureError(f"NFQUEUE {self.number}: socket lost: {error}") from error
            self._refused += packets
            return False
        self._held = max(0, self._held - packets)
        return True

    def _fetch(self, *, block: bool) -> tuple[int, ...]:
        try:
            return self._ring.receive(self._fd, block=block)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise CaptureError(f"NFQUEUE {self.number}: socket lost: {error}") from error
            self._overruns += 1
            return ()

    def _parse(self, start: int, length: int) -> QueuedPacket | None:
        for layout in self._layouts:
            packet = layout.read(self._ring.buffer, start, length)
            if packet is not None:
                return packet
        return self._walk(start, length)

    def _walk(self, start: int, length: int) -> QueuedPacket | None:
        buffer = self._ring.buffer
        for found in netlink.messages(buffer, start, start + length):
            if found.kind == wire.PACKET:
                packet = wire.walk(buffer, found)
                if packet is None:
                    break
                layout = wire.Layout.of(buffer, found)
                if layout is not None and len(self._layouts) < _MAX_LAYOUTS:
                    self._layouts.append(layout)
                return packet
            if netlink.error_of(buffer, found):
                self._refused += 1
                return None
        self._malformed += 1
        return None
