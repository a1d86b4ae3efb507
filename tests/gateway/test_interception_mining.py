"""Mining inside TLS, HTTP and WebSocket, in any order, is stopped by the gateway's workers."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from tests.gateway.conftest import Build
from tests.gateway.intercepting import Opened, opened
from tests.gateway.world import POOL, wait_until

from davylamp.events import AlertEvent
from davylamp.lab.programs.certs import Authority, Leaf, self_signed
from davylamp.lab.service import Service
from davylamp.lab.topology import OUTSIDE
from davylamp.lineage import Client

pytest.importorskip("mitmproxy")
pytestmark = [pytest.mark.lab, pytest.mark.programs]

_HERE = Path(__file__).parent
_ADDRESS = POOL[4]


@pytest.fixture
def lab(build: Build, site: Authority) -> Opened:
    """Give a lab whose gateway opens what comes to some ports, and enforces."""
    return opened(build, site)


def pair(leaf: Leaf | None) -> tuple[str, ...]:
    """Return a certificate's files as arguments."""
    return (str(leaf.chain), str(leaf.key)) if leaf is not None else ()


def mined(lab: Opened, script: str, *words: str) -> Service:
    """Run a miner in the first sandbox, in a tool call of a run; return what it said."""
    world = lab.world
    with Client(world.gateway.lineage_url) as trainer:
        trainer.bind(ip=world.lab.sandboxes[0].ipv4, container="one", run_id="run-1")
        call = f"call-{len(lab.flows)}"
        with trainer.tool_call(container="one", tool="bash", tool_call_id=call):
            miner = Service(world.lab, "sandbox-1", script, "miner", *words, script=_HERE / script)
            miner.wait(30)
    return miner


def assert_stopped(lab: Opened, layers: Sequence[str], excerpt: str, dialect: str) -> None:
    """Hold the alert to what it must say: what was said inside of what, and who said it.

    Afterwards the endpoint is open to the sandbox again.
    """
    seen = lab.flows
    alerts = lab.world.gateway.wait_alerts(lambda found: bool(new(found, seen, dialect)))
    [alert] = new(alerts, seen, dialect)
    lab.world.forgive()
    assert alert.mining is not None
    assert alert.mining.layers == tuple(layers)
    assert excerpt in alert.evidence[0].excerpt
    assert alert.src_ip == lab.world.lab.sandboxes[0].ipv4
    assert alert.dest_ip == _ADDRESS
    assert alert.lineage is not None
    assert (alert.lineage.run_id, alert.lineage.tool_call_id) == ("run-1", f"call-{len(seen)}")
    assert alert.incident_id
    seen.add(alert.flow_id)


def new(alerts: list[AlertEvent], seen: set[int], dialect: str) -> list[AlertEvent]:
    """Return a dialect's alerts on flows that were not looked at yet, one a flow."""
    told = (one for one in reversed(alerts) if one.mining and one.mining.dialect == dialect)
    return list({one.flow_id: one for one in told if one.flow_id not in seen}.values())


# What tells of each: a frame, or already the path that its upgrade is asked for at.
_IN_FRAMES = {"coinhive": ("auth", "coinhive")}
_BY_PATH = {"xelis": ("/getwork/xel", "dero-getwork"), "dero": ("/ws/dero", "dero-getwork")}


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_mining_over_websocket_is_stopped(lab: Opened, scheme: str) -> None:
    """No login and no share arrives, no job comes back, and both ends are reset."""
    leaf = lab.leaf(_ADDRESS) if scheme == "wss" else None
    for dialect, (excerpt, named) in _IN_FRAMES.items():
        with websocket_pool(lab, dialect, leaf) as pool:
            miner = mined(lab, "webmining.py", dialect, f"{scheme}://{_ADDRESS}:{port_of(leaf)}")
            assert miner.process.returncode == 3, miner.lines
            assert miner.events("connected"), "it was stopped before it could say anything"
            assert miner.events("received") == []
            assert wait_until(partial(reset, pool, 1)), pool.lines
            assert pool.events("request") == []
        layers = ["tcp", *(["tls"] if leaf else []), "http", "websocket"]
        assert_stopped(lab, layers, excerpt, named)


@pytest.mark.parametrize("how", ["ws", "wss", "self-signed"])
def test_a_miners_websocket_is_not_opened(lab: Opened, how: str) -> None:
    """Where its path is a wallet, the pool is not even asked for an upgrade."""
    leaf = None
    if how != "ws":
        names = [_ADDRESS]
        verified = how == "wss"
        leaf = lab.leaf(*names) if verified else self_signed(lab.world.directory / "pool", names)
    scheme = "wss" if leaf else "ws"
    for dialect, (excerpt, named) in _BY_PATH.items():
        with websocket_pool(lab, dialect, leaf) as pool:
            miner = mined(lab, "webmining.py", dialect, f"{scheme}://{_ADDRESS}:{port_of(leaf)}")
            assert miner.process.returncode in {1, 3}, miner.lines
            assert miner.events("connected") == miner.events("answered") == []
            assert pool.events("opened") == pool.events("request") == []
        assert_stopped(lab, ["tcp", *(["tls"] if leaf else []), "http"], excerpt, named)


