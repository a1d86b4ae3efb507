"""A server's first flight: the same certificate in any split, bounded memory, and no exception."""

from fuzz.pieces import same

from davylamp.flow import Direction
from davylamp.inspection.inspector import Inspector
from davylamp.inspection.wire.certificate import MAX_FLIGHT, CertificateReader
from davylamp.proving.ordinary import client_hello
from davylamp.proving.scaffold import Form, scaffold
from davylamp.signatures.certificates import from_pem, read_certificate
from davylamp.signatures.pack import load

FILES = scaffold("toy-cert", "toy", Form.CERTIFICATE)
PACK = load(
    {"pack.yaml": b"name: toy\nversion: 2026.1.1\nformat: 1\n"}
    | {name: text.encode() for name, text in FILES.items()}
)
DER = from_pem(FILES["vectors/toy/toy-cert.yaml"])


def _listed(der: bytes) -> bytes:
    return len(der).to_bytes(3, "big") + der


def _message(kind: int, body: bytes) -> bytes:
    return bytes((kind,)) + _listed(body)


def _records(said: bytes, size: int) -> bytes:
    pieces = [said[at : at + size] for at in range(0, len(said), size)]
    return b"".join(b"\x16\x03\x03" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


FLIGHT = _message(2, bytes(70)) + _message(11, _listed(_listed(DER) + _listed(DER[:40])))

SEEDS = (
    _records(FLIGHT + _message(14, b""), 1 << 14),
    _records(FLIGHT, 50),
    _records(_message(2, bytes(70)), 100) + b"\x14\x03\x03\x00\x01\x01",
    b"\x16\x03\x03\x00\x00" * 40 + _records(FLIGHT, 7),
    DER,
)


def fuzz_one(data: bytes) -> None:
    """Read the input as a flight, in a flow, and as a certificate itself."""

    def read(chunks: list[bytes]) -> object:
        reader = CertificateReader()
        inspector = Inspector(PACK)
        inspector.receive(Direction.ORIGINATOR, client_hello("toy.example"), 0.0)
        found: set[tuple[str, int]] = set()
        for chunk in chunks:
            reader.feed(chunk)
            assert reader.held <= MAX_FLIGHT
            told = inspector.receive(Direction.RESPONDER, chunk, 0.0)
            found |= {(one.signature.id, one.end) for one in told}
        return reader.result, reader.end, found

    same(data, read)
    read_certificate(data)
