"""Raw IP packets through defragmentation and the pipeline, inline and as a trace."""

import struct

from fuzz.records import join, split

from davylamp import paths
from davylamp.ipfrag import Defragmenter
from davylamp.pipeline import Pipeline, Vantage
from davylamp.policy import Mode, Policy
from davylamp.signatures.disk import load_directory

PACK = load_directory(paths.SIGNATURES / "core")
LINE = b'{"id":2,"method":"mining.submit","params":["w","j","00000000","5f000000","00000000"]}\n'


def v4(proto: int, upper: bytes, fragment: int = 0) -> bytes:
    """Return an IPv4 packet; the kernel has checked what we do not look at."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(upper), 7, fragment, 64, proto, 0)
    return head + bytes((10, 0, 0, 2, 203, 0, 113, 5)) + upper


def v6(next_header: int, upper: bytes) -> bytes:
    """Return an IPv6 packet."""
    return struct.pack("!IHBB", 6 << 28, len(upper), next_header, 64) + bytes(31) + b"\1" + upper


def tcp(seq: int, flags: int, payload: bytes = b"", options: bytes = b"") -> bytes:
    """Return a TCP segment."""
    offset = (5 + len(options) // 4) << 4
    head = struct.pack("!HHIIBBHHH", 40000, 443, seq, 1, offset, flags, 65535, 0, 0)
    return head + options + payload


DNS = bytes.fromhex("0001 8180 0001 0001 0000 0000") + (
    b"\x03xmr\x04pool\x07example\x00\x00\x01\x00\x01\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x01\x02\x03"
)

SEEDS = (
    join((0, v4(6, tcp(0, 2))), (0, v4(6, tcp(1, 24, LINE)))),
    join(
        (0, v4(6, tcp(1, 24, LINE[:40]))),
        (1, v4(6, tcp(60, 24, LINE[59:]))),
        (0, v4(6, tcp(41, 24, LINE[40:]))),
    ),
    join((0, v6(6, tcp(1, 24, LINE, b"\1\1\5\x0a" + bytes(8))))),
    join(
        (0, v6(44, b"\6\0\0\1\0\0\0\1" + tcp(1, 24, LINE)[:64])),
        (0, v6(44, b"\6\0\0\x40\0\0\0\1" + LINE)),
    ),
    join((0, v4(17, struct.pack("!HHHH", 53, 5353, 8 + len(DNS), 0) + DNS))),
    join((0, v4(6, tcp(1, 24, LINE)[:64], 0x2000)), (0, v4(6, tcp(1, 24, LINE)[64:], 8))),
    join((0, v6(0, b"\6\0" + bytes(6) + tcp(1, 25, LINE)))),
    # Found: a packet of an older connection on the same ports, the other way round, is not the
    # table's own flow.
    bytes.fromhex(
        "0000504500005000070000400600000a000002cb0071059c4001bb0000000100000001501affff00"
        "0000007b226964223a322c226d6574686f64223a226d696e696e672e7375626d6974222c22706172"
        "616d73010043450000430007000040067d000a000002cb0071059c4001bb0400003c000000015018"
        "ffff0000000030222c223566303030303030222c223030303030303030225d7d0a00005645000056"
        "00070000400600000a000002cb0071059c4001bb00000029000000015018ffff00000000223a5b22"
        "77222c226a222c223030303030303030222c22356630303030"
    ),
)


def fuzz_one(data: bytes) -> None:
    """Judge every record as a packet; nothing may raise, whatever it holds."""
    pipelines = [Pipeline(PACK, Policy(mode=Mode.ENFORCE), vantage=vantage) for vantage in Vantage]
    defragmenter = Defragmenter()
    now = 1_700_000_000.0
    for control, raw in split(data):
        now += control >> 1
        whole = defragmenter.packet(raw, now)
        for pipeline in pipelines:
            pipeline.packet(raw, now, triggered=bool(control & 1))
            if whole is not None and whole is not raw:
                pipeline.packet(whole, now)
    for pipeline in pipelines:
        pipeline.sweep(now + 100_000)
        pipeline.finish(now)


def one_pass(data: bytes) -> None:
    """Judge every record once, inline."""
    pipeline = Pipeline(PACK, Policy(mode=Mode.ENFORCE), vantage=Vantage.INLINE)
    for control, raw in split(data):
        pipeline.packet(raw, 1_700_000_000.0, triggered=bool(control & 1))
