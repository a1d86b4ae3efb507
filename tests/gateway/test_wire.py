"""No complete mining request reaches a pool, however the miner cuts, orders or addresses it."""

import statistics
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from tests.gateway.conftest import Build
from tests.gateway.world import POOL, Pool, World, endpoint, wait_until
from tests.handshakes import der_of

from davylamp.lab.programs.certs import self_signed
from davylamp.lab.service import Service

pytestmark = pytest.mark.lab

PORTS = (443, 80, 22, 3333)
STYLES = ("whole", "bytewise", "halves", "two-in-one", "late-newline", "no-newline")
ENDS = [endpoint(POOL[family], port) for family in (4, 6) for port in PORTS]


@pytest.mark.parametrize("dialect", ["stratum", "cryptonote"])
def test_a_pool_receives_no_complete_request(world: World, dialect: str) -> None:
    """Cut in any way, over both families and on every port, both ends are reset; then refused."""
    pool = world.pool(*PORTS)
    delays: list[float] = []
    for style in STYLES:
        world.forgive()
        done = world.miner(
            "sandbox-1", *ENDS, dialect=dialect, wire=style, attempts=len(ENDS), backoff=0
        )
        assert outcomes(done) == ["reset"] * len(ENDS), (style, done.lines)
        delays += reset_delays(pool, done)
        before = world.counter("queued"), world.counter("refused")
        again = world.miner("sandbox-1", *ENDS, dialect=dialect, attempts=len(ENDS), backoff=0)
        assert outcomes(again) == ["refused"] * len(ENDS), (style, again.lines)
        assert world.counter("queued") == before[0], "a second attempt reached user space"
        assert world.counter("refused") == before[1] + len(ENDS)
    assert pool.requests() == []
    assert len(delays) == 2 * len(STYLES) * len(ENDS)
    report(dialect, delays)


def outcomes(done: Service) -> list[str]:
    """Return how the miner's attempts ended."""
    return [str(outcome) for outcome in done.events("summary")[0]["outcomes"]]


def reset_delays(pool: Pool, miner: Service) -> list[float]:
    """Return, for each connection and each end of it, the seconds from last packet to reset.

    The last packet is the last that the miner says it sent, or the last that the pool received
    where the miner was cut off in the middle of a message; nobody sent any before connecting.
    """
    delays = []
    sent, peer = 0.0, ""
    for line in miner.lines:
        match line.get("event"):
            case "connected":
                peer, sent = line["local"], line["monotonic"]
            case "sent":
                sent = line["monotonic"]
            case "reset":
                last, ended = told_by(pool, peer)
                last = max(last, sent)
                delays += [line["monotonic"] - last, ended - last]
    return delays


def told_by(pool: Pool, peer: str) -> tuple[float, float]:
    """Return when the pool last received bytes from that peer, and when it was reset."""
    assert wait_until(lambda: pool.times(peer, "reset")), "the pool saw no reset"
    received = pool.times(peer, "bytes", direction="received")
    return max(received, default=0.0), pool.times(peer, "reset")[0]


def report(what: str, delays: list[float]) -> None:
    """Print the delays and hold them to bounds that a busy machine keeps as well."""
    median, worst = statistics.median(delays), max(delays)
    sys.stdout.write(f"{what}: reset after {median * 1e3:.1f} ms (median), {worst * 1e3:.1f} ms\n")
    assert median < 0.1
    assert worst < 0.5


_LISTED = """\
id: listed-certificate
rev: 1
title: A pool's certificate
category: pool
dialect: made-up
role: pool
confidence: 90
severity: 2
maturity: stable
detail: the certificate of a made-up pool
when:
  certificate: {sha256: %s}
"""


def test_a_pool_is_known_by_the_certificate_that_it_shows_in_the_clear(
    build: Build, tmp_path: Path
) -> None:
    """Under TLS 1.2 its flight does not arrive whole; in 1.3 nobody sees it from outside."""
    leaf = self_signed(tmp_path / "leaf", ["pool.example"])
    folder = tmp_path / "listed" / "one"
    folder.mkdir(parents=True)
    (tmp_path / "listed" / "pack.yaml").write_text("name: one\nversion: '1'\nformat: 1\n")
    digest = sha256(der_of(leaf)).hexdigest()
    (folder / "listed-certificate.yaml").write_text(_LISTED % digest)
    world = build(signatures=str(tmp_path / "listed"))
    world.pool(3333, families=[4], extra=("--cert", str(leaf.chain), "--key", str(leaf.key)))
    for version, expected in (("1.3", "finished"), ("1.2", "reset")):
        url = f"stratum+ssl://{POOL[4]}:3333"
        done = world.miner("sandbox-1", url, attempts=1, backoff=0, tls_version=version, shares=1)
        assert outcomes(done) == [expected], done.lines
    [alert] = world.gateway.wait_alerts(lambda found: len(found) == 1)
    assert alert.alert.signature_id == "listed-certificate"
    assert alert.mining is not None
    assert alert.mining.layers == ("tcp", "tls")
