"""OpenTelemetry logs, to a receiver that reads them with the official protobuf classes."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.logs.v1.logs_pb2 import SEVERITY_NUMBER_ERROR, LogRecord

from davylamp.config import OtlpConfig, OutputConfig
from davylamp.errors import ConfigError
from davylamp.events import AlertEvent, LineageEvent, LineageInfo, TlsEvent, encode
from davylamp.outputs.fanout import FanOut
from davylamp.outputs.http import HttpPost
from davylamp.outputs.identity import event_id
from davylamp.outputs.otlp import ANSWER_BYTES, Otlp
from davylamp.outputs.spooled import Fate
from davylamp.sinks import sinks_of
from davylamp.tls import verifying

MakeAlert = Callable[..., AlertEvent]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
LINEAGE = LineageInfo(
    grade="bound",
    container="sandbox-2",
    run_id="r1",
    step=0,
    tool="bash",
    tool_call_id="tc-9",
    traceparent=f"00-{TRACE}-00f067aa0ba902b7-01",
)


class Collector(ThreadingHTTPServer):
    """Takes exports; ``statuses`` are what the first requests get, then 200 with ``answer``."""

    def __init__(self, statuses: list[int], answer: bytes = b"") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses = statuses
        self.answer = answer
        self.headers: list[dict[str, str]] = []
        self.requests: list[ExportLogsServiceRequest] = []

    @property
    def url(self) -> str:
        """Where logs are exported to."""
        return f"http://127.0.0.1:{self.server_port}/v1/logs"

    def records(self) -> list[LogRecord]:
        """Return every record that was taken."""
        return [
            record
            for request in self.requests
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]


class _Handler(BaseHTTPRequestHandler):
    server: Collector
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Take one export."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if status == 200:
            assert self.path == "/v1/logs"
            self.server.headers.append(dict(self.headers))
            self.server.requests.append(ExportLogsServiceRequest.FromString(body))
        answer = self.server.answer if status == 200 else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


@contextmanager
def collecting(statuses: list[int], answer: bytes = b"") -> Iterator[Collector]:
    """Run a collector."""
    with Collector(statuses, answer) as collector:
        thread = Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield collector
        collector.shutdown()
        thread.join()


async def nowhere(line: bytes) -> None:
    """Take a line that nobody wants."""


def exported(
    collector: Collector,
    place: Path,
    *events: AlertEvent | TlsEvent | LineageEvent,
    token: str = "",
) -> None:
    """Publish events through the configured sink, until the collector has them all."""

    async def scenario() -> None:
        otlp = OtlpConfig(url=collector.url, token_file=token)
        config = OutputConfig(console=False, redis=False, otlp=otlp)
        fanout = FanOut(sinks_of(config, place / "spool", nowhere))
        for event in events:
            fanout.publish(event)
        async with asyncio.timeout(30):
            while True:
                if len(collector.records()) >= len(events):
                    break
                await asyncio.sleep(0.02)
        await fanout.close()

    asyncio.run(scenario())


def attributes(record: LogRecord) -> dict[str, str | int]:
    """Return a record's attributes; none may come twice."""
    found: dict[str, str | int] = {}
    for pair in record.attributes:
        assert pair.key not in found
        which = pair.value.WhichOneof("value")
        assert which in {"string_value", "int_value"}
        found[pair.key] = getattr(pair.value, str(which))
    return found


def test_an_alert_is_a_record_in_the_trainers_trace(tmp_path: Path, make_alert: MakeAlert) -> None:
    """Time, severity, words, trace and attributes are where the data model has them."""
    alert = make_alert(1, lineage=LINEAGE)
    (tmp_path / "token").write_text("s3cret\n")
    with collecting([]) as collector:
        exported(collector, tmp_path, alert, token=str(tmp_path / "token"))
        [request], [record] = collector.requests, collector.records()
        [headers] = collector.headers
    assert headers["Content-Type"] == "application/x-protobuf"
    assert headers["Authorization"] == "Bearer s3cret"
    [resource] = request.resource_logs
    about = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    assert about["service.name"] == "davylamp"
    assert record.time_unix_nano == 1_770_091_506_000_007_000
    assert record.observed_time_unix_nano > record.time_unix_nano
    assert record.severity_number == SEVERITY_NUMBER_ERROR
    assert record.event_name == "davylamp.alert"
    assert record.body.string_value.startswith("reject: CryptoNote login from sandbox-2")
    assert record.trace_id.hex() == TRACE
    assert record.span_id.hex() == "00f067aa0ba902b7"
    found = attributes(record)
    assert found["log.record.uid"] == event_id(alert)
    assert (found["source.address"], found["source.port"]) == ("10.0.0.2", 40000)
    assert found["network.type"] == "ipv4"
    assert (found["container.name"], found["gen_ai.tool.call.id"]) == ("sandbox-2", "tc-9")
    assert found["davylamp.step"] == 0
    assert found["davylamp.eve"] == encode(alert).decode()
    assert "davylamp.experiment_id" not in found


