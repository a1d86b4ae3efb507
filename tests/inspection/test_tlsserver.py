"""Certificates that servers show: read from real handshakes, however they are cut, and bounded."""

import ssl
from hashlib import sha256

import pytest
from tests.handshakes import V12, V13, Stream, der_of, handshake

from davylamp.flow import Direction
from davylamp.inspection.inspector import DEPTH, Inspector
from davylamp.inspection.wire.certificate import MAX_FLIGHT, CertificateReader
from davylamp.lab.programs.certs import Leaf, self_signed
from davylamp.signatures.pack import Pack, load

C, S = Direction.ORIGINATOR, Direction.RESPONDER
NAMES = ["Pool.Example", "*.eu.pool.example", "192.0.2.7"]
SIGNATURE = (
    "{{id: {0}, rev: 1, title: t, category: pool, dialect: d, role: pool, confidence: 70,"
    " severity: 2, maturity: stable, detail: d, when: {1}}}"
)


@pytest.fixture(scope="module")
def leaf(tmp_path_factory: pytest.TempPathFactory) -> Leaf:
    """Give a certificate that vouches for itself."""
    return self_signed(tmp_path_factory.mktemp("leaf"), NAMES)


def pack_of(**conditions: str) -> Pack:
    """Return a pack of signatures by name, with what stands under ``when``."""
    files = {"pack.yaml": b"name: t\nversion: 2026.1.1\nformat: 1\n"}
    for name, when in conditions.items():
        files[f"x/{name}.yaml"] = SIGNATURE.format(name, when).encode()
    return load(files)


def told(pack: Pack, stream: Stream, cut: int = 1 << 20) -> list[tuple[str, Direction, int, int]]:
    """Return what is found in a stream cut into such pieces, and where."""
    inspector = Inspector(pack)
    return [
        (str(one.signature.id), one.direction, one.offset, one.end)
        for direction, data in stream
        for at in range(0, len(data), cut)
        for one in inspector.receive(direction, data[at : at + cut], 0.0)
    ]


def test_what_a_server_shows_in_the_clear_is_matched(leaf: Leaf) -> None:
    """By digest, name, issuer, with all that is asked; the evidence ends with the certificate."""
    der = der_of(leaf)
    pack = pack_of(
        a=f"{{certificate: {{sha256: {sha256(der).hexdigest()}, self_signed: true}}}}",
        b="{certificate: {name: '*.eu.pool.example'}}",
        c="{certificate: {name: 192.0.2.7, issuer: POOL.example}}",
        d="{certificate: {issuer: pool.example, self_signed: true}}",
        e="{certificate: {name: '*.pool.example', self_signed: false}}",
        f="{certificate: {name: example}}",
        g=f"{{certificate: {{sha256: {'0' * 64}}}}}",
    )
    stream = handshake(leaf, V12)
    end = stream[1][1].index(der) + len(der)
    expected = [(name, S, 0, end) for name in "abcd"]
    for cut in (1 << 20, 1, 7):
        assert sorted(told(pack, stream, cut)) == expected


@pytest.mark.parametrize(("version", "again"), [(V13, False), (V12, True)])
def test_what_is_not_shown_is_not_waited_for(
    leaf: Leaf, version: ssl.TLSVersion, *, again: bool
) -> None:
    """TLS 1.3 and a resumed session let the flow go with the server's first flight."""
    pack = pack_of(a="{certificate: {name: pool.example}}")
    inspector = Inspector(pack)
    hello, flight = handshake(leaf, version, again=again)[:2]
    assert inspector.receive(C, hello[1], 0.0) == ()
    assert not inspector.settled
    assert inspector.receive(S, flight[1], 0.0) == ()
    assert inspector.settled


def test_without_conditions_on_certificates_the_hello_settles(leaf: Leaf) -> None:
    """Nobody waits for what nobody asks about."""
    inspector = Inspector(pack_of(a="{tls: {sni: pool.example}}"))
    inspector.receive(C, handshake(leaf, V12)[0][1], 0.0)
    assert inspector.settled


def test_a_server_that_never_answers_is_given_up(leaf: Leaf) -> None:
    """Whatever the client goes on to say."""
    inspector = Inspector(pack_of(a="{certificate: {name: pool.example}}"))
    hello = handshake(leaf, V12)[0][1]
    inspector.receive(C, hello, 0.0)
    inspector.receive(C, b"\x17\x03\x03\x40\x00" + bytes(DEPTH), 0.0)
    assert inspector.settled


def test_a_combination_joins_hello_and_certificate(leaf: Leaf) -> None:
    """Both are of one flow, though either side says one."""
    pack = pack_of(
        a="{all_of: [{tls: {alpn: h2}}, {certificate: {name: pool.example}}]}",
        b="{all_of: [{tls: {alpn: h3}}, {certificate: {name: pool.example}}]}",
    )
    assert [one[0] for one in told(pack, handshake(leaf, V12))] == ["a"]


def test_json_behind_a_pretended_handshake_is_still_read(leaf: Leaf) -> None:
    """What is handed back is read as it would have been."""
    pack = pack_of(
        a="{certificate: {name: pool.example}}",
        b="{json: {from: server, method: job, members: {params: any}}}",
    )
    hello = handshake(leaf, V12)[0]
    stream = [hello, (S, b'\x16\x03\x03\x00\x02\x02\n{"method":"job","params":1}\n' + b" " * 4)]
    assert [one[0] for one in told(pack, stream)] == ["b"]


def test_a_flight_without_end_is_bounded() -> None:
    """Neither records nor messages nor a certificate may go on for ever."""
    record = b"\x16\x03\x03\x40\x00"
    for said in (
        record + b"\x02\x00\xff\xff" + bytes(1 << 20),
        record + b"\x0b\x00\xff\xff\x00\xff\xfc\x00\xff\xf9" + bytes(1 << 20),
        b"\x16\x03\x03\x00\x00" * (1 << 16),
    ):
        reader = CertificateReader()
        for at in range(0, len(said), 4096):
            reader.feed(said[at : at + 4096])
            assert reader.held <= MAX_FLIGHT
        assert reader.result == b""
