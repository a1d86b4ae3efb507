"""Traces of a real OpenTelemetry SDK become tool calls; hostile ones become nothing."""

import gzip
import json
import time
import zlib
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from tests.api.conftest import Site
from tests.api.talk import Answer, ask

from davylamp.api import otlp
from davylamp.attribution.model import Binding, Grade, ToolCall
from davylamp.errors import ConfigError
from davylamp.lineage import Client

PROTOBUF = {"Content-Type": otlp.PROTOBUF}
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def calls(site: Site, container: str) -> Sequence[ToolCall]:
    """Return what lineage has of a container's tool calls."""
    dossier = site.store.run(site.store.operations.look_up(container))
    assert dossier is not None
    return dossier.calls


def bound(site: Site) -> Client:
    """Bind two containers."""
    client = Client(site.store.url)
    client.bind(ip="10.0.0.7", container="sandbox-7", container_id="c0ffee123456")
    client.bind(ip="fd00::8", container="sandbox-8")
    return client


@pytest.mark.parametrize("compression", [Compression.Gzip, Compression.Deflate, None])
def test_the_sdks_spans_are_tool_calls(site: Site, compression: Compression | None) -> None:
    """An execute_tool span is the tool call it tells of, with its trace; other spans are none."""
    bound(site).close()
    exporter = OTLPSpanExporter(
        f"{site.url}/v1/traces",
        headers={"Authorization": f"Bearer {site.token('register.token')}"},
        compression=compression,
    )
    resource = Resource.create({"container.id": "c0ffee123456" + "a" * 52})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("trainer")
    before = time.time()
    with (
        tracer.start_as_current_span("rollout"),
        tracer.start_as_current_span("execute_tool bash") as span,
    ):
        span.set_attributes(
            {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": "bash",
                "gen_ai.tool.call.id": "call-8f2",
                "davylamp.step": 41,
                "davylamp.trajectory_id": "t-9",
            }
        )
    provider.shutdown()
    assert isinstance(span, ReadableSpan)
    [call] = calls(site, "sandbox-7")
    context = span.get_span_context()
    assert context is not None
    assert (call.tool_call_id, call.tool, call.step) == ("call-8f2", "bash", 41)
    assert call.trajectory_id == "t-9"
    assert call.traceparent == f"00-{context.trace_id:032x}-{context.span_id:016x}-01"
    assert call.ended is not None
    assert before <= call.started <= call.ended <= time.time()


def span_json(**changes: Any) -> dict[str, Any]:
    """Return a span as OTLP/JSON has it, of the last second."""
    now = time.time_ns()
    return {
        "traceId": TRACE,
        "spanId": SPAN,
        "name": "execute_tool python",
        "startTimeUnixNano": str(now),
        "endTimeUnixNano": str(now + 1000),
        "attributes": [attribute("gen_ai.operation.name", "execute_tool")],
        **changes,
    }


def attribute(key: str, value: str) -> dict[str, Any]:
    """Return an attribute with a text."""
    return {"key": key, "value": {"stringValue": value}}


def request_json(where: list[dict[str, Any]], *spans: dict[str, Any]) -> dict[str, Any]:
    """Return a request of one resource."""
    return {
        "resourceSpans": [
            {"resource": {"attributes": where}, "scopeSpans": [{"spans": list(spans)}]}
        ]
    }


def sent(site: Site, body: Any, **headers: str) -> Answer:
    """Send traces as a trainer does."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(site, "POST", "/v1/traces", body, token="register.token", headers=given)


# what the resource says, whose it is
PLACES = [
    ([attribute("container.name", "sandbox-7")], "sandbox-7"),
    ([attribute("davylamp.container", "sandbox-8")], "sandbox-8"),
    ([attribute("k8s.pod.name", "sandbox-8")], "sandbox-8"),
    ([attribute("k8s.pod.ip", "fd00:0::8")], "sandbox-8"),
    ([attribute("k8s.pod.ip", "no address"), attribute("davylamp.ip", "10.0.0.7")], "sandbox-7"),
    (
        [
            {
                "key": "host.ip",
                "value": {
                    "arrayValue": {
                        "values": [{"stringValue": "192.0.2.1"}, {"stringValue": "10.0.0.7"}]
                    }
                },
            }
        ],
        "sandbox-7",
    ),
]


def test_json_and_every_way_to_say_where(site: Site) -> None:
    """OTLP/JSON has ids in hex; the container is found by id, name, pod or address."""
    bound(site).close()
    for number, (where, container) in enumerate(PLACES):
        body = request_json(where, span_json(spanId=f"{number:016x}"))
        answer = sent(site, body)
        assert (answer.status, answer.json) == (200, {})
        [*_, call] = calls(site, container)
        assert call.tool_call_id == f"{number:016x}"
        assert call.traceparent == f"00-{TRACE}-{number:016x}-01"
        assert call.tool == "execute_tool python"


def test_what_is_refused_is_counted(site: Site) -> None:
    """A span of nobody's container, or unfit, is in the partial success; the others are taken."""
    bound(site).close()
    name = attribute("container.name", "sandbox-7")
    unfit = span_json(
        spanId="00000000000000aa",
        attributes=[
            attribute("gen_ai.operation.name", "execute_tool"),
            attribute("gen_ai.tool.name", "x" * 600),
        ],
    )
    elsewhere = span_json(
        attributes=[
            attribute("gen_ai.operation.name", "execute_tool"),
            attribute("container.name", "nobody"),
        ]
    )
    answer = sent(site, request_json([name], span_json(), unfit, elsewhere))
    partial = answer.json["partialSuccess"]
    assert partial["rejectedSpans"] == "2"
    assert "nobody has bound" in partial["errorMessage"]
    assert [one.tool_call_id for one in calls(site, "sandbox-7")] == [SPAN]
    empty = ExportTraceServiceResponse.FromString(
        sent(site, ExportTraceServiceRequest().SerializeToString(), **PROTOBUF).body
    )
    assert not empty.HasField("partial_success")


