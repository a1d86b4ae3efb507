"""Layers are the protocols that they are called, by readers that this room did not write."""

import gzip
import zlib
from base64 import b64decode

import dpkt
import pytest
from tests.streams import JOB, LOGIN, SUBMIT

from davylamp.accuracy.delivery import Delivery, segments
from davylamp.accuracy.examples import Message
from davylamp.accuracy.layers import LAYERS, Layer
from davylamp.accuracy.pieces import Pieces
from davylamp.flow import Direction
from davylamp.inspection.wire.http import BodyData, RequestReader

C, S = Direction.ORIGINATOR, Direction.RESPONDER
TALK = tuple(
    Message(direction, line.rstrip(), b"\n", is_json=True)
    for direction, line in ((C, LOGIN), (S, JOB), (C, SUBMIT))
)
BY_NAME = {layer.name: layer for layer in LAYERS}


def stream(pieces: Pieces, direction: Direction) -> bytes:
    """Return all that one end sends."""
    return b"".join(piece.data for piece in pieces if piece.direction is direction)


def test_names_are_unique() -> None:
    """Every layer has a row of its own."""
    assert len(BY_NAME) == len(LAYERS)


@pytest.mark.parametrize(
    "layer", [one for one in LAYERS if one.transparent], ids=lambda it: it.name
)
def test_a_tunnel_carries_bytes_unchanged(layer: Layer) -> None:
    """Behind the tunnel's own exchange each end's bytes are as they were."""
    pieces = layer.wrap(TALK)
    for direction in Direction:
        sent = b"".join(message.data for message in TALK if message.direction is direction)
        assert stream(pieces, direction).endswith(sent)


@pytest.mark.parametrize("name", ["HTTP body", "HTTP body, chunked", "HTTP body, gzip"])
def test_http_bodies_are_what_another_reader_reads(name: str) -> None:
    """Dpkt finds the message in the request's body, and in the response's."""
    pieces = BY_NAME[name].wrap(TALK[:2])
    request = dpkt.http.Request(stream(pieces, C))
    response = dpkt.http.Response(stream(pieces, S))
    for parsed, message in ((request, TALK[0]), (response, TALK[1])):
        body = parsed.body
        if parsed.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        assert body == message.data


def test_what_the_pool_says_over_http_is_an_answer() -> None:
    """A response comes behind a request of its own."""
    pieces = BY_NAME["HTTP body"].wrap(TALK[1:2])
    assert [piece.direction for piece in pieces] == [C, S]
    assert not [one for one in RequestReader().feed(pieces[0].data) if isinstance(one, BodyData)]


def frames(data: bytes) -> list[tuple[int, bytes]]:
    """Return a WebSocket stream's frames: first byte and unmasked payload (RFC 6455 5.2)."""
    found = []
    while data:
        first, size, at = data[0], data[1] & 0x7F, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(data[2 : 2 + width]), 2 + width
        mask = b"\0\0\0\0"
        if data[1] & 0x80:
            mask, at = data[at : at + 4], at + 4
        payload = bytes(byte ^ mask[n % 4] for n, byte in enumerate(data[at : at + size]))
        found.append((first, payload))
        data = data[at + size :]
    return found


@pytest.mark.parametrize("name", ["WebSocket", "WebSocket, fragmented", "WebSocket, deflate"])
def test_websocket_messages_come_out_whole(name: str) -> None:
    """Unmasked, joined and inflated, the payloads are the messages; the client's are masked."""
    pieces = BY_NAME[name].wrap(TALK)
    assert all(bool(one.data[1] & 0x80) is (one.direction is C) for one in pieces[2:])
    inflaters = {end: zlib.decompressobj(-15) for end in Direction}
    for piece, message in zip(pieces[2:], TALK, strict=True):
        got = frames(piece.data)
        assert len(got) == (4 if "fragmented" in name else 1)
        assert got[0][0] & 0x0F == 1
        assert got[-1][0] & 0x80
        payload = b"".join(part for _, part in got)
        if got[0][0] & 0x40:
            payload = inflaters[piece.direction].decompress(payload + b"\0\0\xff\xff")
        assert payload == message.data


def test_armour_comes_off() -> None:
    """Base64 lines decode, and exclusive or with one key restores, what was sent."""
    plain = TALK[0].data + TALK[2].data
    lines = stream(BY_NAME["base64 lines"].wrap(TALK), C).splitlines()
    assert b"".join(map(b64decode, lines)) == plain
    hidden = stream(BY_NAME["XOR with one byte"].wrap(TALK), C)
    key = hidden[0] ^ plain[0]
    assert key
    assert bytes(byte ^ key for byte in hidden) == plain


@pytest.mark.parametrize("layer", LAYERS, ids=lambda it: it.name)
@pytest.mark.parametrize("delivery", Delivery)
def test_every_delivery_keeps_the_bytes(layer: Layer, delivery: Delivery) -> None:
    """Cutting changes neither the bytes of an end nor who speaks when."""
    pieces = layer.wrap(TALK)
    cut = list(segments(delivery, pieces))
    for direction in Direction:
        sent = b"".join(data for end, data in cut if end is direction)
        assert sent == stream(pieces, direction)
    if delivery is Delivery.BYTES:
        assert {len(data) for _, data in cut} == {1}
        turns = [direction for direction, _ in cut]
        assert turns == [piece.direction for piece in pieces for _ in piece.data]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda it: it.name)
def test_each_message_is_marked_where_it_is_complete(layer: Layer) -> None:
    """Each message has a piece that says how much of it a receiver needs, and none needs more."""
    pieces = layer.wrap(TALK)
    marked = [piece for piece in pieces if piece.complete]
    assert [piece.direction for piece in marked] == [message.direction for message in TALK]
    assert all(0 < piece.complete <= len(piece.data) for piece in pieces if piece.complete)
