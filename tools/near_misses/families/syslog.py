# /// script
# [tool.near-misses]
# debian = ["rsyslog"]
# ///
"""rsyslog ships a pool's log to a collector: as syslog lines, as JSON lines, and counted."""

import logging.handlers
import socketserver
import threading
import time
from pathlib import Path

from quotes import LOG, MESSAGES
from stage import ENVIRONMENT, debian, program, python, recorded, wait_for

COLLECTOR, RELAY = 5140, 5141
_RULES = f"""
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="/mnt/work/log" CreatePath="on")
template(name="json" type="list" option.jsonf="on") {{
  property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="program" name="programname" format="jsonf")
  property(outname="message" name="msg" format="jsonf")
}}
action(type="omfwd" target="127.0.0.1" port="{COLLECTOR}" protocol="tcp" %s)
"""
_HOW = {
    "lines": 'template="RSYSLOG_SyslogProtocol23Format"',
    "json": 'template="json"',
    "counted": 'template="RSYSLOG_SyslogProtocol23Format" TCP_Framing="octet-counted"',
}
taken: list[bytes] = []


class Collector(socketserver.StreamRequestHandler):
    """Takes what comes and says nothing."""

    def handle(self) -> None:
        """Read to the end."""
        while data := self.rfile.read1():
            taken.append(data)


def log_all() -> None:
    """Log every message, alone and in a sentence, and the lines of a log."""
    handler = logging.handlers.SysLogHandler("/mnt/work/log")
    handler.ident = "pool: "
    log = logging.getLogger("pool")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(handler)
    for line in (*MESSAGES, *(f"refused {line} of 203.0.113.5" for line in MESSAGES)):
        log.info(line)
    for line in (*LOG.splitlines(), "the end"):
        log.info(line)
    log.removeHandler(handler)
    handler.close()


def main() -> None:
    """Record the family."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", COLLECTOR), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    modules = ENVIRONMENT / "debian/usr/lib/x86_64-linux-gnu/rsyslog"
    for how, options in _HOW.items():
        Path("rules.conf").write_text(_RULES % options)
        Path("log").unlink(missing_ok=True)
        taken.clear()
        argv = ["rsyslogd", "-n", "-f", "/mnt/work/rules.conf", "-i", "/mnt/work/pid"]
        with (
            recorded(
                f"rsyslog-{how}",
                software=[debian("rsyslog"), python()],
                does=f"a log is forwarded to a collector over TCP, {how}",
                near="every line quotes a message of a pool's session behind its header or in a member",
            ),
            program([*argv, "-M", str(modules)]),
        ):
            wait_for(Path("log").exists)
            log_all()
            wait_for(lambda: b"the end" in b"".join(taken))
            time.sleep(0.1)


if __name__ == "__main__":
    main()
