"""HTTP/1 heads, and the lines that frame chunks, are waited for within a bound.

mitmproxy keeps what has come until a line or a head has its end, however long that takes.
"""

import h11
from h11._receivebuffer import ReceiveBuffer
from mitmproxy.proxy.layers.http import _http1

MAX_HEAD = 256 * 1024
"""Bytes in which a head, a chunk's line or all trailers must have their end."""

_TOO_LARGE = f"more than {MAX_HEAD} bytes of a head"


class BoundedBuffer(ReceiveBuffer):
    """What a peer sent, of which too much without an end is no head at all."""

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """Return a head's lines; where it is too large one that is refused, as any such is."""
        lines = super().maybe_extract_lines()
        if lines is None and len(self) > MAX_HEAD:
            return [bytearray(_TOO_LARGE.encode())]
        return lines

    def maybe_extract_next_line(self) -> bytearray | None:
        """Return a chunk's line; raise RemoteProtocolError where it is too large."""
        line = super().maybe_extract_next_line()
        if line is None and len(self) > MAX_HEAD:
            raise h11.RemoteProtocolError(_TOO_LARGE)
        return line


def bound_heads() -> None:
    """Have mitmproxy wait for heads so, from the next connection on."""
    _http1.ReceiveBuffer = BoundedBuffer  # type: ignore[attr-defined]
