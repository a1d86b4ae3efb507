"""Reading what an engine sends, up to a bound."""

from collections.abc import AsyncIterator

import aiohttp

from davylamp.errors import EngineError


class AnswerTooLargeError(EngineError):
    """An answer is larger than the bound that it is read up to."""


async def bounded(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return the whole of an answer; raise AnswerTooLargeError beyond ``limit`` bytes."""
    content = bytearray()
    async for chunk in response.content.iter_any():
        content += chunk
        if len(content) > limit:
            raise AnswerTooLargeError(f"an answer of the engine is larger than {limit} bytes")
    return bytes(content)


async def lines(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    """Yield lines as they come; one beyond the bound is an empty line, however long it goes on."""
    held, skipping = bytearray(), False
    async for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            held += part
            line = b"" if skipping or len(held) > limit else bytes(held)
            skipping = False
            held.clear()
            yield line
        held += rest
        if len(held) > limit:
            held.clear()
            skipping = True


def printable(text: str, limit: int) -> str:
    """Return what an engine says as it may stand in a message."""
    return "".join(each if each.isprintable() else " " for each in text[:limit]).strip()
