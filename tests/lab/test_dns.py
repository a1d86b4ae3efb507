import json
import os
import struct
import sys
from pathlib import Path
from typing import Any

import dpkt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.lab import Lab
from davylamp.lab.dns import (
    AAAA,
    ANY,
    CNAME,
    FORMERR,
    MAX_VALUES,
    NOERROR,
    NOTIMP,
    NXDOMAIN,
    A,
    ZoneFile,
    respond,
)

ZONE = {
    "pool.example": ("203.0.113.10", "2001:db8::10"),
    "alias.example": ("pool.example",),
    "dangling.example": ("gone.example",),
    "loop.example": ("loop.example",),
    "many.example": tuple(f"203.0.113.{n}" for n in range(1, 101)),
    "most.example": tuple(f"2001:db8::{n:x}" for n in range(1, MAX_VALUES + 1)),
}
_ASK = struct.Struct("!6H")


def query(name: str, qtype: int = A, *, flags: int = 0x0100, edns: int | None = None) -> bytes:
    """Build a question, with an OPT record announcing ``edns`` bytes if given."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    options = b"" if edns is None else b"\0" + struct.pack("!HHIH", 41, edns, 0, 0)
    head = _ASK.pack(7, flags, 1, 0, 0, 1 if options else 0)
    return head + labels + b"\0" + struct.pack("!HH", qtype, 1) + options


def parse(reply: bytes) -> Any:
    """Read an answer with someone else's parser, whose fields no type checker sees."""
    return dpkt.dns.DNS(reply)


def answer(message: bytes, *, tcp: bool = False) -> Any:
    """Return the answer that the zone above gives."""
    reply = respond(message, ZONE, tcp=tcp)
    assert reply is not None
    return parse(reply)


@pytest.mark.parametrize(
    ("name", "qtype", "rcode", "types"),
    [
        ("pool.example", A, NOERROR, [A]),
        ("pool.example", AAAA, NOERROR, [AAAA]),
        ("pool.example", ANY, NOERROR, [A, AAAA]),
        ("pool.example", 65, NOERROR, []),
        ("PoOl.ExAmPlE", A, NOERROR, [A]),
        ("alias.example", A, NOERROR, [CNAME, A]),
        ("dangling.example", A, NXDOMAIN, [CNAME]),
        ("loop.example", A, NXDOMAIN, [CNAME] * 8),
        ("other.example", A, NXDOMAIN, []),
        ("example", A, NXDOMAIN, []),
    ],
)
def test_questions_get_their_answers(name: str, qtype: int, rcode: int, types: list[int]) -> None:
    """A question is answered from the zone: its records, its alias, nothing, or NXDOMAIN."""
    reply = answer(query(name, qtype))
    assert (reply.id, reply.rcode) == (7, rcode)
    assert [record.type for record in reply.an] == types


def test_the_question_comes_back_as_it_was_asked() -> None:
    """Letter case is echoed, since resolvers use it to recognise their answer."""
    assert answer(query("PoOl.ExAmPlE")).qd[0].name == "PoOl.ExAmPlE"


def test_an_answer_too_long_for_udp_is_truncated() -> None:
    """Over UDP a long answer is cut to its question with TC set; over TCP it comes whole."""
    cut = answer(query("many.example"))
    assert (cut.tc, len(cut.an)) == (1, 0)
    whole = answer(query("many.example"), tcp=True)
    assert (whole.tc, len(whole.an)) == (0, 100)


def test_edns_raises_the_limit_to_ours() -> None:
    """A client that announces room gets up to 1232 bytes, and an OPT record back."""
    twenty = {"x.example": tuple(f"203.0.113.{n}" for n in range(1, 31))}
    reply = respond(query("x.example", edns=4096), twenty, tcp=False)
    assert reply is not None
    assert 512 < len(reply) <= 1232
    assert parse(reply).ar[0].type == 41
    assert answer(query("many.example", edns=65535)).tc == 1


def test_the_longest_answer_fits_in_a_message() -> None:
    """As many addresses as a name may have are fewer bytes than a TCP message holds."""
    reply = respond(query("most.example", AAAA), ZONE, tcp=True)
    assert reply is not None
    assert len(reply) <= 65535


