"""The webhook, to a real HTTP server that fails in every way that servers do."""

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from tests.outputs.http_peer import SECRET, Answer, Receiver

from davylamp.config import OutputConfig, WebhookConfig
from davylamp.errors import ConfigError
from davylamp.events import AlertEvent, encode
from davylamp.outputs.fanout import FanOut
from davylamp.outputs.http import HttpPost
from davylamp.outputs.identity import event_id
from davylamp.outputs.renderings.render import Format, renderer
from davylamp.outputs.signing import SIGNATURE, TIMESTAMP, sign, verify
from davylamp.outputs.spool import Spool
from davylamp.outputs.spooled import ATTEMPTS, Pace, SpooledSink
from davylamp.outputs.webhook import IDEMPOTENCY, Webhook
from davylamp.sinks import sinks_of

MakeAlert = Callable[..., AlertEvent]
ROOT = Path(__file__).resolve().parents[2]
QUICK = Pace(first_retry=0.01, last_retry=0.05, drain=0.2)


def sink_to(
    receiver: Receiver, place: Path, *, pace: Pace = QUICK, seconds: float = 0.5, form: str = "eve"
) -> SpooledSink:
    """Return a sink that delivers to the receiver, soon again where that fails."""
    url = f"http://127.0.0.1:{receiver.port}{receiver.path}"
    post = HttpPost(url, ssl.create_default_context(), seconds)
    webhook = Webhook(post, SECRET, renderer(Format(form)))
    spool = Spool(place / "spool")
    return SpooledSink("the webhook", spool, webhook.deliver, pace=pace, release=post.close)


async def until(sink: SpooledSink, *, pending: int = 0) -> None:
    """Return when no more than so many events wait."""
    async with asyncio.timeout(30):
        while True:
            if sink.counters()["pending"] <= pending:
                return
            await asyncio.sleep(0.01)


def test_what_is_sent(tmp_path: Path, make_alert: MakeAlert) -> None:
    """A request is signed, names its event by the id that is the event's, and holds it whole."""
    alert = make_alert(1)
    with Receiver() as receiver:

        async def scenario() -> None:
            sink = sink_to(receiver, tmp_path)
            await sink.write(alert)
            await until(sink)
            await sink.close()

        asyncio.run(scenario())
    [post] = receiver.posts
    assert post.signed
    assert post.headers[IDEMPOTENCY] == event_id(alert) == receiver.accepted[0]
    assert post.headers["Content-Type"] == "application/json"
    assert receiver.events[event_id(alert)] == json.loads(encode(alert))


@pytest.mark.parametrize(("form", "member"), [("ecs", "@timestamp"), ("ocsf", "class_uid")])
def test_other_renderings_have_the_same_id(
    tmp_path: Path, make_alert: MakeAlert, form: str, member: str
) -> None:
    """An event in another rendering is delivered under the same id."""
    with Receiver() as receiver:

        async def scenario() -> None:
            sink = sink_to(receiver, tmp_path, form=form)
            await sink.write(make_alert(1))
            await until(sink)
            await sink.close()

        asyncio.run(scenario())
    assert member in receiver.events[event_id(make_alert(1))]


FAILURES: dict[str, Answer] = {
    "5xx": lambda n: 503 if n % 3 != 2 else 204,
    "too many": lambda n: 429 if n % 2 == 0 else 204,
    "unknown path for a while": lambda n: 404 if n < 9 else 204,
    "redirect": lambda n: 302 if n < 3 else 204,
    "slow": lambda n: "slow" if n in {0, 3} else 204,
    "cut before": lambda n: "cut" if n % 2 == 0 else 204,
    "cut after it was taken": lambda n: "drop" if n % 2 == 0 else 204,
}


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("failure", FAILURES)
def test_none_lost_none_doubled_none_overtaken(
    tmp_path: Path, make_alert: MakeAlert, failure: str, batch: int
) -> None:
    """However the receiver fails, each event is in the end taken once and in its order."""
    alerts = [make_alert(number) for number in range(12)]
    pace = Pace(batch=batch, first_retry=0.01, last_retry=0.05, drain=0.2)
    with Receiver(FAILURES[failure]) as receiver:

        async def scenario() -> None:
            sink = sink_to(receiver, tmp_path, pace=pace)
            for alert in alerts:
                await sink.write(alert)
            await until(sink)
            await sink.close()
            assert sink.counters() == {
                "delivered": 12,
                "refused": 0,
                "pending": 0,
                "dropped": 0,
                "damaged": 0,
            }

        asyncio.run(scenario())
    assert receiver.accepted == [event_id(alert) for alert in alerts]
    assert all(post.signed for post in receiver.posts)