def test_every_kind_of_event_is_exported(tmp_path: Path, make_alert: MakeAlert) -> None:
    """Refused TLS and lineage come too, each by its own name, in a trace where there is one."""
    alert = make_alert(1, lineage=None)
    lineage = LineageEvent(
        timestamp=alert.timestamp, change="bound", lineage=LINEAGE, ip="10.0.0.2"
    )
    tls = TlsEvent(
        timestamp=alert.timestamp,
        flow_id=1,
        flow_start=alert.flow_start,
        community_id="1:abc=",
        src_ip="10.0.0.2",
        src_port=1,
        dest_ip="10.0.0.3",
        dest_port=443,
        proto="TCP",
        refusal="alert unknown_ca",
    )
    with collecting([]) as collector:
        exported(collector, tmp_path, alert, tls, lineage)
        records = collector.records()
    names = [record.event_name for record in records]
    assert names == ["davylamp.alert", "davylamp.tls", "davylamp.lineage"]
    assert [record.trace_id.hex() for record in records] == ["", "", TRACE]
    assert attributes(records[1])["davylamp.reason"] == "alert unknown_ca"


def test_what_a_collector_cannot_take_now_comes_later(
    tmp_path: Path, make_alert: MakeAlert
) -> None:
    """After unavailable, too many requests and an error all events come, once and in order."""
    alerts = [make_alert(number) for number in range(30)]
    with collecting([503, 429, 500]) as collector:
        exported(collector, tmp_path, *alerts)
        found = [attributes(record)["log.record.uid"] for record in collector.records()]
    assert found == [event_id(alert) for alert in alerts]


@pytest.mark.parametrize("junk", [b"", b"\xff" * 10, b"\x00" * (2 * ANSWER_BYTES)])
def test_an_answer_that_is_no_answer_is_taken_by_its_status(
    make_alert: MakeAlert, junk: bytes
) -> None:
    """Whatever a collector writes beside 200, short or endless, the export was taken."""
    with collecting([], junk) as collector:
        otlp, outcome_fate = asyncio.run(delivered(collector, make_alert()))
    assert (outcome_fate, otlp.rejected) == (Fate.TAKEN, 0)


def test_records_that_were_rejected_are_counted_and_not_repeated(make_alert: MakeAlert) -> None:
    """A partial success is a success: what the collector threw away is counted."""
    partial = ExportLogsPartialSuccess(rejected_log_records=3, error_message="too old")
    answer = ExportLogsServiceResponse(partial_success=partial).SerializeToString()
    with collecting([], answer) as collector:
        otlp, fate = asyncio.run(delivered(collector, make_alert()))
        assert len(collector.requests) == 1
    assert (fate, otlp.rejected) == (Fate.TAKEN, 3)


async def delivered(collector: Collector, alert: AlertEvent) -> tuple[Otlp, Fate]:
    """Deliver one alert, once."""
    post = HttpPost(collector.url, verifying(), 5.0, answer_bytes=ANSWER_BYTES)
    otlp = Otlp(post)
    outcome = await otlp.deliver([encode(alert)])
    await post.close()
    return otlp, outcome.fate


@pytest.mark.parametrize("token", [b"", b"two words", b"a\nb", b"\xc3\xa9"])
def test_a_token_that_is_none_is_refused(tmp_path: Path, token: bytes) -> None:
    """A token that no header can hold is refused at the start, by its file."""
    (tmp_path / "token").write_bytes(token)
    otlp = OtlpConfig(url="https://collector.example/v1/logs", token_file=str(tmp_path / "token"))
    config = OutputConfig(console=False, redis=False, otlp=otlp)
    with pytest.raises(ConfigError, match="token"):
        sinks_of(config, tmp_path / "spool", nowhere)
