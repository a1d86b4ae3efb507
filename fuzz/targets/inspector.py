"""The Inspector: any bytes in any split give an answer, the same answer, in bounded memory."""

from fuzz.records import join, split

from davylamp import paths
from davylamp.flow import Direction
from davylamp.inspection.inspector import Inspector
from davylamp.signatures.disk import load_directory

PACK = load_directory(paths.SIGNATURES / "core")
MAX_HELD = 1 << 20

LOGIN = b'{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"%b","pass":"x","algo":[]}}\n'
JOB = b'{"jsonrpc":"2.0","method":"job","params":{"blob":"%b","job_id":"1","target":"b88d0600"}}\n'
HELLO = bytes.fromhex(
    "16030100400100003c0303"
    + "00" * 32
    + "00000213010100001100000013001100000e706f6f6c2e6578616d706c65"
)

SEEDS = (
    join((0, LOGIN % (b"4" * 95)), (1, JOB % (b"0f" * 76))),
    join((0, b'{"id":1,"method":"mining.subscribe","params":["cgminer/4.9","ab"]}\n')),
    join(
        (
            0,
            b'{"id":2,"method":"mining.submit","params":["w","j","00000000","5f000000","00000000"]}\n',
        )
    ),
    join(
        (
            0,
            b'POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\n{"method":"getwork"}',
        )
    ),
    join((0, b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n0\r\n\r\n")),
    join((0, HELLO), (1, bytes.fromhex("16030300020200"))),
    join((0, b"SSH-2.0-OpenSSH_9.2\r\n"), (1, b"SSH-2.0-dropbear\r\n")),
    join((0, b"\xff" * 64), (2, b""), (1, b"[" * 500)),
)


def fuzz_one(data: bytes) -> None:
    """Feed the records whole, then byte by byte, and compare what was found."""
    whole, by_byte = Inspector(PACK), Inspector(PACK)
    found, found_by_byte = set(), set()
    for control, payload in split(data):
        direction = Direction.RESPONDER if control & 1 else Direction.ORIGINATOR
        if control & 2:
            size = int.from_bytes(payload[:2], "big")
            whole.gap(direction, size)
            by_byte.gap(direction, size)
            continue
        found |= {f.signature.id for f in whole.receive(direction, payload, 0.0)}
        for at in range(len(payload)):
            findings = by_byte.receive(direction, payload[at : at + 1], 0.0)
            found_by_byte |= {f.signature.id for f in findings}
        assert whole.held <= MAX_HELD, f"{whole.held} bytes are held"
        assert by_byte.held <= MAX_HELD, f"{by_byte.held} bytes are held"
    assert found <= found_by_byte, f"missed byte by byte: {found - found_by_byte}"


def one_pass(data: bytes) -> None:
    """Feed the records once, as they are."""
    inspector = Inspector(PACK)
    for control, payload in split(data):
        inspector.receive(
            Direction.RESPONDER if control & 1 else Direction.ORIGINATOR, payload, 0.0
        )
