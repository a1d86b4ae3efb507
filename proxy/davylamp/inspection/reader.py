"""What a protocol's reader is: one direction of a conversation, once its first bytes have told."""

from enum import StrEnum
from typing import Protocol

import msgspec

from davylamp.flow import Direction
from davylamp.inspection.context import Context


class Inner(StrEnum):
    """A layer that a reader has opened, by the name that findings give it."""

    NONE = ""
    SOCKS4 = "socks4"
    SOCKS5 = "socks5"
    HTTP_CONNECT = "http-connect"
    PROXY_HEADER = "proxy-protocol"
    WEBSOCKET = "websocket"


class Reader(Protocol):
    """Takes one direction's bytes in stream order and reports to the context."""

    @property
    def settled(self) -> bool:
        """Whether this direction has shown that the flow needs no more looking at."""
        ...

    @property
    def partial(self) -> bool:
        """Whether an unfinished message is held, so that the flow must not be let go."""
        ...

    @property
    def held(self) -> int:
        """Bytes that the reader's buffers hold."""
        ...

    @property
    def inner(self) -> Inner:
        """Which layer the bytes are in that `receive` handed back; ``NONE``: this very one."""
        ...

    def receive(self, data: bytes, offset: int) -> bytes | None:
        """Take bytes that continue the stream at ``offset``.

        Return None, or what is left to be read as something else when this protocol turned out
        not to be spoken: the last bytes of what was received so far.
        """
        ...


class Place(msgspec.Struct, frozen=True):
    """Where a reader sits: whose bytes it reads, and inside which layers.

    ``depth`` counts the bytes of the direction after which it is settled, if nothing was found in
    them. ``strict`` says that the bytes were carried by something else's messages, so that only
    what is JSON from its first byte on is read as lines. (A msgspec struct, because one is built
    for each clean connection.)
    """

    context: Context
    direction: Direction
    layers: tuple[str, ...]
    depth: int
    strict: bool = False
