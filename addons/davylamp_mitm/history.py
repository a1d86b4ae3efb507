"""Keeps a flow's history short: mitmproxy's lists of messages grow as long as their flow does."""

from typing import Protocol

KEPT_MESSAGES = 32
KEPT_BYTES = 64 * 1024


class Message(Protocol):
    """A TCP, UDP or WebSocket message."""

    content: bytes


def trim[M: Message](messages: list[M]) -> None:
    """Drop the oldest messages until few and small ones are left; the newest always stays."""
    if len(messages) > KEPT_MESSAGES:
        del messages[:-KEPT_MESSAGES]
    total = 0
    for index in range(len(messages) - 1, -1, -1):
        total += len(messages[index].content)
        if total > KEPT_BYTES and index < len(messages) - 1:
            del messages[: index + 1]
            return
