"""TLS that the kernel redirects to the gateway's mitmproxy workers: what is inside is judged."""

import hashlib
import os
import signal
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.conftest import Build
from tests.gateway.intercepting import FIRST, INTERCEPT, WORKERS, authority, mitmproxies
from tests.gateway.world import POOL, WEB, World, endpoint, wait_until

from davylamp.events import AlertEvent, TlsEvent
from davylamp.lab.programs.certs import Authority, self_signed
from davylamp.lab.programs.content import digest
from davylamp.lab.topology import GATEWAY, GATEWAY_INSIDE, GATEWAY_UPLINK, OUTSIDE
from davylamp.lineage import Client

pytest.importorskip("mitmproxy")
pytestmark = [pytest.mark.lab, pytest.mark.programs]

_PINNED = Path(__file__).with_name("pinned.py")


@pytest.fixture
def world(build: Build, site: Authority) -> World:
    """Give a lab whose gateway opens what comes to some ports."""
    return build(intercept=INTERCEPT)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("sni", [None, "pool.example"])
def test_a_pool_that_signs_for_itself_is_seen_and_stopped(
    world: World, version: str, sni: str | None
) -> None:
    """It receives no request; the incident has what was said inside TLS, and who said it."""
    ports = (443, 3333, 14433)
    pool = world.pool(*ports)
    options: dict[str, Any] = {"tls_version": version, **({"sni": sni} if sni else {})}
    with Client(world.gateway.lineage_url) as trainer:
        trainer.bind(ip=world.lab.sandboxes[0].ipv4, container="one", run_id="run-1")
        with trainer.tool_call(container="one", tool="bash", tool_call_id="call-1"):
            for family in (4, 6):
                for port in ports:
                    url = f"stratum+ssl://{endpoint(POOL[family], port)}"
                    done = world.miner("sandbox-1", url, attempts=1, backoff=0, **options)
                    assert done.events("summary")[0]["outcomes"] == ["reset"], done.lines
        alerts = world.gateway.wait_alerts(
            lambda found: len({alert.flow_id for alert in found}) == 2 * len(ports)
        )
    assert pool.requests() == []
    assert {(alert.dest_ip, alert.dest_port) for alert in alerts} == {
        (POOL[family], port) for family in (4, 6) for port in ports
    }
    for alert in alerts:
        check(alert, sni or "", f"TLSv{version}")
    named = [alert for alert in alerts if alert.src_ip == world.lab.sandboxes[0].ipv4]
    assert {(one.lineage.run_id, one.lineage.tool_call_id) for one in named if one.lineage} == {
        ("run-1", "call-1")
    }
    assert len({one.incident_id for one in named}) == 1
    for family in (4, 6):
        blocked = world.nft("list", "set", "inet", "davylamp", f"blocked{family}")
        for port in ports:
            assert f"{POOL[family]} . tcp . {port} " in blocked.replace(" . 6 . ", " . tcp . ")


def check(alert: AlertEvent, sni: str, version: str) -> None:
    """Hold an alert to what it must say of a miner inside TLS."""
    assert alert.verdict.action == "reject"
    assert alert.mining is not None
    assert alert.mining.layers == ("tcp", "tls")
    assert "mining." in alert.evidence[0].excerpt
    assert alert.tls is not None
    assert alert.tls.sni == sni


