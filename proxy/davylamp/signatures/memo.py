"""What the files of a pack came to, so that the next version costs only what changed in it.

Nearly all of a pack's compiling is reading its files, and from one version to the next nearly all
of them stay as they are, byte by byte; what they came to is immutable and may serve both.
"""

from collections.abc import Callable
from hashlib import blake2b
from typing import cast


class Memo:
    """Remembers each file's result until a pack was compiled that has it otherwise, or not.

    Not for two packs at once.
    """

    __slots__ = ("_known", "_met")

    def __init__(self) -> None:
        self._known: dict[str, tuple[bytes, object]] = {}
        self._met: dict[str, tuple[bytes, object]] = {}

    def begin(self) -> None:
        """Begin with a pack's files."""
        self._met = {}

    def result[T](self, data: bytes, file: str, parse: Callable[[bytes, str], T]) -> T:
        """Return what a file comes to; raise what parsing it raises.

        ``parse`` must depend on the file's bytes and name alone, and on which of them it is.
        """
        digest = blake2b(data, digest_size=16).digest()
        known = self._known.get(file)
        found = known[1] if known is not None and known[0] == digest else parse(data, file)
        self._met[file] = (digest, found)
        return cast("T", found)

    def end(self) -> None:
        """Forget all that the pack just read does not have."""
        self._known, self._met = self._met, {}
