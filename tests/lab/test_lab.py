import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from davylamp.errors import ConfigError, KernelError
from davylamp.lab import Lab, LabSpec

pytestmark = pytest.mark.lab

_SERVE = """
import http.server, socket, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.client_address[0].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
server = Server((sys.argv[1], 80), Handler)
print("ready", flush=True)
server.serve_forever()
"""


def serve(lab: Lab, address: str) -> None:
    """Serve, on the outside host, pages that say which address asked for them."""
    argv = [sys.executable, "-c", _SERVE, address]
    process = lab.spawn(
        "outside", argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def ask(lab: Lab, host: str, *argv: str) -> str:
    """Return what a program in a host prints; it must succeed."""
    run = lab.run(host, argv, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return str(run.stdout)


@pytest.mark.parametrize("family", [4, 6])
def test_a_sandbox_reaches_outside_as_itself(lab: Lab, family: int) -> None:
    """A real client in a sandbox resolves a name and is seen outside by its own address."""
    site = "203.0.113.20" if family == 4 else "2001:db8::20"
    serve(lab, site)
    sandbox = lab.sandboxes[0]
    seen = ask(lab, "sandbox-1", "curl", "-sS", f"-{family}", "http://www.example/")
    assert seen == (sandbox.ipv4 if family == 4 else sandbox.ipv6)


def test_the_way_outside_is_through_the_gateway(lab: Lab) -> None:
    """Without forwarding in the gateway nothing passes, so it is the only way out."""
    serve(lab, "203.0.113.20")
    ask(lab, "gateway", "sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward")
    argv = ["curl", "-sS", "--max-time", "1", "http://203.0.113.20/"]
    assert lab.run("sandbox-1", argv, capture_output=True).returncode == 28


def test_sandboxes_share_the_training_bridge(lab: Lab) -> None:
    """Every sandbox is a port of the bridge in the gateway."""
    links = ask(lab, "gateway", "ip", "-o", "link", "show", "master", "br-train")
    assert [name in links for name in ("sb-1", "sb-2", "sb-3", "sb-4")] == [True] * 3 + [False]


@pytest.mark.parametrize("host", ["sandbox-1", "gateway", "outside"])
def test_a_zone_name_resolves(lab: Lab, host: str) -> None:
    """The system's own resolver finds a pool's name at its lab addresses, in every host."""
    found = ask(lab, host, "getent", "ahosts", "xmr-eu1.nanopool.org")
    assert {line.split()[0] for line in found.splitlines()} == {"203.0.113.10", "2001:db8::10"}


def test_another_name_does_not_resolve(lab: Lab) -> None:
    """A name that is in no zone has no address, whatever the real network would say."""
    assert lab.run("sandbox-1", ["getent", "ahosts", "localhost.example"]).returncode == 2


def test_a_name_can_be_added_at_run_time(lab: Lab) -> None:
    """A name added to a running lab resolves at once, also as another name's alias."""
    lab.add_name("late.example", "203.0.113.11")
    lab.add_name("alias.example", "late.example")
    assert "203.0.113.11" in ask(lab, "sandbox-2", "getent", "ahosts", "alias.example")


def test_hosts_find_each_other_by_name(lab: Lab) -> None:
    """The hosts file of a host names the others, and the host knows its own name."""
    assert "fd00:90::13" in ask(lab, "sandbox-1", "getent", "ahosts", "sandbox-3")
    assert ask(lab, "sandbox-2", "hostname") == "sandbox-2\n"


def test_interfaces_listed_are_the_hosts_own(lab: Lab) -> None:
    """A program that reads /sys sees the host's interfaces, not the machine's."""
    assert ask(lab, "sandbox-1", "ls", "/sys/class/net").split() == ["eth0", "lo"]


def test_the_machines_own_files_stay(lab: Lab) -> None:
    """Only the lab's hosts have the lab's resolv.conf."""
    inside = ask(lab, "sandbox-1", "cat", "/etc/resolv.conf")
    assert "nameserver 203.0.113.53" in inside
    assert Path("/etc/resolv.conf").read_text() != inside


def test_the_kernel_can_filter_in_the_gateway(lab: Lab) -> None:
    """Both nftables and iptables work in the gateway, and only there."""
    ask(lab, "gateway", "nft", "add table inet dl-test")
    ask(lab, "gateway", "iptables", "-A", "FORWARD", "-s", "192.0.2.1", "-j", "DROP")
    assert "dl-test" in ask(lab, "gateway", "nft", "list", "tables")
    assert "dl-test" not in ask(lab, "sandbox-1", "nft", "list", "tables")


def test_the_process_is_the_program(lab: Lab) -> None:
    """A Popen's pid is the program's own, so killing it leaves no child behind."""
    process = lab.popen("sandbox-1", ["sh", "-c", "echo $$; exec sleep 100"], stdout=-1, text=True)
    with process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == process.pid
        process.terminate()
    assert process.returncode == -signal.SIGTERM


def test_status_and_directory_pass_through(lab: Lab, tmp_path: Path) -> None:
    """A program runs in the caller's directory, or the one asked for, and its status is kept."""
    assert ask(lab, "sandbox-1", "pwd").strip() == str(Path.cwd())
    run = lab.run("sandbox-1", ["sh", "-c", "pwd; exit 7"], cwd=tmp_path, stdout=-1, text=True)
    assert (run.returncode, run.stdout.strip()) == (7, str(tmp_path))
    assert ask(lab, "sandbox-1", "sh", "-c", "cd .. && pwd").strip() == str(Path.cwd().parent)
    assert lab.run("sandbox-1", ["no-such-program"], stderr=-1).returncode == 127


def test_an_environment_given_is_used(lab: Lab) -> None:
    """An explicit environment replaces the caller's."""
    run = lab.run("sandbox-1", ["env"], env={"PATH": "/usr/bin:/bin", "X": "1"}, stdout=-1)
    assert sorted(run.stdout.split()) == [b"PATH=/usr/bin:/bin", b"X=1"]


def test_a_host_that_is_not_there_is_refused(lab: Lab) -> None:
    """Asking for an unknown host names the ones there are."""
    with pytest.raises(ConfigError, match="sandbox-3"):
        lab.popen("sandbox-9", ["true"])


def test_leaving_the_block_leaves_nothing(
    can_lab: None, lab_name: str, note_lab: Callable[[Path], Any]
) -> None:
    """A lab's end takes every process with it, also those that nobody tracked or that are deaf."""
    with Lab.create(LabSpec(lab_name)) as lab:
        spawned = lab.spawn("sandbox-1", ["sleep", "100"])
        deaf = "trap '' TERM HUP; echo ready; while :; do sleep 1; done"
        loose = lab.popen("outside", ["setsid", "sh", "-c", deaf], stdout=-1, text=True)
        assert loose.stdout is not None
        loose.stdout.readline()
        traces = note_lab(lab.directory)
        assert traces.left()
    assert traces.left() == []
    with loose:
        assert loose.wait() == -signal.SIGKILL
    assert spawned.returncode == -signal.SIGTERM


def test_down_twice_is_no_error(lab: Lab) -> None:
    """Taking a lab down again does nothing."""
    lab.down()
    lab.down()


def test_a_process_that_left_the_mounts_is_found(lab: Lab) -> None:
    """A process in a lab's network with mounts of its own is ended with the lab too."""
    script = ["sh", "-c", "echo ready; exec sleep 100"]
    argv = [word for word in lab.argv("sandbox-1", script) if word != "--mount"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert lab.directory.name not in Path(f"/proc/{process.pid}/mountinfo").read_text()
        lab.down()
    assert process.returncode == -signal.SIGTERM


def test_a_lab_that_cannot_be_finished_is_taken_back(can_lab: None, lab_name: str) -> None:
    """Where the kernel refuses the last step, the error says so and nothing of the lab stays."""
    spec = LabSpec(lab_name, outside_addresses=("ff02::1",))
    with pytest.raises(KernelError, match="could not wire"):
        Lab.create(spec)
    with Lab.create(LabSpec(lab_name, sandboxes=1)) as lab:
        assert len(lab.sandboxes) == 1


@pytest.fixture
def two_labs(can_lab: None, lab_name: str) -> Iterator[tuple[Lab, Lab]]:
    """Build two labs with the same addresses."""
    with (
        Lab.create(LabSpec(f"{lab_name}-a", 1, zone={"x.example": ("203.0.113.10",)})) as one,
        Lab.create(LabSpec(f"{lab_name}-b", 1, zone={"x.example": ("203.0.113.11",)})) as two,
    ):
        yield one, two


def test_two_labs_do_not_meet(two_labs: tuple[Lab, Lab]) -> None:
    """Two labs with the same addresses each have their own world, and end apart."""
    one, two = two_labs
    assert "203.0.113.10" in ask(one, "sandbox-1", "getent", "ahosts", "x.example")
    assert "203.0.113.11" in ask(two, "sandbox-1", "getent", "ahosts", "x.example")
    serve(two, "203.0.113.20")
    argv = ["curl", "-sS", "--max-time", "5", "http://203.0.113.20/"]
    assert one.run("sandbox-1", argv, capture_output=True).returncode == 7
    one.down()
    assert two.run("sandbox-1", argv, capture_output=True).stdout == b"10.90.0.11"


def test_a_name_in_use_is_refused(lab: Lab) -> None:
    """A second lab of the same name is refused, and the first is not harmed."""
    with pytest.raises(ConfigError, match="already"):
        Lab.create(LabSpec(lab.name))
    assert ask(lab, "sandbox-1", "echo", "fine") == "fine\n"