@pytest.mark.parametrize("wire", ["bytewise", "halves", "two-in-one"])
def test_however_it_is_cut(world: World, wire: str) -> None:
    """A request in pieces is waited for: none of it goes to a server that nobody vouches for."""
    pool = world.pool(3333, families=(4,))
    url = f"stratum+ssl://{endpoint(POOL[4], 3333)}"
    for dialect in ("stratum", "cryptonote"):
        done = world.miner("sandbox-1", url, attempts=1, wire=wire, dialect=dialect)
        assert done.events("summary")[0]["outcomes"] == ["reset"], done.lines
        world.forgive()
    assert pool.requests() == []
    alerts = world.gateway.wait_alerts(lambda found: len({one.flow_id for one in found}) == 2)
    assert {one.mining.layers for one in alerts if one.mining} == {("tcp", "tls")}


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("how", ["trust", "fingerprint"])
def test_a_pinned_client_is_refused_and_found_out(world: World, how: str, version: str) -> None:
    """It gets another certificate and leaves: that is an event, and with no name an incident."""
    leaf = self_signed(world.directory / "pool", [POOL[4]])
    pool = world.pool(443, families=(4,), extra=["--cert", str(leaf.chain), "--key", str(leaf.key)])
    der = ssl.PEM_cert_to_DER_cert(leaf.chain.read_text())
    wanted = str(leaf.chain) if how == "trust" else hashlib.sha256(der).hexdigest()
    words = [sys.executable, str(_PINNED), how, POOL[4], "443", wanted, version]
    done = world.lab.run("sandbox-1", words, capture_output=True, text=True)
    assert done.returncode == 4, done.stderr
    alerts = world.gateway.wait_alerts(bool)
    assert [alert.alert.signature_id for alert in alerts] == ["tls-pinned-client"]
    assert alerts[0].incident_id
    assert (alerts[0].dest_ip, alerts[0].dest_port) == (POOL[4], 443)
    assert alerts[0].evidence[0].excerpt in {
        "alert unknown_ca",
        "alert certificate_unknown",
        "closed after Finished",
        "closed during the handshake",
    }
    refused = refusals(world)
    assert len(refused) == 1
    assert refused[0].src_ip == world.lab.sandboxes[0].ipv4
    assert wait_until(lambda: world.gateway.counters()["tls_refusals"] == 1)
    assert pool.requests() == []


def test_an_image_without_our_authority_is_no_incident(world: World, site: Authority) -> None:
    """Whoever asks for a name and refuses is counted and told, and is no miner for that."""
    secure_web(world, site)
    assert fetch(world, "https://files.example/bytes/1000") == 60
    assert wait_until(lambda: refusals(world))
    assert world.gateway.alerts() == []
    (told,) = refusals(world)
    assert told.tls is not None
    assert (told.tls.sni, told.refusal) == ("files.example", "alert unknown_ca")


def test_an_untrusted_name_is_opened_and_delivered_whole(world: World, site: Authority) -> None:
    """With our authority in the image, what is downloaded, and what is sent, is what it was."""
    secure_web(world, site)
    size = 20_000_000
    got = world.directory / "got"
    url = f"https://files.example/bytes/{size}"
    assert fetch(world, url, "--cacert", str(authority(world)), "-o", str(got)) == 0
    assert hashlib.sha256(got.read_bytes()).hexdigest() == digest(size)
    sent = world.directory / "sent"
    sent.write_bytes(os.urandom(900_000))
    back = world.directory / "back"
    words = ("--cacert", str(authority(world)), "--data-binary", f"@{sent}", "-o", str(back))
    assert fetch(world, "https://files.example/echo", *words) == 0
    assert back.read_bytes() == sent.read_bytes()
    assert fetch(world, "http://files.example/bytes/1000") == 0
    assert world.gateway.alerts() == []
    assert refusals(world) == []


def test_a_server_that_nobody_vouches_for_is_not_passed_off(world: World) -> None:
    """A client that trusts us is told, for it cannot see for itself."""
    world.service(OUTSIDE, "web", "--tls-bind", endpoint(WEB[4], 443))
    got = world.directory / "got"
    words = ("--cacert", str(authority(world)), "-o", str(got), "-w", "%{http_code}")
    assert fetch(world, "https://files.example/bytes/1000", *words) == 0
    assert b"Certificate verify failed" in got.read_bytes()


def test_observed_a_self_signed_pool_is_only_told_of(build: Build) -> None:
    """Where policy lets a judged flow be, its server is taken for what it is."""
    world = build(mode="observe", intercept=INTERCEPT)
    pool = world.pool(3333, families=(4,))
    url = f"stratum+ssl://{endpoint(POOL[4], 3333)}"
    done = world.miner("sandbox-1", url, attempts=1, shares=1)
    assert done.process.returncode == 0, (done.lines, world.gateway.log())
    assert pool.shares() == 1
    alerts = world.gateway.wait_alerts(bool)
    assert {alert.verdict.action for alert in alerts} == {"alert"}