@pytest.mark.parametrize(
    ("message", "rcode"),
    [
        (query("pool.example")[:-1], FORMERR),
        (_ASK.pack(7, 0x0100, 0, 0, 0, 0), FORMERR),
        (_ASK.pack(7, 0x0100, 2, 0, 0, 0) + query("pool.example")[12:] * 2, FORMERR),
        (_ASK.pack(7, 0x0100, 1, 0, 0, 0) + b"\xc0\x0c\x00\x01\x00\x01", FORMERR),
        (_ASK.pack(7, 0x0100, 1, 0, 0, 0) + b"\x3fabc", FORMERR),
        (query("pool.example", flags=0x2800), NOTIMP),
    ],
)
def test_malformed_questions_are_refused(message: bytes, rcode: int) -> None:
    """A query that cannot be read, or asks for another operation, is told so."""
    assert answer(message).rcode == rcode


@pytest.mark.parametrize("message", [b"", b"\0" * 11, query("pool.example", flags=0x8180)])
def test_what_is_no_query_gets_no_answer(message: bytes) -> None:
    """Scraps and responses are not answered, so two servers cannot talk in circles."""
    assert respond(message, ZONE, tcp=False) is None


@given(st.binary(max_size=600), st.booleans())
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_survived(data: bytes, tcp: bool) -> None:
    """Whatever is asked, the server answers something bounded, or nothing."""
    for message in (data, query("pool.example")[:12] + data, query("pool.example") + data):
        reply = respond(message, ZONE, tcp=tcp)
        assert reply is None or len(reply) <= (65535 if tcp else 1232)


def test_a_changed_zone_file_is_read_again(tmp_path: Path) -> None:
    """A name added to the file is there at the next look."""
    path = tmp_path / "zone.json"
    path.write_text(json.dumps({"A.example.": ["203.0.113.10"]}))
    zone = ZoneFile(path)
    assert zone.current() == {"a.example": ("203.0.113.10",)}
    path.write_text(json.dumps({"b.example": ["203.0.113.11"]}))
    os.utime(path, ns=(1, 1))
    assert zone.current() == {"b.example": ("203.0.113.11",)}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"x": []}',
        '{"x": "y"}',
        '{"x": ["203.0.113.1", "y"]}',
        f'{{"x": ["{"a" * 64}"]}}',
    ],
)
def test_a_broken_zone_file_changes_nothing(tmp_path: Path, text: str) -> None:
    """A zone that cannot be answered from leaves the last good one in force."""
    path = tmp_path / "zone.json"
    path.write_text(json.dumps({"a.example": ["203.0.113.10"]}))
    zone = ZoneFile(path)
    good = zone.current()
    path.write_text(text)
    os.utime(path, ns=(1, 1))
    assert zone.current() == good


_OVER_TCP = """
import socket, struct, sys
message = bytes.fromhex(sys.argv[1])
framed = struct.pack("!H", len(message)) + message
with socket.create_connection((sys.argv[2], 53), timeout=5) as sock:
    for part in [framed[:1], framed[1:9], framed[9:] + framed]:
        sock.sendall(part)
    reader = sock.makefile("rb")
    for _ in range(2):
        print(reader.read(int.from_bytes(reader.read(2))).hex())
"""


@pytest.mark.lab
def test_the_server_speaks_tcp(lab: Lab) -> None:
    """Over TCP, split and pipelined queries are each answered, from a sandbox and over IPv6."""
    message = query("pool.example", AAAA)
    run = lab.run(
        "sandbox-1",
        [sys.executable, "-I", "-S", "-c", _OVER_TCP, message.hex(), "2001:db8::53"],
        capture_output=True,
        text=True,
    )
    replies = [parse(bytes.fromhex(line)) for line in run.stdout.split()]
    assert [len(reply.an) for reply in replies] == [1, 1], run.stderr


@pytest.mark.lab
def test_a_resolver_falls_back_to_tcp(lab: Lab) -> None:
    """A real resolver gets an answer that no datagram holds."""
    lab.add_name("many.example", *ZONE["many.example"])
    run = lab.run(
        "sandbox-2", ["getent", "ahostsv4", "many.example"], capture_output=True, text=True
    )
    assert len({line.split()[0] for line in run.stdout.splitlines()}) == 100, run.stderr