def test_a_receiver_that_starts_late_gets_all(tmp_path: Path, make_alert: MakeAlert) -> None:
    """Where nothing listens yet, or listens no more, events wait on disk for it."""
    first = Receiver()
    with first:
        pass

    async def scenario() -> None:
        sink = sink_to(first, tmp_path)
        for number in range(5):
            await sink.write(make_alert(number))
        await asyncio.sleep(0.1)
        assert sink.counters()["pending"] == 5
        with Receiver(port=first.port) as second:
            await until(sink)
            await sink.close()
            assert len(second.accepted) == 5

    asyncio.run(scenario())


@pytest.mark.parametrize("batch", [1, 8])
def test_one_refused_event_holds_up_no_other(
    tmp_path: Path, make_alert: MakeAlert, batch: int
) -> None:
    """A body that is refused for itself is given up after some attempts, alone, and counted."""
    alerts = [make_alert(number) for number in range(8)]
    bad = event_id(alerts[3])
    receiver = Receiver()
    receiver.answer = lambda n: 422 if bad.encode() in receiver.posts[n].body else 204
    pace = Pace(batch=batch, first_retry=0.01, last_retry=0.02, drain=0.2)
    with receiver:

        async def scenario() -> None:
            sink = sink_to(receiver, tmp_path, pace=pace)
            for alert in alerts:
                await sink.write(alert)
            await until(sink)
            await sink.close()
            assert (sink.delivered, sink.refused) == (7, 1)

        asyncio.run(scenario())
    assert receiver.accepted == [event_id(alert) for alert in alerts if event_id(alert) != bad]
    alone = [post for post in receiver.posts if post.headers.get(IDEMPOTENCY) == bad]
    assert len(alone) == ATTEMPTS


def test_a_batch_goes_together(tmp_path: Path, make_alert: MakeAlert) -> None:
    """What waited goes in bodies of the configured number, and within a bound of bytes."""
    alerts = [make_alert(number) for number in range(10)]
    size = len(encode(alerts[0]))
    with Spool(tmp_path / "spool") as spool:
        for alert in alerts:
            spool.append(encode(alert))
    pace = Pace(batch=4, batch_bytes=3 * size + 10, first_retry=0.01, last_retry=0.02)
    with Receiver() as receiver:

        async def scenario() -> None:
            sink = sink_to(receiver, tmp_path, pace=pace)
            sink.start()
            await until(sink)
            await sink.close()

        asyncio.run(scenario())
    sizes = [len(json.loads(post.body)["deliveries"]) for post in receiver.posts]
    assert sizes == [3, 3, 3, 1]
    assert [IDEMPOTENCY in post.headers for post in receiver.posts] == [False] * 3 + [True]


PROGRAM = """
import asyncio, sys
from pathlib import Path
from davylamp.config import OutputConfig, WebhookConfig
from davylamp.events import decode
from davylamp.outputs.fanout import FanOut
from davylamp.sinks import sinks_of

async def nowhere(line): pass

async def main(url, place):
    hook = WebhookConfig(url=url, secret_file=str(place / "secret"), batch=7)
    config = OutputConfig(console=False, redis=False, webhook=hook)
    fanout = FanOut(sinks_of(config, place / "spool", nowhere))
    lines = (place / "events").read_bytes().splitlines() if (place / "events").exists() else []
    for line in lines:
        fanout.publish(decode(line))
    print("published", flush=True)
    while True:
        await asyncio.sleep(0.05)
        print(fanout.counters()["webhook.written"], flush=True)

asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
"""


def test_a_killed_process_loses_and_doubles_nothing(tmp_path: Path, make_alert: MakeAlert) -> None:
    """Killed again and again in the middle of deliveries, the next start goes on where it was."""
    alerts = [make_alert(number) for number in range(300)]
    (tmp_path / "secret").write_bytes(SECRET)
    # Some are taken and never answered, so that a kill falls into every place.
    receiver = Receiver(lambda n: "drop" if n % 5 == 3 else 204)
    with receiver:
        for start in range(0, 300, 60):
            events = b"\n".join(encode(alert) for alert in alerts[start : start + 60])
            (tmp_path / "events").write_bytes(events)
            seen = len(receiver.accepted)
            with running(receiver, tmp_path) as process:
                assert process.stdout is not None
                while process.stdout.readline() != b"60\n":
                    pass
                receiver.until(lambda seen=seen: len(receiver.accepted) > seen)  # type: ignore[misc]
                process.send_signal(signal.SIGKILL)
        (tmp_path / "events").unlink()
        with running(receiver, tmp_path) as process:
            receiver.until(lambda: len(receiver.accepted) == 300)
            process.send_signal(signal.SIGKILL)
    assert receiver.accepted == [event_id(alert) for alert in alerts]
    assert all(post.signed for post in receiver.posts)


