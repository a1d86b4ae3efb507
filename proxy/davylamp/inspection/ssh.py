"""SSH by its identification string, on any port.

That it is SSH is certain; whether SSH may go there is policy's to say. After both strings nothing
is readable, so the originator's settles the flow.
"""

from davylamp.flow import Direction
from davylamp.inspection.finding import AppProto
from davylamp.inspection.reader import Inner, Place
from davylamp.inspection.wire.reader import Malformed
from davylamp.inspection.wire.ssh import SshBannerReader


class SshIdentification:
    """Reads one side's identification string."""

    __slots__ = ("_held", "_place", "_reader", "_seen", "settled")
    inner = Inner.NONE

    def __init__(self, place: Place) -> None:
        self._place = place
        self._reader = SshBannerReader(from_server=place.direction is Direction.RESPONDER)
        self._held = b""
        self._seen = False
        self.settled = False

    @property
    def partial(self) -> bool:
        """Whether the identification string has not ended."""
        return not self._seen

    @property
    def held(self) -> int:
        """Bytes of the unfinished string, here and in its reader."""
        return 2 * len(self._held)

    def receive(self, data: bytes, offset: int) -> bytes | None:
        """Take bytes up to the string's end; hand back what turned out not to be SSH."""
        if self._seen:
            return None
        self._held += data
        banner = self._reader.feed(data)
        if banner is None:
            return None
        held, self._held = self._held, b""
        if isinstance(banner, Malformed):
            return held
        self._seen = True
        self.settled = self._place.direction is Direction.ORIGINATOR
        context = self._place.context
        context.app_proto = AppProto.SSH
        line = held.partition(b"\n")[0]
        context.noticed(
            "ssh.banner",
            self._place.direction,
            offset + len(data) - len(held),
            line,
            (*self._place.layers, AppProto.SSH.value),
            detail=f"SSH identification {banner.software}",
        )
        return None
