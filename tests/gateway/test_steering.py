"""Who goes straight and who through the proxies: names given out, fronting, odd ports, ways around.

In the lab ``www.example`` and ``api.example`` are trusted, and the lab's DNS is the one resolver.
``www.example`` and ``git.example`` live at one address, as names at a CDN do.
"""

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.gateway.conftest import Build
from tests.gateway.intercepting import authority
from tests.gateway.world import POOL, WEB, World, endpoint, wait_until
from tests.streams import POOL_NAME

from davylamp.events import TlsEvent
from davylamp.lab.programs.certs import Authority
from davylamp.lab.topology import DNS_ADDRESSES, GATEWAY, GATEWAY_INSIDE, OUTSIDE

pytest.importorskip("mitmproxy")
pytestmark = [pytest.mark.lab, pytest.mark.programs]

TRUSTED = ["www.example", "api.example"]
API = "203.0.113.21"
_HERE = Path(__file__).parent
_ASKER = ("env", f"PYTHONPATH={_HERE.parents[1]}", sys.executable, str(_HERE / "asker.py"))


def steering(build: Build, **changes: Any) -> World:
    """Build a world that steers; ``changes`` are to the configuration's intercept section."""
    intercept = {"enabled": True, "resolvers": list(DNS_ADDRESSES), **changes}
    return build(intercept=intercept, policy={"trusted": TRUSTED})


@pytest.fixture
def world(build: Build, site: Authority) -> World:
    """Give a world that steers, with web servers of three names outside."""
    world = steering(build)
    serve(world, site)
    return world


def serve(world: World, site: Authority) -> None:
    """Start web servers for every name, over IPv4 and IPv6."""
    leaf = site.issue(["www.example", "git.example", "api.example"])
    hosts = (WEB[4], WEB[6], API)
    plain = [word for host in hosts for word in ("--bind", endpoint(host, 80))]
    secure = [
        word
        for host in hosts
        for port in (443, 8443)
        for word in ("--tls-bind", endpoint(host, port))
    ]
    world.service(
        OUTSIDE, "web", *plain, *secure, "--cert", str(leaf.chain), "--key", str(leaf.key)
    )


class Client:
    """What one sandbox does, with curl that trusts the site's authority or the gateway's."""

    def __init__(self, world: World, site: Authority, host: str = "sandbox-1") -> None:
        self._world = world
        self._host = host
        self._site = str(site.bundle)
        self._ours = str(authority(world))

    def straight(self, url: str, *words: str) -> int:
        """Fetch, and take only the server's own certificate; return curl's exit status."""
        return self._curl(self._site, url, *words)

    def opened(self, url: str, *words: str) -> int:
        """Fetch, and take only a certificate of the gateway's."""
        return self._curl(self._ours, url, *words)

    def _curl(self, trusted: str, url: str, *words: str) -> int:
        command = ["curl", "-sS", "-m", "20", "--cacert", trusted, "-o", "/dev/null", *words, url]
        return self._world.lab.run(self._host, command, capture_output=True).returncode


