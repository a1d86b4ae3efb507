"""The hosts on which a page's commands are run, and what is there before."""

import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.api.talk import an_alert
from tests.docs.blocks import ROOT, all_blocks
from tests.docs.shell import Shell
from tests.replay.conftest import JOB, LOGIN, conversation, pcap
from tests.updates.conftest import pack_files

from davylamp.actions.model import Kind, Planned, Record, Status
from davylamp.actions.operations import ActionOperations
from davylamp.attribution.feedback import FeedbackOperations, RolloutVerdict
from davylamp.attribution.model import Binding
from davylamp.attribution.store import Store
from davylamp.incidents.operations import IncidentOperations
from davylamp.interception.ca import ensure
from davylamp.lab import Lab
from davylamp.lab.topology import GATEWAY
from davylamp.lineage import Client

INCIDENT = "inc-1a2b3c4d5e6f"  # as the pages have it
OF_OLD = datetime(2026, 1, 31, tzinfo=UTC).timestamp()  # half a day before what they ask about
CONFIG = "/etc/davylamp.yaml"
_OWN = {"etc": "/etc", "run": "/run", "lib": "/var/lib", "log": "/var/log"}
_MOUNTS = " && ".join(f'mount --bind "$0/{name}" {path}' for name, path in _OWN.items())

_BRIDGE = "&& ip link set lo up && ip link add br-train up type bridge"


def props(directory: Path) -> None:
    """Put there what pages take for given: captures, a pack, programs of the reader's own."""
    capture = pcap(conversation([(True, LOGIN), (False, JOB)]))
    (directory / "captures").mkdir()
    for name in ("trace.pcap", "captures/one.pcap", "captures/two.pcap"):
        (directory / name).write_bytes(capture)
    for name in ("my-workload", "run-the-tool"):
        (directory / name).write_text("#!/bin/sh\nexit 0\n")
        (directory / name).chmod(0o755)
    (directory / "davylamp.yaml").write_text("sandboxes: {interfaces: [br-train]}\n")
    (directory / "deploy").symlink_to(ROOT / "deploy")
    for name, data in pack_files("2026.11.28").items():
        file = directory / "site-pack" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


@dataclass(frozen=True, slots=True)
class Host:
    """A gateway host whose /etc, /run, /var/lib and /var/log are nobody else's.

    Its network is that of a lab's gateway, or, where it is ``apart``, one with a bridge alone.
    """

    lab: Lab
    root: Path  # short, for there are sockets under it
    apart: bool = False

    def shell(self, directory: Path, **variables: str) -> Shell:
        """Return a shell there."""
        lock = self.lab.environment()["XTABLES_LOCKFILE"]
        return Shell(directory, {"XTABLES_LOCKFILE": lock, **variables}, self.enter)

    def enter(self, words: Sequence[str], directory: Path) -> list[str]:
        """Return the command that runs a program there, in a directory."""
        unshare = ["unshare", "--mount", *(["--net"] if self.apart else [])]
        script = f'{_MOUNTS} {_BRIDGE if self.apart else ""} && exec "$@"'
        inside = [*unshare, "sh", "-c", script, str(self.root)]
        return self.lab.argv(GATEWAY, [*inside, *words], directory)

    def furnish(self) -> None:
        """Make its directories; /etc has the configurations that pages show with their paths."""
        for name in _OWN:
            (self.root / name).mkdir()
        (self.root / "log" / "davylamp").mkdir()  # as the unit's LogsDirectory= does
        self.lab.run(GATEWAY, ["cp", "-a", "/etc/.", str(self.root / "etc")], capture_output=True)
        for block in all_blocks("yaml"):
            first = block.body.split("\n", 1)[0]
            if first.startswith("# /etc/"):
                file = self.root / first.removeprefix("# /")
                file.parent.mkdir(exist_ok=True)
                file.write_text(block.body)


@contextmanager
def a_host(lab: Lab, *, apart: bool = True) -> Iterator[Host]:
    """Give one on which nothing runs yet."""
    with tempfile.TemporaryDirectory() as root:
        host = Host(lab, Path(root), apart)
        host.furnish()
        yield host


@contextmanager
def a_site(lab: Lab) -> Iterator[Host]:
    """Give a host with a gateway, configured as README has it, that enforces and has its API."""
    with a_host(lab, apart=False) as host, (host.root / "said").open("wb") as said:
        words = ["davylamp", "gateway", "--config", CONFIG, "--mode", "enforce"]
        process = subprocess.Popen(
            host.enter([*words, "--set", "api.listen=127.0.0.1:9465"], host.root),
            env=host.shell(host.root).environment(),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
        try:
            deadline = time.monotonic() + 60
            while "INFO: ready" not in (text := (host.root / "said").read_text()):
                assert process.poll() is None, text
                assert time.monotonic() < deadline, text
                time.sleep(0.05)
            yield host
        finally:
            process.terminate()
            process.wait(30)


def remember(host: Host) -> None:
    """Have the site know the container, the incident and the rollout of the pages."""
    ensure(host.root / "lib" / "davylamp" / "ca", datetime.now(UTC))
    url = f"unix://{host.root}/run/davylamp/lineage.sock"
    with Store(url) as store:
        before = Binding(ip="10.0.0.7", lifecycle_id="sandbox-5@1", valid_from=OF_OLD)
        store.run(store.operations.bind(before, now=time.time()))
        with Client(url) as client:
            client.bind(
                ip="10.0.0.7", container="sandbox-7", lifecycle_id="sandbox-7@1",
                run_id="rlhf-12", experiment_id="exp-4", rollout_id="r-3",
            )  # fmt: skip
        store.run(IncidentOperations().record(an_alert(INCIDENT)))
        verdict = RolloutVerdict(
            run_id="rlhf-12", rollout_id="r-3", valid=False, at=time.time(), incident_id=INCIDENT
        )
        store.run(FeedbackOperations.beside(store.operations).mark(verdict))
        masked = Planned(
            incident_id=INCIDENT, kind=Kind.FEEDBACK, target=str(time.time()), reason="mining",
            severity="high", grade="bound", lifecycle_id="sandbox-7@1", container="sandbox-7",
            run_id="rlhf-12", rollout_id="r-3",
        )  # fmt: skip
        done = Record(planned=masked, status=Status.DONE, gateway="gw-1", at=time.time())
        store.run(ActionOperations.beside(store.operations).claim(done, 0.0))
