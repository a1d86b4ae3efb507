"""OTLP traces: any bytes are a request or a ConfigError, and unpack to no more than the bound."""

import contextlib
import gzip
import zlib

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from davylamp.api.otlp import JSON, PROTOBUF, parsed, traced_calls, unpacked
from davylamp.attribution.model import checked_call, encode
from davylamp.errors import ConfigError

_MOST = 1 << 16


def _pair(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


_SPAN = Span(
    trace_id=bytes(range(16)),
    span_id=bytes(range(8)),
    name="execute_tool bash",
    start_time_unix_nano=1_700_000_000_000_000_000,
    end_time_unix_nano=1_700_000_001_000_000_000,
    attributes=[
        _pair("gen_ai.operation.name", "execute_tool"),
        _pair("gen_ai.tool.call.id", "call-1"),
        _pair("davylamp.step", "41"),
    ],
)
_REQUEST = ExportTraceServiceRequest(
    resource_spans=[
        ResourceSpans(
            resource=Resource(attributes=[_pair("container.id", "c0ffee123456")]),
            scope_spans=[ScopeSpans(spans=[_SPAN])],
        )
    ]
).SerializeToString()
_TEXT = (
    b'{"resourceSpans":[{"resource":{"attributes":[{"key":"host.ip","value":{"arrayValue":'
    b'{"values":[{"stringValue":"10.0.0.7"}]}}}]},"scopeSpans":[{"spans":[{"traceId":'
    b'"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331","name":"x","attributes":'
    b'[{"key":"gen_ai.operation.name","value":{"stringValue":"execute_tool"}}]}]}]}]}'
)

SEEDS = (_REQUEST, _TEXT, gzip.compress(_REQUEST, mtime=0), zlib.compress(_TEXT))


def fuzz_one(data: bytes) -> None:
    """Read the input as each encoding, under each content coding."""
    for coding in ("", "gzip", "deflate"):
        try:
            body = unpacked(data, coding, _MOST)
        except ConfigError:
            continue
        assert not coding or len(body) <= _MOST
        for kind in (PROTOBUF, JSON):
            with contextlib.suppress(ConfigError):
                for one in traced_calls(parsed(body, kind)):
                    with contextlib.suppress(ConfigError):
                        encode(checked_call(one.call))