def test_a_name_that_two_pods_have_tells_of_neither(site: Site) -> None:
    """What else a span says does: an address, or the name with the namespace, if bound so."""
    began = time.time() - 60
    for space, ip in (("exp-a", "10.7.0.1"), ("exp-b", "10.7.0.2")):
        seen = Binding(
            ip=ip,
            lifecycle_id=f"uid-{space}@{began:.6f}",
            valid_from=began,
            container="sandbox-0",
            container_id=f"uid-{space}",
            grade=Grade.OBSERVED,
            source="kubernetes",
        )
        site.store.run(site.store.operations.bind(seen, began))
    name = attribute("k8s.pod.name", "sandbox-0")
    partial = sent(site, request_json([name], span_json())).json["partialSuccess"]
    assert partial["rejectedSpans"] == "1"
    assert "2 containers are named sandbox-0" in partial["errorMessage"]
    begun = {"container": "sandbox-0", "tool_call_id": "t", "tool": "bash"}
    where = "/api/v1/lineage/tool-calls/begin"
    answer = ask(site, "POST", where, begun, token="register.token")
    assert answer.status == 409
    assert "say the lifecycle id or the address" in answer.json["detail"]
    assert calls(site, "sandbox-0") == ()
    sent(site, request_json([name, attribute("k8s.pod.ip", "10.7.0.1")], span_json()))
    [call] = calls(site, "sandbox-0")
    assert call.lifecycle_id.startswith("uid-exp-a@")
    with Client(site.store.url) as client:
        client.bind(ip="10.7.0.9", container="exp-b/sandbox-0")
    namespace = attribute("k8s.namespace.name", "exp-b")
    sent(site, request_json([name, namespace], span_json()))
    assert len(calls(site, "exp-b/sandbox-0")) == 1


def test_a_call_that_the_trainer_began_keeps_what_it_said(site: Site) -> None:
    """The span of a call that was begun by hand ends it, and adds the trace."""
    with bound(site) as client:
        scope = client.tool_call(container="sandbox-7", tool="bash", tool_call_id=SPAN, step=7)
        begun = scope.__enter__()  # it ends with its span
        answer = sent(site, request_json([attribute("container.name", "sandbox-7")], span_json()))
    assert answer.json == {}
    [call] = calls(site, "sandbox-7")
    assert (call.tool, call.step, call.started) == ("bash", 7, begun.started)
    assert call.ended is not None
    assert call.traceparent.startswith(f"00-{TRACE}")


def bomb(size: int) -> bytes:
    """Return gzip that unpacks to so many bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(bytes(size)) + packer.flush()


# name, body, headers, status
HOSTILE: list[tuple[str, bytes, dict[str, str], int]] = [
    ("a bomb", bomb(64 << 20), {"Content-Encoding": "gzip"}, 400),
    ("no gzip", b"x", {"Content-Encoding": "gzip"}, 400),
    ("half", gzip.compress(b"x" * 99)[:-4], {"Content-Encoding": "gzip"}, 400),
    ("two members", gzip.compress(b"") * 2, {"Content-Encoding": "gzip"}, 400),
    ("another coding", b"", {"Content-Encoding": "br"}, 400),
    ("coded twice", gzip.compress(gzip.compress(b"")), {"Content-Encoding": "gzip, gzip"}, 400),
    ("no protobuf", b"\xff" * 50, {}, 400),
    ("no JSON", b"{", {"Content-Type": "application/json"}, 400),
    ("deep JSON", b'{"a":' * 5000, {"Content-Type": "application/json"}, 400),
    ("another kind", b"", {"Content-Type": "text/plain"}, 415),
    ("too long", bytes(otlp.BODY_BYTES + 1), {}, 413),
    ("odd ids", b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"zz"}]}]}]}', {}, 400),
]


def test_hostile_bodies_are_refused(site: Site) -> None:
    """Each is refused by its status, in the sender's own encoding, and the API goes on."""
    for name, body, headers, status in HOSTILE:
        answer = sent(site, body, **{**PROTOBUF, **headers})
        assert answer.status == status, (name, answer)
    answer = sent(site, b"{", **{"Content-Type": otlp.JSON})
    assert "no OTLP trace request" in json.loads(answer.body)["message"]
    told = sent(site, b"\xff", **PROTOBUF).body
    assert told[:1] == b"\x12"
    assert b"no OTLP trace request" in told
    assert sent(site, request_json([])).status == 200
    with pytest.raises(ConfigError, match="more than"):
        otlp.unpacked(bomb(20 << 20), "gzip")


def test_a_flood_of_calls_is_bounded(site: Site) -> None:
    """Of one request so many tool calls are taken, and the rest is counted as rejected."""
    spans = [span_json(spanId=f"{n:016x}") for n in range(otlp.CALLS + 10)]
    answer = sent(site, request_json([attribute("container.name", "x" * 600)], *spans))
    assert int(answer.json["partialSuccess"]["rejectedSpans"]) == otlp.CALLS + 10
