"""A redirected sandbox in a lab: what the kernel sends to mitmproxy is stopped like all else."""

from pathlib import Path

import pytest
from tests.addons.mitm import MITMDUMP, Mitm
from tests.gateway.world import POOL, wait_until

from davylamp.lab import Lab
from davylamp.lab.service import Service, run_program
from davylamp.lab.topology import GATEWAY, OUTSIDE

pytestmark = [pytest.mark.lab, pytest.mark.programs]

_PORT = 8080
_REDIRECT = """
table inet dl-addons {
  chain prerouting {
    type nat hook prerouting priority dstnat
    iifname %s meta l4proto tcp th dport != 53 redirect to :%d
  }
}
"""


@pytest.fixture
def redirected(lab: Lab, tmp_path: Path) -> Mitm:
    """Send what the sandboxes open by TCP to a mitmdump on the lab's gateway."""
    if not MITMDUMP.exists():
        pytest.skip(f"no mitmdump at {MITMDUMP}: install davylamp[mitmproxy]")
    rules = tmp_path / "redirect.nft"
    rules.write_text(_REDIRECT % ('"br-train"', _PORT))
    lab.run(GATEWAY, ["nft", "-f", str(rules)], check=True)
    return Mitm(tmp_path, [f"transparent@{_PORT}"], prefix=lab.argv(GATEWAY, []))


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("port", [443, 3333])
def test_redirected_miner_is_cut(
    lab: Lab,
    redirected: Mitm,
    tmp_path: Path,
    *,
    family: int,
    tls: bool,
    port: int,
) -> None:
    """The pool has no complete request, and the event has both ends' addresses."""
    address = POOL[family]
    bind = f"[{address}]:{port}" if family == 6 else f"{address}:{port}"
    summary = tmp_path / "pool.json"
    options = ("--bind", bind, "--summary", str(summary))
    with redirected as mitm, Service(lab, OUTSIDE, "pool", *options) as pool:
        miner = run_program(
            lab,
            "sandbox-1",
            "miner",
            ["--pool", bind, "--attempts", "2", "--backoff", "0.05", *(["--tls"] if tls else [])],
            30,
        )
        assert miner.process.returncode == 3, miner.lines
        alerts = mitm.alerts(2)
        sandbox = lab.host("sandbox-1")
        assert {alert["src_ip"] for alert in alerts} == {
            sandbox.ipv6 if family == 6 else sandbox.ipv4
        }
        assert {(alert["dest_ip"], alert["dest_port"]) for alert in alerts} == {(address, port)}
        assert alerts[0]["mining"]["layers"] == (["tcp", "tls"] if tls else ["tcp"])
        assert wait_until(lambda: len(pool.events("reset")) == 2)
    assert '"complete_requests": 0' in summary.read_text()


def test_who_was_not_redirected_gets_nowhere(lab: Lab, redirected: Mitm) -> None:
    """A proxy that is addressed itself does not connect to itself, and again, until it is full."""
    with redirected as mitm:
        for host in ("10.90.0.1", "[fd00:90::1]"):
            words = ["curl", "-sS", "-m", "5", f"http://{host}:{_PORT}/"]
            lab.run("sandbox-1", words, capture_output=True)
        assert mitm.sockets() < 40
    assert mitm.summary()["counters"]["strays"] == 2
