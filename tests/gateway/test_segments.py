"""No complete mining request reaches a pool through segments that no honest TCP would send."""

import json
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from tests.gateway.test_wire import report
from tests.gateway.world import POOL, World, endpoint

from davylamp.lab.programs.miner import BITCOIN_USER, MONERO_USER
from davylamp.lab.service import Service
from davylamp.lab.topology import OUTSIDE

pytestmark = pytest.mark.lab

_SUBSCRIBE = {"id": 1, "method": "mining.subscribe", "params": ["cgminer/4.12.1"]}
_AUTHORIZE = {"id": 2, "method": "mining.authorize", "params": [BITCOIN_USER, "x"]}
_LOGIN = {
    "id": 1,
    "jsonrpc": "2.0",
    "method": "login",
    "params": {"login": MONERO_USER, "pass": "x", "agent": "XMRig/6.22.2", "algo": ["rx/0"]},
}
STREAMS = {
    "stratum": "".join(json.dumps(one) + "\n" for one in (_SUBSCRIBE, _AUTHORIZE)),
    "cryptonote": json.dumps(_LOGIN) + "\n",
}
_WRAP = 1 << 32
_OLD = "GET / HTTP/1.1\r\nHost: www.example\r\n\r\n"


@dataclass(frozen=True)
class Case:
    """A way to send the stream; ``sends`` are the scenario's own members."""

    name: str
    sends: dict[str, Any]


def at(offset: int, length: int | None = None, **more: Any) -> dict[str, Any]:
    """Return a segment: bytes of the stream, or the ``text`` that is given."""
    return {"offset": offset, "length": length, **more}


def cases(stream: str) -> Iterator[Case]:
    """Yield every way, for one stream."""
    size = len(stream.partition("\n")[0]) + 1
    half, third = size // 2, size // 3
    first, second = at(0, half), at(half)
    false_first, false_second = at(0, text="~" * half), at(half, text="~" * (len(stream) - half))
    true_and_false = at(0, text=stream[:half] + "~" * (len(stream) - half))
    ahead = 3 << 20

    def pieces(name: str, *segments: dict[str, Any], **more: Any) -> Case:
        return Case(name, {"segments": segments, **more})

    yield Case("whole", {})
    yield Case("byte by byte", {"split": 1})
    yield pieces("second half first", second, first)
    yield pieces("last byte first", at(1), at(0, 1))
    yield pieces("thirds backwards", at(2 * third), at(third, third), at(0, third))
    yield pieces("the first half twice", first, first, second)
    yield pieces("overlapping halves", at(0, half + 9), at(half - 9))
    yield pieces("overlapping, out of order", at(half - 9), at(0, half + 9))
    yield pieces("false bytes held, then true ones", false_second, first, second)
    yield pieces("true bytes held, then false ones", second, true_and_false)
    yield pieces("false bytes, then true ones", false_first, first, second)
    yield pieces("true bytes, then false ones", first, false_first, second)
    bad = {"bad_checksum": True}
    yield pieces("false bytes with a bad checksum", {**false_first, **bad}, first, second)
    yield pieces("bytes far ahead between", first, at(ahead, text="far ahead"), second)
    yield pieces("a reset far ahead between", first, at(ahead, 0, flags="R"), second)
    yield pieces("FINs far ahead between", first, at(ahead, 0, flags="FA", repeat=2), second)
    yield pieces("bad FINs between", first, at(half, 0, flags="FA", repeat=2, **bad), second)
    yield pieces("a SYN between", first, at(half, 0, flags="S"), second)
    yield Case("in the SYN", {"syn_data": size})
    yield Case("half in the SYN", {"syn_data": half, "segments": (second,)})
    yield Case("half in the SYN and again after it", {"syn_data": half})
    yield pieces("in IP fragments", at(0, fragment=24))
    yield pieces("in IP fragments, last first", at(0, fragment=24, reverse=True))
    wrap = {"isn": _WRAP - 1 - half // 2}
    yield pieces("across the wrap", first, second, **wrap)
    yield pieces("across the wrap, second half first", second, first, **wrap)
    for seed in range(4):
        yield pieces(f"shuffled, seed {seed}", *shuffled(stream, random.Random(seed)))


def shuffled(stream: str, chance: random.Random) -> list[dict[str, Any]]:
    """Return the stream in pieces that overlap by some bytes, in any order."""
    cuts = sorted(chance.sample(range(1, len(stream)), 8))
    segments = [
        {"offset": max(0, start - chance.randrange(4)), "length": end - start + 4}
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
    ]
    chance.shuffle(segments)
    return segments


@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("dialect", STREAMS)
def test_segments_never_complete_a_request(world: World, dialect: str, family: int) -> None:
    """Whatever order, overlap, fragment or lie, the pool is left without one whole request."""
    stream = STREAMS[dialect]
    found = tuple(cases(stream))
    assert played(world, stream, found, family) == []


@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
def test_bytes_from_before_the_first_hide_nothing(world: World, family: int) -> None:
    """A byte that its receiver throws away, as one from before the handshake, is not believed."""
    stream = STREAMS["cryptonote"]
    half = len(stream) // 2
    old = {"offset": -1, "text": "x"}
    joined = {"offset": -1, "text": f"x{stream}"}
    halves = ({"offset": 0, "length": half}, {"offset": half})
    found = (
        Case("an old byte before the first", {"segments": (old, *halves)}),
        Case("an old byte and all others", {"segments": (joined,)}),
        Case("an old byte and all others, then the first", {"segments": (joined, *halves)}),
        Case("an old byte and all others, twice", {"segments": (joined, joined)}),
    )
    assert played(world, stream, found, family) == []
    assert world.counter("early") >= len(found)


def test_old_bytes_that_look_like_http_hide_nothing(world: World) -> None:
    """A request that its receiver throws away does not clear the flow for what follows."""
    stream = STREAMS["stratum"]
    half = len(stream) // 2
    segments = (
        {"offset": -len(_OLD), "text": _OLD},
        {"offset": 0, "length": half},
        {"offset": half},
    )
    case = Case("old bytes that look like HTTP", {"segments": segments})
    assert played(world, stream, (case,), 4) == []


def reset_delays(raw: Service) -> list[float]:
    """Return the seconds from the last segment sent to the reset, if one came."""
    resets, sent = raw.events("reset"), raw.events("sent")
    return [resets[0]["monotonic"] - sent[-1]["monotonic"]] if resets and sent else []


def played(world: World, stream: str, found: Sequence[Case], family: int) -> list[str]:
    """Play each case to a port of its own; return the names of those that got a request through."""
    # Data in a SYN is really delivered: Fast Open for every listener, no cookie asked for.
    world.lab.run(OUTSIDE, ["sysctl", "-qw", "net.ipv4.tcp_fastopen=1539"])
    ports = range(4000, 4000 + len(found))
    pool = world.pool(*ports, families=(family,))

    def play(case: Case, port: int) -> Service:
        target = endpoint(POOL[family], port)
        return world.raw(
            "sandbox-1", {"target": target, "stream": stream, "listen": 0.3, **case.sends}
        )

    with ThreadPoolExecutor(3) as runners:
        done = list(runners.map(play, found, ports))
    failed = [one.complaint() for one in done if one.process.returncode not in (0, 3, 4)]
    assert failed == []
    delays = [delay for one in done for delay in reset_delays(one)]
    if len(delays) > 4:
        report(f"raw segments over IPv{family}", delays)
    names = dict(zip(ports, (case.name for case in found), strict=True))
    return [names[one["port"]] for one in pool.requests()]
