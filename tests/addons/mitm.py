"""A real mitmdump with the addons in it, and the peers that stand on both sides of it."""

import contextlib
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.lines import whole_lines

from davylamp.paths import ADDONS

LOGIN = (
    b'{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"'
    + b"4" * 95
    + b'","pass":"x","agent":"XMRig/6.22.2","algo":["rx/0"]}}'
)
SCRIPT = ADDONS / "davylamp_addon.py"
MITMDUMP = Path(sys.executable).with_name("mitmdump")
_SECONDS = 20.0
_START_SECONDS = 60.0
_CHUNK = 64 * 1024


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def wait_until(true: Callable[[], object], seconds: float = _SECONDS) -> bool:
    """Wait until ``true()`` is; say whether it came to be within the time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@dataclass
class Mitm:
    """One mitmdump, as a user starts it; ``options`` are its ``--set``."""

    directory: Path
    modes: Sequence[str]
    options: Sequence[str] = ()
    scripts: Sequence[Path] = (SCRIPT,)
    prefix: Sequence[str] = ()

    def argv(self) -> list[str]:
        """Return the command line."""
        given = {"confdir": str(self.confdir), "davylamp_events": str(self.events_file)}
        given["ssl_insecure"] = "true"
        given |= dict(option.split("=", 1) for option in self.options)
        return [
            *(str(MITMDUMP), "--set", "flow_detail=0"),
            *(word for mode in self.modes for word in ("--mode", mode)),
            *(word for script in self.scripts for word in ("-s", str(script))),
            *(word for name, value in given.items() for word in ("--set", f"{name}={value}")),
        ]

    @property
    def confdir(self) -> Path:
        """Where its certificate authority is."""
        return self.directory / "conf"

    @property
    def ca(self) -> Path:
        """The certificate that its clients are to trust."""
        return self.confdir / "mitmproxy-ca-cert.pem"

    @property
    def events_file(self) -> Path:
        """Where the addons write."""
        return self.directory / "events.jsonl"

    @property
    def log(self) -> str:
        """What it has said."""
        return (self.directory / "mitmdump.log").read_text()

    def start(self) -> Self:
        """Start it, and wait until it listens and has the addons."""
        with (self.directory / "mitmdump.log").open("w") as log:
            self.process = subprocess.Popen(
                [*self.prefix, *self.argv()], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        ended = self.process.poll
        if not wait_until(lambda: "davylamp: " in self.log or ended() is not None, _START_SECONDS):
            self.stop()
            raise AssertionError(self.log)
        assert self.process.poll() is None, self.log
        return self

    def stop(self) -> None:
        """End it, as Ctrl-C does."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(_SECONDS)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def events(self) -> list[dict[str, Any]]:
        """Return the events written so far; of one that is being written, nothing."""
        return whole_lines(self.events_file)

    def alerts(self, at_least: int = 1) -> list[dict[str, Any]]:
        """Wait for alerts and return them."""
        wait_until(lambda: len(self._alerts()) >= at_least)
        return self._alerts()

    def summary(self) -> dict[str, Any]:
        """End it and return its counters."""
        self.stop()
        last = self.events()[-1]
        assert last["event_type"] == "stats", last
        return {**last, **last.get("counters", {})}

    def memory(self) -> int:
        """Return the bytes of memory that it has now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024

    def sockets(self) -> int:
        """Return how many sockets it has open."""
        found = 0
        for link in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found += str(link.readlink()).startswith("socket:")
        return found

    def _alerts(self) -> list[dict[str, Any]]:
        return [event for event in self.events() if event["event_type"] == "alert"]


@dataclass
class Heard:
    """What one connection brought to a recording server, and how it ended."""

    data: bytearray = field(default_factory=bytearray)
    reset: bool = False
    ended: bool = False


type Answer = Callable[[socket.socket, Heard], None]


class RecordingServer:
    """A TCP or TLS server on the loopback address that keeps every byte that reaches it.

    ``answer`` is called after each piece, with the connection to write to.
    """

    def __init__(self, answer: Answer | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.heard: list[Heard] = []
        self._answer = answer
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    @property
    def data(self) -> bytes:
        """Every byte of every connection."""
        return b"".join(bytes(one.data) for one in self.heard)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                raw, _ = self._listener.accept()
                heard = Heard()
                self.heard.append(heard)
                threading.Thread(target=self._serve, args=(raw, heard), daemon=True).start()

    def _serve(self, raw: socket.socket, heard: Heard) -> None:
        try:
            if self._tls is not None:
                # Apart, so that what breaks off in the handshake is closed as well.
                raw = self._tls.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
                raw.do_handshake()
            while piece := raw.recv(_CHUNK):
                heard.data += piece
                if self._answer is not None:
                    self._answer(raw, heard)
        except ConnectionResetError:
            heard.reset = True
        except OSError:
            pass
        finally:
            heard.ended = True
            raw.close()


@dataclass
class Outcome:
    """What a client got back, and whether it was reset."""

    data: bytes
    reset: bool


def read_to_end(peer: socket.socket) -> Outcome:
    """Read until the other side ends the connection, however it does; close our side then."""
    data = b""
    with peer:
        try:
            while piece := peer.recv(_CHUNK):
                data += piece
        except ConnectionResetError:
            return Outcome(data, reset=True)
        except ssl.SSLError:
            return Outcome(data, reset=False)
        return Outcome(data, reset=False)


def connect(port: int) -> socket.socket:
    """Connect to a port of the loopback address."""
    return socket.create_connection(("127.0.0.1", port), timeout=_SECONDS)


def through_connect(proxy: int, target: int) -> socket.socket:
    """Connect by an HTTP proxy's CONNECT."""
    peer = connect(proxy)
    peer.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: x\r\n\r\n" % target)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += peer.recv(1)
    assert b" 200 " in answer, answer
    return peer


def through_socks(proxy: int, target: int) -> socket.socket:
    """Connect by a SOCKS 5 proxy (RFC 1928 sections 3 to 6)."""
    peer = connect(proxy)
    peer.sendall(b"\x05\x01\x00")
    assert peer.recv(2) == b"\x05\x00"
    peer.sendall(b"\x05\x01\x00\x01\x7f\x00\x00\x01" + struct.pack("!H", target))
    assert peer.recv(10)[:2] == b"\x05\x00"
    return peer


def blind_tls(version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """Return a client's context that verifies nothing, as miners do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context
