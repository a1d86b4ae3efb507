"""A redirected sandbox in a lab: what the kernel sends to mitmproxy is stopped like all else."""

from contextlib import ExitStack
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


_LISTED = """\
id: listed-pool
rev: 1
title: A listed pool
category: pool
dialect: made-up
role: miner
confidence: 90
severity: 2
maturity: stable
detail: goes to an address that a made-up pool listens on
when:
  endpoint: {list: pools}
"""
_POOLS = "%s\t3333\ttcp\tconfirmed\t-\tmole\tmade up\t2026-11-01\t2027-10-30\n"
_ASK = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 10) as peer:
        peer.sendall(bytes.fromhex(sys.argv[3]))
        print(peer.recv(1))
except ConnectionError:
    print("reset")
"""
_HELLO = "160301002f0100002b0303" + "07" * 32 + "000002130101000000"  # without extensions


def test_where_a_flow_goes_is_judged_by_its_original_destination(
    lab: Lab, redirected: Mitm, tmp_path: Path
) -> None:
    """Before a first byte of HTTP, TLS or anything else is sent on, and only on the listed port."""
    (tmp_path / "listed" / "lists").mkdir(parents=True)
    (tmp_path / "listed" / "one").mkdir()
    (tmp_path / "listed" / "pack.yaml").write_text("name: one\nversion: '1'\nformat: 1\n")
    (tmp_path / "listed" / "one" / "listed-pool.yaml").write_text(_LISTED)
    pools = "".join(_POOLS % POOL[family] for family in (4, 6))
    (tmp_path / "listed" / "lists" / "pools.tsv").write_text(pools)
    redirected.options = [f"davylamp_pack={tmp_path / 'listed'}"]
    text = b"\0hi\n".hex()
    said = (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".hex(), text, _HELLO)

    def ask(family: int, port: int, text: str) -> str:
        words = ["python3", "-c", _ASK, POOL[family], str(port), text]
        return str(lab.run("sandbox-1", words, capture_output=True, text=True).stdout).strip()

    mole = Path(__file__).parents[1] / "gateway" / "mole.py"
    with ExitStack() as stack:
        for family, port in ((4, 3333), (6, 3333), (4, 3334)):
            words = ("server", POOL[family], str(port))
            stack.enter_context(Service(lab, OUTSIDE, "mole", *words, script=mole))
        mitm = stack.enter_context(redirected)
        assert [ask(4, 3333, one) for one in said] == ["reset"] * 3
        assert ask(6, 3333, text) == "reset"
        assert ask(4, 3334, text) == "b'\\x00'"
        found = [(one["dest_ip"], one["dest_port"]) for one in mitm.alerts(4)]
    assert found == [(POOL[4], 3333)] * 3 + [(POOL[6], 3333)]


def test_who_was_not_redirected_gets_nowhere(lab: Lab, redirected: Mitm) -> None:
    """A proxy that is addressed itself does not connect to itself, and again, until it is full."""
    with redirected as mitm:
        for host in ("10.90.0.1", "[fd00:90::1]"):
            words = ["curl", "-sS", "-m", "5", f"http://{host}:{_PORT}/"]
            lab.run("sandbox-1", words, capture_output=True)
        assert mitm.sockets() < 40
    assert mitm.summary()["counters"]["strays"] == 2