def test_a_websocket_pool_that_signs_for_itself_hears_nothing(lab: Opened) -> None:
    """Nobody vouches for it, so not even the upgrade is asked for; the miner is heard out."""
    leaf = self_signed(lab.world.directory / "pool", [_ADDRESS])
    for dialect, (excerpt, named) in _IN_FRAMES.items():
        with websocket_pool(lab, dialect, leaf) as pool:
            miner = mined(lab, "webmining.py", dialect, f"wss://{_ADDRESS}:443")
            assert miner.process.returncode == 3, miner.lines
            assert miner.events("received") == []
            assert pool.events("opened") == []
        assert_stopped(lab, ["tcp", "tls", "http", "websocket"], excerpt, named)


def websocket_pool(lab: Opened, dialect: str, leaf: Leaf | None) -> Service:
    """Return a pool; it runs while its context does."""
    words = ("pool", dialect, _ADDRESS, port_of(leaf), *pair(leaf))
    return Service(lab.world.lab, OUTSIDE, "pool", *words, script=_HERE / "webmining.py")


@pytest.mark.parametrize("verified", [True, False], ids=["verified", "self-signed"])
def test_solo_mining_over_https_is_stopped(lab: Opened, *, verified: bool) -> None:
    """No request for a block template reaches the node."""
    names = [_ADDRESS]
    leaf = lab.leaf(*names) if verified else self_signed(lab.world.directory / "node", names)
    # XMRig is told by the head of its first GET, before it asks for a template.
    kinds = (("bitcoin", "getblocktemplate", "getblocktemplate"), ("monero", "http-work", "XMRig"))
    for kind, dialect, excerpt in kinds:
        with node(lab, leaf) as asked:
            miner = mined(lab, "solomining.py", kind, f"https://{_ADDRESS}:443")
            assert asked.events("request") == []
            assert miner.process.returncode == 3, miner.lines
        assert_stopped(lab, ["tcp", "tls", "http"], excerpt, dialect)


def test_a_node_of_the_sites_own_is_only_told_of(build: Build, site: Authority) -> None:
    """Where policy says that nodes may be, a request for a block template passes, and is told."""
    lab = opened(build, site, policy={"nodes": ["203.0.113.0/24"]})
    with node(lab, lab.leaf(_ADDRESS)) as asked:
        miner = mined(lab, "solomining.py", "bitcoin", f"https://{_ADDRESS}:443")
        assert miner.process.returncode == 0, miner.lines
        assert len(asked.events("request")) == 1
    alerts = lab.world.gateway.wait_alerts(lambda found: len(found) == 2)
    assert {alert.verdict.action for alert in alerts} == {"alert"}


def node(lab: Opened, leaf: Leaf) -> Service:
    """Return a node; it runs while its context does."""
    words = ("node", _ADDRESS, "443", *pair(leaf))
    return Service(lab.world.lab, OUTSIDE, "node", *words, script=_HERE / "solomining.py")


@pytest.mark.parametrize(
    ("how", "inner"), [("connect", "plain"), ("connect", "tls"), ("upgrade", "plain")]
)
def test_stratum_behind_an_http_front_is_stopped(lab: Opened, how: str, inner: str) -> None:
    """Inside a proxy's CONNECT, TLS around or in it or both or neither, and after a 101."""
    behind = lab.leaf("pool.example") if inner == "tls" else None
    extra = ["--cert", str(behind.chain), "--key", str(behind.key)] if behind else []
    pool = lab.world.pool(3334, families=(4,), extra=extra)
    secure = lab.leaf(_ADDRESS)
    for leaf in (None, secure):
        words = ("front", how, _ADDRESS, port_of(leaf), _ADDRESS, "3334", *pair(leaf))
        front = lab.world.service(OUTSIDE, "front", *words, script=_HERE / "frontmining.py")
        outer = "tls" if leaf else "tcp"
        layers = ["tcp", *(["tls"] if leaf else []), "http", *(["tls"] if behind else [])]
        for number, (dialect, named, word) in enumerate(_LINES, 1):
            place = (_ADDRESS, port_of(leaf))
            miner = mined(lab, "frontmining.py", how, outer, *place, dialect, inner)
            assert miner.process.returncode == 3, (miner.lines, lab.world.gateway.log())
            assert len(front.events("opened")) == number, "the front was never reached"
            assert wait_until(partial(reset, front, number)), front.lines
            assert pool.requests() == []
            assert_stopped(lab, layers, word, named)


def reset(service: Service, times: int) -> bool:
    """Tell whether a program was reset so often."""
    return len(service.events("reset")) == times


_LINES = (("stratum", "stratum-v1", "mining."), ("cryptonote", "cryptonote", "login"))


def port_of(leaf: Leaf | None) -> str:
    """Return the usual port, with a certificate or without."""
    return "80" if leaf is None else "443"
