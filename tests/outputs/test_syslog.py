"""Syslog to a real rsyslogd, and to sockets that misbehave."""

import asyncio
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.outputs.rsyslog_peer import Rsyslog, Taken, free_port, rsyslog_program

from davylamp.config import OutputConfig, SyslogConfig
from davylamp.errors import ConfigError
from davylamp.events import AlertEvent, LineageInfo, StatsEvent, decode, encode
from davylamp.outputs.fanout import FanOut
from davylamp.outputs.identity import event_id
from davylamp.outputs.syslog import Address, SyslogSink, Transport, parse_address
from davylamp.sinks import sinks_of
from davylamp.tls import verifying

MakeAlert = Callable[..., AlertEvent]
DATA = "davylamp@32473"
ROADS = ["udp", "tcp", "tls", "unix"]

pytestmark = pytest.mark.programs


@pytest.fixture
def rsyslog() -> Iterator[Rsyslog]:
    """Return a running rsyslogd; its directory is short because a socket's path must be."""
    yield from running("anon")


@pytest.fixture
def strict_rsyslog() -> Iterator[Rsyslog]:
    """Return one that takes TLS only from who has a certificate of its authority and name."""
    yield from running("x509/name")


def running(auth: str) -> Iterator[Rsyslog]:
    """Yield a rsyslogd, and stop it."""
    program = rsyslog_program()
    if program is None:
        pytest.skip("no rsyslogd with TLS: install rsyslog and rsyslog-openssl")
    with TemporaryDirectory(prefix="dl-syslog-") as place:
        server = Rsyslog(program, Path(place), auth=auth)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def config(server: Rsyslog, road: str, **more: object) -> SyslogConfig:
    """Return the configuration that leads to one of the server's inputs."""
    addresses = {
        "udp": f"udp://127.0.0.1:{server.udp}",
        "tcp": f"tcp://127.0.0.1:{server.tcp}",
        "tls": f"tls://localhost:{server.tls}",
        "unix": f"unix://{server.place}/log",
    }
    ca = str(server.place / "ca.pem") if road == "tls" else ""
    return SyslogConfig(address=addresses[road], ca=ca, **more)  # type: ignore[arg-type]


async def nowhere(line: bytes) -> None:
    """Take a line that nobody wants."""


def fanout_of(syslog: SyslogConfig, place: Path, grace: float = 10.0) -> FanOut:
    """Return the outputs of a configuration with nothing but syslog in it."""
    outputs = OutputConfig(console=False, redis=False, syslog=syslog)
    return FanOut(sinks_of(outputs, place / "spool", nowhere), grace=grace)


def sent(syslog: SyslogConfig, place: Path, *events: AlertEvent | StatsEvent) -> None:
    """Publish events through the configured sink, and close it."""

    async def scenario() -> None:
        fanout = fanout_of(syslog, place)
        for event in events:
            fanout.publish(event)
        await fanout.close()
        assert fanout.counters()["syslog.written"] == len(events)

    asyncio.run(scenario())


@pytest.mark.parametrize("road", ROADS)
def test_rsyslog_understands_every_part(
    rsyslog: Rsyslog, tmp_path: Path, make_alert: MakeAlert, road: str
) -> None:
    """On every road rsyslog reads our priority, ids, structured data and document."""
    alert = make_alert(5)
    sent(config(rsyslog, road), tmp_path, alert)
    [taken] = rsyslog.taken(1)
    assert (taken.facility, taken.severity, taken.msgid) == ("local0", "crit", "alert")
    assert taken.time.startswith("2026-02-03T04:05:06.000007")
    ours = taken.elements[DATA]
    assert ours["id"] == event_id(alert)
    assert (ours["action"], ours["signature"]) == ("reject", "cryptonote-login")
    assert (ours["src"], ours["dst"]) == ("10.0.0.2:40000", "[2001:db8::5]:443")
    assert (ours["container"], ours["run"], ours["rollout"]) == ("sandbox-2", "r1", "7")
    assert taken.elements["meta"]["sequenceid"] == "1"
    assert decode(taken.message.strip()) == alert