@contextlib.contextmanager
def dnsmasq(world: World, address: str) -> Iterator[None]:
    """Have the gateway's host answer DNS, as the resolver outside tells it."""
    words = ["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file="]
    where = [f"--listen-address={address}", "--bind-interfaces", f"--server={DNS_ADDRESSES[0]}"]
    command = ["dnsmasq", *words, *where]
    with world.lab.popen(GATEWAY, command, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def diversions(world: World) -> list[TlsEvent]:
    """Return what was told of flows that were diverted."""
    events = (event for event in world.gateway.events() if isinstance(event, TlsEvent))
    return [event for event in events if event.diversion]


@pytest.mark.parametrize("family", ["-4", "-6"])
def test_a_trusted_name_goes_straight(world: World, site: Authority, family: str) -> None:
    """Its own certificate comes through, and no proxy was asked."""
    client = Client(world, site)
    assert client.straight("https://www.example/bytes/1000", family) == 0
    assert client.straight("http://www.example/bytes/1000", family) == 0
    assert world.counter("proxied") == 0
    assert diversions(world) == []


def test_every_other_name_is_opened(world: World, site: Authority) -> None:
    """So is a name that was not asked for, and plain HTTP; a client has its own address there."""
    client = Client(world, site)
    assert client.opened("https://git.example/bytes/1000") == 0
    assert client.opened("http://git.example/bytes/1000") == 0
    assert world.counter("proxied") == 2
    assert client.straight("https://git.example/bytes/1000") == 60


def test_what_one_sandbox_was_told_is_nothing_to_another(world: World, site: Authority) -> None:
    """Nor is an address that nobody was told: a name in a ClientHello costs nothing."""
    assert Client(world, site).straight("https://www.example/bytes/1000") == 0
    other = Client(world, site, "sandbox-2")
    words = ("--resolve", f"www.example:443:{WEB[4]}")
    assert other.opened("https://www.example/bytes/1000", *words) == 0
    assert world.counter("proxied") == 1


def test_fronting_is_refused_once_and_opened_then(world: World, site: Authority) -> None:
    """The trusted name at the same address is still not opened, also not by the proxy."""
    client = Client(world, site)
    assert client.straight("https://www.example/bytes/1000") == 0
    assert client.opened("https://git.example/bytes/1000") == 35  # reset in the handshake
    assert wait_until(lambda: diversions(world))
    (told,) = diversions(world)
    assert told.diversion.startswith("fronting")
    assert told.tls is not None
    assert told.tls.sni == "git.example"
    assert client.opened("https://git.example/bytes/1000") == 0
    assert client.straight("https://www.example/bytes/1000") == 0
    assert world.counter("proxied") == 2
    assert (
        client.opened("https://api.example/bytes/1000", "--resolve", f"api.example:443:{WEB[4]}")
        == 0
    )


def test_tls_on_an_odd_port_is_opened_at_the_second_attempt(world: World) -> None:
    """A pool that waits there gets nothing of either; a miner tries again by itself."""
    pool = world.pool(8555, families=(4,))
    url = f"stratum+ssl://{endpoint(POOL[4], 8555)}"
    done = world.miner("sandbox-1", url, attempts=2, backoff=0)
    assert done.events("summary")[0]["outcomes"] == ["closed", "reset"] or done.events("summary")[
        0
    ]["outcomes"] == ["reset", "reset"], done.lines
    assert pool.requests() == []
    (told,) = diversions(world)
    assert told.diversion.startswith("TLS on port 8555")
    (alert,) = world.gateway.wait_alerts(bool)
    assert alert.mining is not None
    assert alert.mining.layers == ("tcp", "tls")


def test_a_trusted_name_goes_straight_on_an_odd_port_too(world: World, site: Authority) -> None:
    """It is the name and the address that are trusted."""
    client = Client(world, site)
    assert client.straight("https://www.example:8443/bytes/1000") == 0
    assert client.opened("https://git.example:8443/bytes/1000") == 35
    assert client.opened("https://git.example:8443/bytes/1000") == 0


def test_exempt_networks_are_left_alone(build: Build, site: Authority) -> None:
    """An object store on the site's own network is nobody's business."""
    world = steering(build, exempt=[f"{WEB[4]}/32"])
    serve(world, site)
    client = Client(world, site)
    for port in (443, 8443):
        assert client.straight(f"https://git.example:{port}/bytes/1000", "-4") == 0
    assert world.counter("proxied") == 0


def test_quic_is_refused_at_once(world: World) -> None:
    """A client hears so, and falls back; other UDP goes on."""
    for family in (4, 6):
        assert ask(world, "udp", WEB[family], "443") == "refused"
        ask(world, "udp", WEB[family], "4444")
    assert world.counter("quic") == 2


def test_dns_over_https_is_refused(world: World, site: Authority) -> None:
    """By the resolver's name before anything is answered, elsewhere by what is asked."""
    client = Client(world, site)
    known = ("--resolve", f"dns.google:443:{WEB[4]}")
    assert client.opened("https://dns.google/dns-query?dns=AAAB", *known) == 35
    asking = ("-H", "accept: application/dns-message")
    assert client.opened("https://git.example/dns-query?dns=AAAB", *asking) in {52, 56}
    assert client.opened("https://git.example/bytes/1000") == 0
    alerts = world.gateway.wait_alerts(lambda found: len(found) == 2)
    assert [(one.alert.signature_id, one.alert.category) for one in alerts] == [
        ("doh-resolver-sni", "resolver"),
        ("doh-message", "resolver"),
    ]
    assert {one.verdict.action for one in alerts} == {"reject"}


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_foreign_resolvers_are_refused(world: World, kind: str) -> None:
    """By UDP and TCP on port 53, and inside TLS on 853; the site's own go on."""
    for family in (4, 6):
        assert ask(world, kind, WEB[family], "53") == "refused"
        assert ask(world, kind, WEB[family], "853") == "refused"
        assert ask(world, kind, DNS_ADDRESSES[family == 6], "53") == "answered"
    assert world.counter("foreign_dns") == 4


def test_a_foreign_resolver_can_be_stood_in_for(build: Build) -> None:
    """The site's resolver answers in its place, and the asker does not know; DoT is refused."""
    world = steering(build, foreign_dns="redirect")
    for family in (4, 6):
        for kind in ("udp", "tcp"):
            assert ask(world, kind, WEB[family], "53") == "answered"
            assert ask(world, kind, WEB[family], "853") == "refused"


def test_an_answer_in_a_resolvers_name_is_dropped(world: World, site: Authority) -> None:
    """A sandbox that may send raw packets cannot tell itself what is trusted."""
    words = [*_ASKER, "forge", DNS_ADDRESSES[0], "www.example", API]
    address = world.lab.sandboxes[1].ipv4
    done = world.lab.run("sandbox-1", [*words, address], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert wait_until(lambda: world.counter("false_answers") == 1)
    client = Client(world, site, "sandbox-2")
    assert client.opened("https://www.example/", "--resolve", f"www.example:443:{API}") == 0


def test_ech_keys_are_taken_out_of_answers(build: Build) -> None:
    """A browser that asks for a server's HTTPS record hears of all but the keys."""
    world = steering(build, resolvers=[*DNS_ADDRESSES, POOL[4]])
    world.service(OUTSIDE, "keys", POOL[4], script=_HERE / "keyserver.py")
    for kind in ("udp", "tcp"):
        words = [*_ASKER, "https", kind, POOL[4], "www.example"]
        done = world.lab.run("sandbox-1", words, capture_output=True, text=True)
        assert done.stdout.split() == ["alpn=h2", "ech=False"], done.stderr
        done = world.lab.run(OUTSIDE, words, capture_output=True, text=True)
        assert done.stdout.split() == ["alpn=h2", "ech=True"], done.stderr


def test_a_name_told_over_tcp_goes_straight(world: World, site: Authority) -> None:
    """As where an answer was too long for a datagram."""
    assert ask(world, "tcp", DNS_ADDRESSES[0], "53") == "answered"
    words = ("--resolve", f"www.example:443:{WEB[4]}")
    assert Client(world, site).straight("https://www.example/bytes/1000", *words) == 0
    assert world.counter("proxied") == 0


@pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="no dnsmasq; run `make deps`")
@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_a_resolver_on_the_gateway_is_heard_too(build: Build, site: Authority, kind: str) -> None:
    """What dnsmasq there answers binds as any answer does; what is asked of it is judged."""
    own = GATEWAY_INSIDE[0]
    world = steering(build, resolvers=[own])
    serve(world, site)
    client = Client(world, site)
    known = ("--resolve", f"www.example:443:{WEB[4]}")
    mining = [*_ASKER, "https", kind, own, POOL_NAME]
    with dnsmasq(world, own):
        assert wait_until(lambda: ask(world, kind, own, "53") == "answered")
        assert client.straight("https://www.example/bytes/1000", *known) == 0
        assert world.counter("proxied") == 0
        assert world.lab.run("sandbox-1", mining, capture_output=True).returncode
    (alert,) = world.gateway.wait_alerts(bool)
    assert alert.app_proto == "dns"
    assert (alert.src_ip, alert.dest_ip) == (world.lab.sandboxes[0].ipv4, own)


def test_what_was_given_out_outlives_a_restart(world: World, site: Authority) -> None:
    """A program that keeps an address need not ask again because the gateway was away."""
    client = Client(world, site)
    words = ("--resolve", f"www.example:443:{WEB[4]}")
    assert client.straight("https://www.example/bytes/1000", "-4") == 0
    world.gateway.kill()
    world.gateway.start()
    assert client.straight("https://www.example/bytes/1000", *words) == 0
    assert world.counter("proxied") == 0


def test_a_sandbox_may_serve_tls(world: World, site: Authority) -> None:
    """What is opened from outside is nobody's to divert."""
    leaf = site.issue(["sandbox.example"])
    host = world.lab.sandboxes[0]
    words = ("--cert", str(leaf.chain), "--key", str(leaf.key))
    world.service(host.name, "web", "--tls-bind", endpoint(host.ipv4, 8443), *words)
    command = ["curl", "-sS", "-m", "10", "--cacert", str(site.bundle)]
    where = (
        "--resolve",
        f"sandbox.example:8443:{host.ipv4}",
        "https://sandbox.example:8443/bytes/9",
    )
    done = world.lab.run(OUTSIDE, [*command, *where], capture_output=True)
    assert len(done.stdout) == 9, done.stderr


def test_who_observes_opens_and_refuses_nothing(build: Build, site: Authority) -> None:
    """Unknown TLS is looked into on the usual ports; nobody is turned away."""
    world = build(
        mode="observe",
        intercept={"enabled": True, "resolvers": list(DNS_ADDRESSES)},
        policy={"trusted": TRUSTED},
    )
    serve(world, site)
    client = Client(world, site)
    assert client.opened("https://git.example/bytes/1000") == 0
    assert client.straight("https://git.example:8443/bytes/1000") == 0
    assert client.straight("https://www.example/bytes/1000") == 0
    ask(world, "udp", WEB[4], "443")
    ask(world, "udp", WEB[4], "53")
    assert world.counter("quic") == world.counter("foreign_dns") == 0
    assert diversions(world) == []


def ask(world: World, kind: str, address: str, port: str) -> str:
    """Have a sandbox send a DNS question to an address; return what came of it."""
    words = [*_ASKER, kind, address, port]
    done = world.lab.run("sandbox-1", words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return str(done.stdout).strip()
