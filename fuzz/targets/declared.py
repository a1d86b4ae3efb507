"""Values of declared length: framing and verdicts are alike in any split, and lines hide nothing.

A record's control byte says who speaks and, over 1, which protocol's framing reads its payload too.
"""

from functools import partial

from fuzz.pieces import same
from fuzz.records import join, split

from davylamp import paths
from davylamp.flow import Direction
from davylamp.inspection.declared.beanstalkd import BEANSTALKD
from davylamp.inspection.declared.elements import MAX_HEAD, Elements, ReadHead
from davylamp.inspection.declared.mqtt import MQTT
from davylamp.inspection.declared.nats import NATS
from davylamp.inspection.declared.resp import RESP
from davylamp.inspection.inspector import Inspector
from davylamp.signatures.disk import load_directory

PACK = load_directory(paths.SIGNATURES / "core")
MAX_HELD = 1 << 20
READERS = tuple(
    reader for one in (RESP, NATS, BEANSTALKD, MQTT) for reader in (one.client, one.server)
)

LINE = b'{"id":1,"method":"mining.subscribe","params":["cgminer/4.9","ab"]}'
CONNECT = b"\x10\x0f\0\4MQTT\4\2\0\x3c\0\3rig"
INFO = b'INFO {"server_id":"A"}\r\n'
C, S = 0, 1

SEEDS = (
    join((C, b"*2\r\n$4\r\nECHO\r\n$66\r\n" + LINE + b"\r\n"), (S, b"$66\r\n" + LINE + b"\r\n")),
    join((C, b"*1\r\n$5000\r\n" + LINE + b"\n"), (S, b'{"id":1,"result":true}\n'), (C, LINE)),
    join((C, b"*1\r\n$4\r\nPING\r\n"), (S, b"+PONG\r\n"), (S, LINE + b"\n"), (C, LINE + b"\n")),
    join((S, INFO), (C, b"CONNECT {}\r\nPUB a 66\r\n" + LINE + b"\r\n"), (S, b"MSG a 1 0\r\n\r\n")),
    join((C, b"put 1 0 60 66\r\n" + LINE + b"\r\n"), (S, b"INSERTED 8\r\n"), (C, b"reserve\r\n")),
    join((C, b"use a\r\n"), (S, b"USING a\r\n"), (S, b"RESERVED 8 66\r\n" + LINE + b"\r\n")),
    join((C, CONNECT + b"\x30\x46\0\1t\n" + LINE), (S, b"\x20\2\0\0\x30\x46\0\1t\n" + LINE)),
    *(
        join((2 + n, payload))
        for n, payload in enumerate(
            (
                b"*1\r\n$4\r\nPING\r\n",
                b"%1\r\n+a\r\n#t\r\n*-1\r\n-ERR\r\n=5\r\ntxt:a\r\n",
                b"CONNECT {}\r\nHPUB a r 2 4\r\nabcd\r\nSUB a 1\r\n",
                INFO + b"HMSG a 1 r 2 4\r\nabcd\r\nPING\r\n",
                b"release 1 2 3\r\nput 1 2 3 4\r\nabcd\r\npeek-ready\r\n",
                b"OK 2\r\n--\r\nFOUND 8 1\r\na\r\nTIMED_OUT\r\n",
                CONNECT + b"\x82\6\0\1\0\1#\1\xc0\0",
                b"\x20\2\0\0\x90\3\0\1\1\x32\xc8\1" + bytes(200),
            )
        )
    ),
)


def fuzz_one(data: bytes) -> None:
    """Feed the records to two inspectors in different pieces, and payloads to each framing."""
    whole, by_byte = Inspector(PACK), Inspector(PACK)
    for control, payload in split(data):
        if control > 1:
            same(payload, partial(follow, READERS[(control - 2) % len(READERS)]))
            continue
        direction = Direction.RESPONDER if control else Direction.ORIGINATOR
        found = whole.receive(direction, payload, 0.0)
        by_bytes = [
            one
            for at in range(len(payload))
            for one in by_byte.receive(direction, payload[at : at + 1], 0.0)
        ]
        told = [(one.signature.id, one.direction, one.offset, one.end) for one in found]
        again = [(one.signature.id, one.direction, one.offset, one.end) for one in by_bytes]
        assert told == again, f"whole {told}, byte by byte {again}"
        assert max(whole.held, by_byte.held) <= MAX_HELD, f"{whole.held} bytes are held"


def follow(read: ReadHead, chunks: list[bytes]) -> object:
    """Return from where a direction's framing breaks, and whether it was proved before."""
    elements = Elements(read)
    for at, chunk in enumerate(chunks):
        rest = elements.feed(chunk)
        assert elements.held < MAX_HEAD
        if rest is not None:
            return rest + b"".join(chunks[at + 1 :]), elements.proven
    return None, elements.proven