@pytest.mark.parametrize("form", ["ecs", "ocsf"])
def test_the_message_is_the_configured_rendering(
    rsyslog: Rsyslog, tmp_path: Path, make_alert: MakeAlert, form: str
) -> None:
    """With another format the message is that document, whole."""
    sent(config(rsyslog, "tcp", format=form), tmp_path, make_alert())
    [taken] = rsyslog.taken(1)
    assert {"ecs": "ecs", "ocsf": "class_uid"}[form] in json.loads(taken.message)


@pytest.mark.parametrize("road", ROADS)
def test_what_a_sandbox_names_itself_stays_data(
    rsyslog: Rsyslog, tmp_path: Path, make_alert: MakeAlert, road: str
) -> None:
    """Quotes, brackets, newlines and frames in a name end no element and begin no message."""
    hostile = '"] [x y="\\\n<0>1 - evil davylamp - alert - forged\x1b[31m'
    lineage = LineageInfo(grade="declared", container=hostile, run_id="é" * 4000)
    sent(config(rsyslog, road), tmp_path, make_alert(1, lineage=lineage), make_alert(2))
    first, second = rsyslog.taken(2)
    assert set(first.elements) == {"origin", "meta", DATA}
    assert first.elements[DATA]["action"] == "reject"
    assert "\n" not in first.raw_sd
    assert first.elements[DATA]["grade"] == "declared"
    assert second.elements[DATA]["id"] == event_id(make_alert(2))
    assert len(rsyslog.taken(2)) == 2


def test_a_document_that_is_too_long_becomes_a_sentence(
    rsyslog: Rsyslog, tmp_path: Path, make_alert: MakeAlert
) -> None:
    """Beyond the bound no cut document is sent: a sentence is, and the data still says what."""
    alert = make_alert(1, pack="p" * 9000)
    sent(config(rsyslog, "udp"), tmp_path, alert)
    [taken] = rsyslog.taken(1)
    assert taken.message.strip() == "reject: CryptoNote login from sandbox-2 to [2001:db8::5]:443"
    assert taken.elements[DATA]["id"] == event_id(alert)


@pytest.mark.parametrize("road", ["tcp", "tls", "unix"])
def test_events_wait_for_a_receiver_that_is_away(
    rsyslog: Rsyslog, tmp_path: Path, make_alert: MakeAlert, road: str
) -> None:
    """What is published while rsyslog is stopped arrives once it is back, in order."""

    async def scenario() -> None:
        fanout = fanout_of(config(rsyslog, road), tmp_path)
        fanout.publish(make_alert(0))
        await asyncio.to_thread(rsyslog.taken, 1)
        await asyncio.to_thread(rsyslog.stop)
        for number in range(1, 50):
            fanout.publish(make_alert(number))
        await asyncio.sleep(0.3)
        assert fanout.counters()["syslog.written"] == 1
        await asyncio.to_thread(rsyslog.start)
        await asyncio.to_thread(rsyslog.taken, 50)
        await fanout.close()

    asyncio.run(scenario())
    assert [flow(taken) for taken in rsyslog.taken(50)] == list(range(50))


def flow(taken: Taken) -> int:
    """Return the flow that a message is about."""
    event = decode(taken.message.strip())
    assert isinstance(event, AlertEvent)
    return event.flow_id


def test_a_receiver_that_nobody_vouches_for_gets_nothing(
    rsyslog: Rsyslog, tmp_path: Path, make_alert: MakeAlert
) -> None:
    """TLS to a receiver of another authority, or by a name it has not, delivers no event."""
    strange = SyslogConfig(address=f"tls://localhost:{rsyslog.tls}")  # the system's authorities
    wrong = config(rsyslog, "tls")
    wrong = SyslogConfig(address=f"tls://127.0.0.1:{rsyslog.tls}", ca=wrong.ca)

    async def scenario(syslog: SyslogConfig) -> dict[str, int]:
        fanout = fanout_of(syslog, tmp_path, grace=1.0)
        fanout.publish(make_alert())
        await fanout.close()
        return fanout.counters()

    for syslog in (strange, wrong):
        counters = asyncio.run(scenario(syslog))
        assert (counters["syslog.written"], counters["syslog.dropped"]) == (0, 1)
    sent(config(rsyslog, "tls"), tmp_path, make_alert(9))
    assert [flow(taken) for taken in rsyslog.taken(1)] == [9]


