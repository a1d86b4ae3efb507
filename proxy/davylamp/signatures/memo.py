"""What the files of a pack came to, so that the next version costs only what changed in it.

Nearly all of a pack's compiling is reading its files, and from one version to the next nearly all
of them stay as they are, byte by byte; what they came to is immutable and may serve both.
"""

from collections.abc import Callable, Collection
from hashlib import blake2b
from typing import cast


class Memo:
    """Remembers what each file came to, while packs have it. Not for two packs at once."""

    __slots__ = ("_known", "_whole")

    def __init__(self) -> None:
        self._known: dict[str, tuple[bytes, object]] = {}
        self._whole: tuple[str, object] | None = None

    def keep(self, files: Collection[str]) -> None:
        """Forget all files but these."""
        self._known = {file: known for file, known in self._known.items() if file in files}

    def whole[T](self, digest: str, build: Callable[[], T]) -> T:
        """Return what all files of this digest came to; build it where the last had another."""
        if self._whole is None or self._whole[0] != digest:
            self._whole = digest, build()
        return cast("T", self._whole[1])

    def result[T](self, data: bytes, file: str, parse: Callable[[bytes, str], T]) -> T:
        """Return what a file comes to; raise what parsing it raises.

        ``parse`` and what it returns must depend on the file's bytes and name alone.
        """
        digest = blake2b(data, digest_size=16).digest()
        known = self._known.get(file)
        if known is not None and known[0] == digest:
            return cast("T", known[1])
        found = parse(data, file)
        self._known[file] = (digest, found)
        return found
