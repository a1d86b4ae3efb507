"""The words of a takeover: JSON lines over a Unix socket in the gateway's runtime directory.

    new   hello                 old   here: who I am, and what I use that only one may have
    ... the new one starts, on other queues, groups and ports; the old one works on ...
    new   swap                  old   go: it writes nothing more into the kernel's chains
    ... the new one puts its rules over the old one's ...
    new   taken                 old   ending: from here on the new one is the gateway
    ... the old one judges what still waits in its queues, tells the last of it, closes all ...
                                old   released: the new one opens what the old one had

Until ``taken`` the old gateway answers for everything: where the connection breaks off between
``go`` and that, it puts its own rules back. What is said is believed: the directory is its
owner's alone.
"""

from enum import StrEnum

import msgspec

LINE_LIMIT = 4096


class Word(StrEnum):
    """What is said."""

    HELLO = "hello"
    HERE = "here"
    SWAP = "swap"
    GO = "go"
    TAKEN = "taken"
    ENDING = "ending"
    RELEASED = "released"


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway holds in the kernel; pairs are the first and the last number."""

    queues: tuple[int, int]
    sample_group: int
    ports: tuple[int, int] | None = None
    table: str
    mark_shift: int


class Here(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway that is at work; ``layout`` is `Kernel.layout`."""

    version: str
    seat: Seat
    layout: str


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line."""

    word: Word
    here: Here | None = None


_decoder = msgspec.json.Decoder(Message)


def encode(word: Word, here: Here | None = None) -> bytes:
    """Return a message as a line."""
    return msgspec.json.encode(Message(word=word, here=here)) + b"\n"


def decode(line: bytes, wanted: Word) -> Message:
    """Read a line; raise ConnectionError where it is not the word that must come now."""
    if not line:
        raise ConnectionError("the other gateway ended the conversation")
    try:
        message = _decoder.decode(line)
    except msgspec.DecodeError as error:
        why = f"the other gateway says what this one does not know: {error}"
        raise ConnectionError(why) from error
    if message.word is not wanted:
        raise ConnectionError(f"the other gateway said {message.word}, not {wanted}")
    return message
