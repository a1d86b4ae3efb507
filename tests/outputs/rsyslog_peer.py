"""A real rsyslogd of a test's own: every kind of input, and a file of what it took."""

import contextlib
import json
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import trustme

CONFIG = """
global(workDirectory="{place}" maxMessageSize="{limit}"
       DefaultNetstreamDriverCAFile="{place}/ca.pem"
       DefaultNetstreamDriverCertFile="{place}/server.pem"
       DefaultNetstreamDriverKeyFile="{place}/server.key")
module(load="imudp")
module(load="imptcp")
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1"
       StreamDriver.AuthMode="{auth}" {peers})
module(load="imuxsock" SysSock.Use="off")
module(load="mmpstrucdata")
input(type="imudp" address="127.0.0.1" port="{udp}")
input(type="imptcp" address="127.0.0.1" port="{tcp}" SupportOctetCountedFraming="on")
input(type="imtcp" address="127.0.0.1" port="{tls}")
input(type="imuxsock" Socket="{place}/log" UseSpecialParser="off" ParseHostname="on"
      RateLimit.Interval="0" IgnoreTimestamp="off")
template(name="all" type="list" option.jsonf="on") {{
  property(outname="severity" name="syslogseverity-text" format="jsonf")
  property(outname="facility" name="syslogfacility-text" format="jsonf")
  property(outname="app" name="app-name" format="jsonf")
  property(outname="msgid" name="msgid" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="time" name="timestamp" dateFormat="rfc3339" format="jsonf")
  property(outname="raw_sd" name="structured-data" format="jsonf")
  property(outname="sd" name="$!rfc5424-sd" format="jsonf")
  property(outname="input" name="inputname" format="jsonf")
  property(outname="msg" name="msg" format="jsonf")
}}
action(type="mmpstrucdata")
action(type="omfile" file="{place}/taken" template="all")
"""


def rsyslog_program() -> str | None:
    """Return rsyslogd with its TLS driver, or None where one is missing."""
    program = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin:/sbin")
    drivers = list(Path("/usr/lib").glob("*/rsyslog/lmnsd_ossl.so"))
    return program if drivers else None


@dataclass(frozen=True, slots=True)
class Taken:
    """One message as rsyslog understood it; ``elements`` are its structured data."""

    severity: str
    facility: str
    app: str
    msgid: str
    time: str
    raw_sd: str
    elements: dict[str, dict[str, str]]
    source: str
    message: str


class Rsyslog:
    """A rsyslogd in a directory; ports are chosen once, so that it can come back."""

    def __init__(self, program: str, place: Path, *, auth: str = "anon") -> None:
        self.place = place
        self.udp, self.tcp, self.tls = free_port(socket.SOCK_DGRAM), free_port(), free_port()
        self._program = program
        self._auth = auth
        self._process: subprocess.Popen[bytes] | None = None
        self.authority = trustme.CA()
        self.authority.cert_pem.write_to_path(place / "ca.pem")
        self.identity(place / "server", "localhost")

    def identity(self, stem: Path, name: str) -> None:
        """Write a certificate of the test's authority and its key."""
        issued = self.authority.issue_cert(name, common_name=name)
        issued.private_key_pem.write_to_path(stem.with_suffix(".key"))
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        stem.with_suffix(".pem").write_bytes(chain)

    def start(self) -> None:
        """Start it, and wait until it accepts."""
        config = self.place / "rsyslog.conf"
        config.write_text(
            CONFIG.format(
                place=self.place,
                udp=self.udp,
                tcp=self.tcp,
                tls=self.tls,
                auth=self._auth,
                peers='PermittedPeer=["davylamp.test"]' if self._auth != "anon" else "",
                limit="64k",
            )
        )
        command = [self._program, "-n", "-f", str(config), "-i", str(self.place / "pid")]
        with (self.place / "said").open("ab") as said:
            self._process = subprocess.Popen(command, stdout=said, stderr=said)
        self._await_ports()

    def stop(self) -> None:
        """End it, so that it writes out what it has."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20)
            self._process = None

    def taken(self, count: int) -> list[Taken]:
        """Return what it wrote, once that is ``count`` messages of davylamp."""
        end = time.monotonic() + 20
        while True:
            found = self._read()
            if len(found) >= count:
                return found
            assert time.monotonic() < end, (found, (self.place / "said").read_text())
            time.sleep(0.05)

    def _read(self) -> list[Taken]:
        path = self.place / "taken"
        if not path.exists():
            return []
        whole = path.read_text(encoding="utf-8").splitlines()
        return [taken for line in whole if (taken := _one(line)).app == "davylamp"]

    def _await_ports(self) -> None:
        end = time.monotonic() + 20
        for port in (self.tcp, self.tls):
            while True:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                assert time.monotonic() < end, (self.place / "said").read_text()
                time.sleep(0.05)


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a port that nothing listens on just now."""
    with socket.socket(socket.AF_INET, kind) as made:
        made.bind(("127.0.0.1", 0))
        port: int = made.getsockname()[1]
        return port


def _one(line: str) -> Taken:
    read = json.loads(line)
    return Taken(
        severity=read["severity"],
        facility=read["facility"],
        app=read["app"],
        msgid=read["msgid"],
        time=read["time"],
        raw_sd=read["raw_sd"],
        elements=json.loads(read["sd"] or "{}"),
        source=read["input"],
        message=read["msg"],
    )