def test_a_killed_worker_is_started_again(world: World) -> None:
    """While there is none nothing passes; afterwards all is as it was."""
    pool = world.pool(3333, families=(4,))
    url = f"stratum+ssl://{endpoint(POOL[4], 3333)}"
    before = mitmproxies(world)
    assert len(before) == WORKERS
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    done = world.miner("sandbox-1", url, attempts=1)
    assert done.events("summary")[0]["outcomes"][0] in {"refused", "reset"}, done.lines
    assert wait_until(lambda: len(mitmproxies(world) - before) == WORKERS)

    def reset() -> bool:
        done = world.miner("sandbox-1", url, attempts=1)
        return bool(done.events("summary")[0]["outcomes"] == ["reset"])

    assert wait_until(reset, 20)
    assert pool.requests() == []
    assert "mitmproxy-0 ended" in world.gateway.log()


def test_no_worker_outlives_the_gateway(world: World) -> None:
    """Killed outright, or ended in good order, it leaves no process behind."""
    assert len(mitmproxies(world)) == WORKERS
    world.gateway.kill()
    assert wait_until(lambda: not mitmproxies(world))
    world.gateway.start()
    assert len(mitmproxies(world)) == WORKERS
    assert world.gateway.stop() == 0
    assert not mitmproxies(world)


def test_a_new_authority_is_taken_up_without_a_restart(world: World, site: Authority) -> None:
    """Clients of the old one and of the new one are served by the same processes."""
    secure_web(world, site)
    old = world.directory / "old.pem"
    old.write_bytes(authority(world).read_bytes())
    before = mitmproxies(world)
    words = [sys.executable, "-m", "davylamp", "ca", "rotate", "--cert", str(authority(world))]
    world.lab.run(GATEWAY, words, check=True, capture_output=True)
    assert authority(world).read_bytes() != old.read_bytes()
    url = "https://files.example/bytes/1000"
    new = ("--cacert", str(authority(world)))
    assert wait_until(lambda: all(fetch(world, url, *new) == 0 for _ in range(2 * WORKERS)))
    for _ in range(2 * WORKERS):
        assert fetch(world, url, "--cacert", str(old)) == 0
    assert mitmproxies(world) == before


def test_who_was_not_redirected_gets_nowhere(world: World) -> None:
    """A worker's port is nobody's to use, from inside or from outside."""
    for number, (host, gateway) in enumerate(
        (one, two)
        for one, addresses in (("sandbox-1", GATEWAY_INSIDE), (OUTSIDE, GATEWAY_UPLINK))
        for two in addresses
    ):
        words = ["curl", "-sS", "-m", "5", f"http://{endpoint(gateway, FIRST)}/"]
        assert world.lab.run(host, words, capture_output=True).returncode == 7  # refused
        assert world.counter("unled") == number + 1


def secure_web(world: World, site: Authority) -> None:
    """Start a web server that the gateway's host has reason to trust."""
    leaf = site.issue(["files.example"])
    binds = ("--bind", endpoint(WEB[4], 80), "--tls-bind", endpoint(WEB[4], 443))
    world.service(OUTSIDE, "web", *binds, "--cert", str(leaf.chain), "--key", str(leaf.key))


def fetch(world: World, url: str, *words: str) -> int:
    """Have curl in a sandbox fetch from files.example; return its exit status."""
    ports = (f"files.example:{port}:{WEB[4]}" for port in (80, 443))
    found = [word for one in ports for word in ("--resolve", one)]
    output = [] if "-o" in words else ["-o", "/dev/null"]
    command = ["curl", "-sS", "-m", "60", *output, *found, *words, url]
    return world.lab.run("sandbox-1", command, capture_output=True).returncode


def refusals(world: World) -> list[TlsEvent]:
    """Return the refusals told of so far."""
    return [event for event in world.gateway.events() if isinstance(event, TlsEvent)]
