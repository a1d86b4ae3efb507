"""A flow that turns to mining long after it was judged clean is caught all the same."""

import base64
import sys
from pathlib import Path

import pytest
from tests.gateway.world import POOL, WEB, World, endpoint
from tests.streams import ASKED, SUBSCRIBE, frame

from davylamp.lab.service import Service
from davylamp.lab.topology import OUTSIDE

pytestmark = pytest.mark.lab

_SLY = Path(__file__).with_name("sly.py")


@pytest.mark.parametrize(
    ("dialect", "seconds", "size"),
    [
        ("stratum", 2, 5_000_000),
        ("cryptonote", 2, 5_000_000),
        pytest.param("stratum", 30, 50_000_000, marks=pytest.mark.slow),
    ],
    ids=["stratum", "cryptonote", "long"],
)
def test_a_miner_that_starts_late_is_caught(
    world: World, dialect: str, seconds: int, size: int
) -> None:
    """HTTP for a while, then Stratum on that connection: reset, and not one request got through."""
    record = world.directory / "late.record"
    web = world.web("--record", str(record))
    late = world.run(
        "sandbox-1",
        "client",
        *("late", f"http://{WEB[4]}:80", "--http-seconds", str(seconds)),
        *("--http-bytes", str(size), "--dialect", dialect),
        seconds=seconds + 30,
    )
    assert late.events("turning")[0]["bytes"] >= size
    assert late.process.returncode == 3, late.lines
    assert late.events("reset")
    assert web.events("request") == []
    alerts = world.gateway.wait_alerts(bool)
    assert {alert.verdict.action for alert in alerts} == {"reject"}


def test_the_sample_catches_what_no_first_byte_shows(world: World) -> None:
    """Where no segment begins a request, the sample of the flow still shows what it became."""
    pool = world.service(OUTSIDE, "sly", "pool", POOL[4], "80", script=_SLY)
    miner = Service(world.lab, "sandbox-1", "sly", "miner", POOL[4], "80", "20", script=_SLY)
    code = miner.wait(30)
    delivered = len(pool.events("request"))
    turned = miner.events("turning")[0]["monotonic"]
    ended = miner.lines[-1]["monotonic"]
    sys.stdout.write(f"caught {ended - turned:.2f} s after turning, {delivered} requests late\n")
    assert code == 3
    assert delivered <= 10
    [alert] = world.gateway.wait_alerts(bool)
    assert alert.alert.signature_id == "stratum-v1-submit"
    assert alert.verdict.action == "reject"
    assert world.counter("sampled") > 0


def test_half_a_request_behind_a_page_is_not_lost(world: World) -> None:
    """Half a line that was queued together with the page that clears its flow is not forgotten."""
    web = world.web("--record", str(world.directory / "late.record"))
    page = f"GET /bytes/10 HTTP/1.1\r\nHost: {WEB[4]}\r\n\r\n"
    line = '{"id":1,"method":"mining.subscribe","params":["cgminer/4.12.1"]}\n'
    middle = len(page) + len(line) // 2
    for _ in range(5):
        world.raw(
            "sandbox-1",
            {
                "target": endpoint(WEB[4], 80),
                "stream": page + line,
                "segments": [
                    {"offset": 0, "length": len(page)},
                    {"offset": len(page), "length": middle - len(page)},
                    {"offset": middle, "delay": 0.1},
                ],
                "listen": 0.3,
            },
        )
        world.forgive()
    assert web.events("connect")
    assert web.events("request") == []


def test_a_websocket_that_follows_a_page_is_read_from_its_first_frame(world: World) -> None:
    """Its request begins as a page's does, and is forwarded; the answer brings the flow back."""
    web = world.web("--record", str(world.directory / "late.record"))
    page = f"GET /bytes/10 HTTP/1.1\r\nHost: {WEB[4]}\r\n\r\n".encode()
    frames = (frame(0x89, b"there?", masked=True), frame(0x81, SUBSCRIBE[:-1], masked=True))
    parts, segments, offset = (page, ASKED, *frames), [], 0
    for part in parts:
        segments.append({"offset": offset, "length": len(part), "delay": 0.3})
        offset += len(part)
    stream = base64.b64encode(b"".join(parts)).decode()
    world.raw(
        "sandbox-1",
        {
            "target": endpoint(WEB[4], 80),
            "stream_base64": stream,
            "segments": segments,
            "listen": 0.3,
        },
    )
    [alert] = world.gateway.wait_alerts(bool)
    assert (alert.alert.signature_id, alert.verdict.action) == ("stratum-v1-subscribe", "reject")
    assert web.events("connect")
    assert web.events("request") == []