def running(receiver: Receiver, place: Path) -> "subprocess.Popen[bytes]":
    """Start a process with the configured webhook, which publishes the events in a file."""
    url = f"http://127.0.0.1:{receiver.port}{receiver.path}"
    command = [sys.executable, "-c", PROGRAM, url, str(place)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)


def test_tls_is_verified(tmp_path: Path, make_alert: MakeAlert) -> None:
    """An event goes only to a receiver that the configured authority vouches for."""
    ours, other = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(tmp_path / "ours.pem")
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    (tmp_path / "secret").write_bytes(SECRET)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.issue_cert("localhost").configure_cert(tls)
    with Receiver(tls=tls) as receiver:

        async def scenario(authority: str) -> None:
            hook = WebhookConfig(
                url=f"https://localhost:{receiver.port}/hook",
                secret_file=str(tmp_path / "secret"),
                ca=str(tmp_path / authority),
            )
            config = OutputConfig(console=False, redis=False, webhook=hook)
            fanout = FanOut(sinks_of(config, tmp_path / "spool", nowhere))
            fanout.publish(make_alert(1))
            await asyncio.sleep(0.3)
            await fanout.close()

        asyncio.run(scenario("other.pem"))
        assert receiver.posts == []
        asyncio.run(scenario("ours.pem"))
        assert receiver.accepted == [event_id(make_alert(1))]


async def nowhere(line: bytes) -> None:
    """Take a line that nobody wants."""


def test_what_waits_on_disk_is_bounded(tmp_path: Path, make_alert: MakeAlert) -> None:
    """While the receiver is away the spool keeps within its bytes, and counts what it dropped."""

    async def scenario() -> None:
        post = HttpPost("http://127.0.0.1:1/", ssl.create_default_context(), 0.5)
        webhook = Webhook(post, SECRET, encode)
        spool = Spool(tmp_path / "spool", max_bytes=40_000)
        sink = SpooledSink("the webhook", spool, webhook.deliver, pace=QUICK, release=post.close)
        for number in range(400):
            await sink.write(make_alert(number))
        assert sink.counters()["dropped"] > 0
        assert sum(path.stat().st_size for path in (tmp_path / "spool").iterdir()) <= 41_000
        await sink.close()

    asyncio.run(scenario())


def test_signatures_are_of_the_secret_the_time_and_the_body() -> None:
    """Only what was signed verifies, and only within the window on either side of now."""
    good = sign(SECRET, 1000, b"{}")

    def holds(**changes: object) -> bool:
        fields = {"timestamp": "1000", "signature": good, "body": b"{}", "now": 1000.0}
        return verify(SECRET, **(fields | changes))  # type: ignore[arg-type]

    assert holds()
    assert holds(now=1300.0)
    assert not holds(now=1300.5)
    assert not holds(now=699.0)
    assert not holds(body=b"{ }")
    assert not holds(timestamp="1001")
    assert not verify(b"x" * 32, timestamp="1000", signature=good, body=b"{}", now=1000.0)
    for timestamp in ("", "-1000", "1e3", "\u0661\u0660\u0660\u0660", "9" * 400):
        assert not holds(timestamp=timestamp)
    for signature in ("", "v1=", good[:-1], good.upper(), "v0" + good[2:], "é"):
        assert not holds(signature=signature)
    assert (TIMESTAMP, SIGNATURE) == ("Davylamp-Timestamp", "Davylamp-Signature")


@pytest.mark.parametrize(
    ("url", "secret", "says"),
    [
        ("http://logs.example/hook", SECRET, "https://"),
        ("ftp://127.0.0.1/", SECRET, "https://"),
        ("https://", SECRET, "https://"),
        ("https://logs.example/hook", b"short\n", "openssl rand"),
        ("https://logs.example/hook", None, "secret_file"),
    ],
)
def test_a_webhook_that_would_not_be_safe_is_refused(
    tmp_path: Path, url: str, secret: bytes | None, says: str
) -> None:
    """Plain HTTP to elsewhere, and a secret that is short or missing, are refused at the start."""
    if secret is not None:
        (tmp_path / "secret").write_bytes(secret)
    hook = WebhookConfig(url=url, secret_file=str(tmp_path / "secret"))
    config = OutputConfig(console=False, redis=False, webhook=hook)
    with pytest.raises(ConfigError, match=says):
        sinks_of(config, tmp_path / "spool", nowhere)
