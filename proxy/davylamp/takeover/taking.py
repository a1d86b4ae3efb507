"""A gateway that comes to take the place of the one at work. Blocks: for a thread, or a start."""

import logging
import os
import select
import signal
import socket
from pathlib import Path

from davylamp.errors import KernelError
from davylamp.takeover.handing import Rules, pid_of
from davylamp.takeover.words import LINE_LIMIT, Here, Message, Word, decode, encode

_ANSWER_SECONDS = 5.0
RELEASE_SECONDS = 60.0
"""How long the old gateway has to end, once it is no longer the gateway."""
_DEATH_SECONDS = 2.0

logger = logging.getLogger(__name__)


def find(path: Path) -> "TakingOver | None":
    """Return the gateway at work that listens here; None, and say why, where none answers."""
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    end.settimeout(_ANSWER_SECONDS)
    try:
        end.connect(str(path))
        found = TakingOver(end)
    except OSError as error:
        end.close()
        logger.warning("nobody to take over from, starting as usual: %s: %s", path, error)
        return None
    return found


class TakingOver:
    """One conversation with the gateway at work; ``here`` is what it says of itself."""

    def __init__(self, end: socket.socket) -> None:
        """Greet it; raise OSError where it does not answer as it should."""
        self._end = end
        self._heard = b""
        self._gone = False
        self._pid = pid_of(end)
        end.sendall(encode(Word.HELLO))
        here = self._hear(Word.HERE).here
        if here is None:
            raise ConnectionError("the other gateway does not say what it is")
        self.here: Here = here

    def take(self, rules: Rules, here: Here) -> None:
        """Put the rules in force over the other's; from then on this is the gateway.

        Where the other has died meanwhile, they are put in as at any start. Raises KernelError as
        rules do, and where the other does not let go: then that is the gateway still.
        """
        if not self._agreed(Word.SWAP, Word.GO, here):
            logger.warning("the gateway that was at work ended meanwhile; going on alone")
            rules.apply()
            return
        if rules.layout == self.here.layout:
            rules.renew()
        else:
            logger.warning(
                "the kernel's sets are laid out anew: what waits in queues is sent again"
            )
            rules.apply()
        self._end.settimeout(RELEASE_SECONDS)  # once it has our word, it ends; it may be busy
        self._agreed(Word.TAKEN, Word.ENDING)

    def wait_released(self) -> None:
        """Wait until the other has nothing any more; end it if that takes a minute."""
        if self._gone:
            return
        self._end.settimeout(RELEASE_SECONDS)
        try:
            self._hear(Word.RELEASED)
        except TimeoutError:
            logger.error("the old gateway (pid %d) does not end: it is killed", self._pid)  # noqa: TRY400
            if self._pid:
                os.kill(self._pid, signal.SIGKILL)
                self._died()
        except OSError:
            logger.warning("the old gateway ended before it had let go of everything")
        self.close()

    def close(self) -> None:
        """End the conversation."""
        self._end.close()

    def _agreed(self, word: Word, wanted: Word, here: Here | None = None) -> bool:
        """Say a word and hear the answer; False where the other has died."""
        try:
            self._end.sendall(encode(word, here))
            self._hear(wanted)
        except OSError as error:
            self._gone = True
            if not self._died():
                raise KernelError(f"the gateway at work does not let go: {error}") from error
            return False
        return True

    def _hear(self, wanted: Word) -> Message:
        while b"\n" not in self._heard:
            piece = self._end.recv(LINE_LIMIT)
            if not piece or len(self._heard) > LINE_LIMIT:
                return decode(b"", wanted)
            self._heard += piece
        line, _, self._heard = self._heard.partition(b"\n")
        return decode(line, wanted)

    def _died(self) -> bool:
        """Wait a moment for the other's end; say whether it came."""
        try:
            descriptor = os.pidfd_open(self._pid)
        except OSError:
            return True
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            return bool(poll.poll(_DEATH_SECONDS * 1000))
        finally:
            os.close(descriptor)
