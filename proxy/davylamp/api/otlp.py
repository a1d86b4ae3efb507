"""OTLP/HTTP traces, from bytes to tool calls.

Sources: OpenTelemetry Protocol specification 1.x (OTLP/HTTP: both encodings, gzip, partial
success), its JSON mapping (trace and span ids in hex), and the semantic conventions for generative
AI (``gen_ai.operation.name`` is ``execute_tool``, ``gen_ai.tool.name``, ``gen_ai.tool.call.id``),
resources (``container.id``, ``container.name``, ``k8s.pod.name``, ``k8s.pod.ip``, ``host.ip``).
"""

import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from google.protobuf.json_format import MessageToJson, Parse, ParseError
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from davylamp.attribution.model import ToolCall
from davylamp.errors import ConfigError

PROTOBUF, JSON = "application/x-protobuf", "application/json"
BODY_BYTES = 8 * 1024 * 1024
"""Bytes that a request may have, unpacked."""
CALLS = 2048
"""Tool calls that are taken of one request."""
_WINDOWS = {"gzip": 31, "deflate": 15}
"""What zlib is told of each coding's header."""
_OPERATION, _EXECUTE_TOOL = "gen_ai.operation.name", "execute_tool"
_NAMES = (
    "davylamp.lifecycle_id",
    "davylamp.container",
    "container.name",
    "container.id",
    "k8s.pod.name",
)
_ADDRESSES = ("davylamp.ip", "k8s.pod.ip", "host.ip")


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What a resource says of where it runs: names, a container's id, and addresses."""

    names: tuple[str, ...] = ()
    container_id: str = ""
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TracedCall:
    """A tool call as its span tells it, and where; the call's lifecycle is not known yet."""

    where: Whereabouts
    call: ToolCall


def unpacked(body: bytes, encoding: str, most: int = BODY_BYTES) -> bytes:
    """Return a body without its content coding, never more than ``most`` bytes of it.

    Raises ConfigError for another coding, damage, or a body that unpacks to more.
    """
    coding = encoding.strip().lower()
    if coding in {"", "identity"}:
        return body
    if coding not in _WINDOWS:
        raise ConfigError(f"content coding {encoding[:40]!r} is not known here; send gzip")
    reader = zlib.decompressobj(wbits=_WINDOWS[coding])
    try:
        data = reader.decompress(body, most + 1)
    except zlib.error as error:
        raise ConfigError(f"the body is not {coding}: {error}") from error
    if len(data) > most:
        raise ConfigError(f"the body unpacks to more than {most} bytes")
    if not reader.eof or reader.unused_data:
        raise ConfigError(f"the body is not whole, or more than one member of {coding}")
    return data


def parsed(body: bytes, kind: str) -> ExportTraceServiceRequest:
    """Read a request; raise ConfigError where it is none."""
    request = ExportTraceServiceRequest()
    try:
        if kind == JSON:
            Parse(body, request, ignore_unknown_fields=True)
            _ids_from_hex(request)
        else:
            request.ParseFromString(body)
    except (ParseError, DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ConfigError(f"the body is no OTLP trace request: {str(error)[:200]}") from error
    return request


def traced_calls(request: ExportTraceServiceRequest) -> Iterator[TracedCall]:
    """Yield the ``execute_tool`` spans of a request as tool calls."""
    for of_resource in request.resource_spans:
        resource = _texts(of_resource.resource.attributes)
        where = _whereabouts(resource)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                said = _texts(span.attributes)
                if said.get(_OPERATION, [""])[0] == _EXECUTE_TOOL:
                    # A span may name the sandbox where the resource is the trainer itself.
                    yield TracedCall(
                        _nearer(_whereabouts(said), where), _call(span, resource | said)
                    )


def _call(span: Span, said: Mapping[str, Sequence[str]]) -> ToolCall:
    def first(name: str) -> str:
        return said.get(name, [""])[0]

    step = first("davylamp.step")
    started = span.start_time_unix_nano / 1e9
    ended = span.end_time_unix_nano / 1e9
    return ToolCall(
        tool_call_id=first("gen_ai.tool.call.id") or span.span_id.hex(),
        lifecycle_id="",
        started=started,
        ended=max(started, ended) if ended else None,
        tool=first("gen_ai.tool.name") or span.name,
        step=int(step) if step.isascii() and step.isdigit() and len(step) < 19 else None,
        rollout_id=first("davylamp.rollout_id"),
        trajectory_id=first("davylamp.trajectory_id"),
        traceparent=_traceparent(span),
    )


def _traceparent(span: Span) -> str:
    """Return the span's identity in W3C form: it is what the tool call is found by in its trace."""
    if len(span.trace_id) != 16 or len(span.span_id) != 8:
        return ""
    return f"00-{span.trace_id.hex()}-{span.span_id.hex()}-{span.flags & 0xFF or 1:02x}"


def _whereabouts(said: Mapping[str, Sequence[str]]) -> Whereabouts:
    names = [value for name in _NAMES for value in said.get(name, ())]
    pod, space = said.get("k8s.pod.name"), said.get("k8s.namespace.name")
    if pod and space:
        names.append(f"{space[0]}/{pod[0]}")
    return Whereabouts(
        tuple(one for one in names if one),
        said.get("container.id", said.get("k8s.pod.uid", [""]))[0],
        tuple(value for name in _ADDRESSES for value in said.get(name, ())),
    )


def _nearer(span: Whereabouts, resource: Whereabouts) -> Whereabouts:
    return span if span != Whereabouts() else resource


def _texts(attributes: Sequence[KeyValue]) -> dict[str, list[str]]:
    """Return attributes as lists of texts; those of other kinds say nothing to us."""
    return {one.key: found for one in attributes if (found := list(_values(one.value)))}


def _values(value: AnyValue) -> Iterator[str]:
    match value.WhichOneof("value"):
        case "string_value":
            yield value.string_value
        case "int_value":
            yield str(value.int_value)
        case "array_value":
            for one in value.array_value.values[:8]:
                if one.WhichOneof("value") == "string_value":
                    yield one.string_value
        case _:
            return


def _ids_from_hex(request: ExportTraceServiceRequest) -> None:
    """Undo protobuf's reading of hex ids as base64; OTLP/JSON has its own way with those."""
    for of_resource in request.resource_spans:
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                span.trace_id = bytes.fromhex(b64encode(span.trace_id).decode())
                span.span_id = bytes.fromhex(b64encode(span.span_id).decode())


def as_json(message: Message) -> bytes:
    """Return an answer in OTLP's JSON."""
    return MessageToJson(message, indent=None).encode()


def refusal(kind: str, said: str) -> bytes:
    """Return a google.rpc.Status with that message, as OTLP/HTTP answers a request it refuses.

    Its field 2 is the message; the whole type is not worth a package.
    """
    if kind == JSON:
        return msgspec.json.encode({"message": said})
    text = said.encode()[:1000]
    return b"\x12" + _varint(len(text)) + text


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
