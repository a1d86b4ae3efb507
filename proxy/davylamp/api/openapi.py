"""The OpenAPI 3.1 document, made of the route table and the types of what goes in and out.

https://spec.openapis.org/oas/v3.1.1.html. msgspec writes JSON Schema 2020-12, as 3.1 has it.
"""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from davylamp import __version__
from davylamp.api.endpoint import Endpoint, NoQuery
from davylamp.api.problems import CONTENT_TYPE, Problem

_REFERENCE = "#/components/schemas/{name}"
_ALWAYS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.MISDIRECTED_REQUEST,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_WITH_CREDENTIAL = (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS)
_WITH_BODY = (
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
_INFO = {
    "title": "davylamp",
    "version": __version__,
    "summary": "The admin API of a davylamp gateway",
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """Return the document."""
    routes = tuple(endpoints)
    types = _types(routes)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    known = {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for one in routes:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, known, components)
    for query in {id(one.query): one.query for one in routes}.values():
        components.pop(query.__name__, None)  # queries are parameters, and no bodies
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "davylamp"},
                "certificate": {"type": "mutualTLS"},
            },
        },
    }


def _types(routes: Iterable[Endpoint]) -> list[Any]:
    found: list[Any] = [Problem]
    for one in routes:
        kinds = (one.answer, one.body, one.query, *one.events.values())
        found += [kind for kind in kinds if _is_type(kind)]
    return found


def _is_type(kind: Any) -> bool:
    return kind is not None and not isinstance(kind, str)


def _operation(
    one: Endpoint, known: Mapping[int, Any], components: Mapping[str, Any]
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _name_of(one),
        "summary": one.summary,
        "description": _right(one),
        "parameters": [*_path_parameters(one), *_query_parameters(one, components)],
        "responses": _responses(one, known),
    }
    if one.body is not None:
        media: dict[str, Any] = {"application/json": {"schema": known[id(one.body)]}}
        operation["requestBody"] = {"required": True, "content": media}
    elif one.takes:
        media = {kind: {} for kind in one.takes}
        operation["requestBody"] = {"required": True, "content": media}
    if one.events:
        # OpenAPI 3.1 has no words for an event stream; this is what each event's data is.
        operation["x-events"] = {name: known[id(kind)] for name, kind in one.events.items()}
    if one.scope is None:
        operation["security"] = [{}]
    else:
        operation["security"] = [{"token": []}, {"session": []}, {"certificate": []}]
    return operation


def _right(one: Endpoint) -> str:
    return "Open to all." if one.scope is None else f"Needs the right to {one.scope}."


def _name_of(one: Endpoint) -> str:
    words = re.findall(r"[a-z]+", one.path.removeprefix("/api/v1").lower())
    return "_".join((one.method.lower(), *words))


def _path_parameters(one: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", one.path)
    ]


def _query_parameters(one: Endpoint, components: Mapping[str, Any]) -> list[dict[str, Any]]:
    if one.query is NoQuery:
        return []
    schema = components[one.query.__name__]
    return [
        {"name": name, "in": "query", "schema": field}
        for name, field in schema["properties"].items()
    ]


def _responses(one: Endpoint, known: Mapping[int, Any]) -> dict[str, Any]:
    if _is_type(one.answer):
        content = {"application/json": {"schema": known[id(one.answer)]}}
    else:
        content = {one.answer: {}}
    found: dict[str, Any] = {
        str(one.status.value): {"description": one.summary, "content": content}
    }
    statuses = {*_ALWAYS, *one.problems}
    if one.scope is not None:
        statuses |= set(_WITH_CREDENTIAL)
    if one.body is not None or one.takes:
        statuses |= set(_WITH_BODY)
    for status in sorted(statuses):
        found[str(status.value)] = {
            "description": status.phrase,
            "content": {CONTENT_TYPE: {"schema": known[id(Problem)]}},
        }
    return found