def test_a_receiver_may_ask_who_we_are(
    strict_rsyslog: Rsyslog, tmp_path: Path, make_alert: MakeAlert
) -> None:
    """A certificate of ours is shown to a receiver that takes events from named peers only."""
    place = strict_rsyslog.place
    strict_rsyslog.identity(place / "us", "davylamp.test")
    ours = config(
        strict_rsyslog, "tls", certificate=str(place / "us.pem"), key=str(place / "us.key")
    )
    sent(ours, tmp_path, make_alert(3))
    assert [flow(taken) for taken in strict_rsyslog.taken(1)] == [3]


def test_a_receiver_that_never_reads_bounds_memory_and_holds_up_nobody(
    tmp_path: Path, make_alert: MakeAlert
) -> None:
    """Beside a receiver that accepts and reads nothing another sink gets every event."""

    async def scenario() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        address = Address(Transport.TCP, *listener.getsockname())
        stuck = SyslogSink(address, encode, limit=65000)
        path = tmp_path / "eve.json"
        sinks = sinks_of(
            OutputConfig(console=False, redis=False, file=str(path)), tmp_path / "spool", nowhere
        )
        fanout = FanOut({"syslog": stuck, **sinks}, capacity=50, grace=0.5)
        for number in range(400):
            fanout.publish(make_alert(number, pack="p" * 60_000))
            if number % 40 == 39:
                await asyncio.to_thread(until_lines, path, number + 1)
        counters = fanout.counters()
        assert counters["file.dropped"] == 0
        assert counters["syslog.waiting"] <= 50
        assert counters["syslog.dropped"] > 0
        await fanout.close()
        listener.close()

    asyncio.run(scenario())


def until_lines(path: Path, count: int) -> None:
    """Return when the file has so many lines."""
    end = time.monotonic() + 60
    while path.read_bytes().count(b"\n") < count:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_stats_are_not_for_syslog(rsyslog: Rsyslog, tmp_path: Path, make_alert: MakeAlert) -> None:
    """Counters, which come every few seconds, are not sent; what people act on is."""
    stats = StatsEvent(
        timestamp="2026-02-03T04:05:06+00:00", packets=1, bytes=2, flows=3, alerts=4, seconds=5.0
    )
    sent(config(rsyslog, "udp"), tmp_path, stats, make_alert(8))
    assert [flow(taken) for taken in rsyslog.taken(1)] == [8]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "logs.example",
        "http://x:1",
        "udp://",
        "unix://x/y",
        "unix://",
        "tcp://h:99999",
        "udp://h/p",
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """What is no address is refused at the start, with the forms that are."""
    with pytest.raises(ConfigError, match="no syslog address"):
        parse_address(url)


def test_addresses_and_their_registered_ports() -> None:
    """A port that is left out is the registered one of its transport."""
    assert parse_address("udp://h") == Address(Transport.UDP, "h", 514)
    assert parse_address("tls://[::1]") == Address(Transport.TLS, "::1", 6514)
    assert parse_address("unix:///dev/log") == Address(Transport.UNIX, "/dev/log")


def test_files_of_no_certificate_are_refused(tmp_path: Path) -> None:
    """An authority's file that is missing or no PEM is refused by its name."""
    (tmp_path / "ca.pem").write_text("nothing")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(ConfigError, match=name):
            verifying(str(tmp_path / name))
    assert verifying().verify_mode is ssl.CERT_REQUIRED


def test_a_facility_of_no_name_is_refused(tmp_path: Path) -> None:
    """A facility that syslog has not is refused before anything is sent."""
    syslog = SyslogConfig(address=f"udp://127.0.0.1:{free_port()}", facility="local9")
    with pytest.raises(ConfigError, match="local9"):
        fanout_of(syslog, tmp_path)
