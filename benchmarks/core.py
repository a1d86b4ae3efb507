"""What one packet costs in the core: microseconds, ratio to slicing its headers, function calls.

    .venv/bin/python benchmarks/core.py            the table, as docs/performance.md has it
    .venv/bin/python benchmarks/core.py --profile "GET, one segment"

Every packet is the first of its own flow unless the case says otherwise, because the first packet
of a clean connection is the only one of it that user space sees. The lowest of several rounds is
given: on a shared machine the others measure the neighbours. The number of calls is the same in
every run on every machine, so that a change of some per cent can be seen at all.
"""

# ruff: noqa: INP001, T201 - a script, whose output is its purpose

import argparse
import cProfile
import gc
import pstats
import ssl
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from davylamp import paths
from davylamp.packet import slice_packet
from davylamp.pipeline import Pipeline, Vantage
from davylamp.policy import Policy
from davylamp.signatures.disk import load_directory
from davylamp.signatures.pack import Pack

_ROUNDS = 7
_PACKETS = 4000
_SANDBOX, _OUTSIDE = bytes((10, 88, 0, 5)), bytes((203, 0, 113, 9))

_GET = b"GET /simple/torch/ HTTP/1.1\r\nHost: pypi.org\r\nUser-Agent: pip/24\r\nAccept: */*\r\n\r\n"
_BROWSER = (
    b"GET /a/b?c=d HTTP/1.1\r\nHost: huggingface.co\r\nConnection: keep-alive\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    b"Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.5\r\n"
    b"Cookie: session=" + b"c" * 160 + b"\r\n\r\n"
)
_RPC = b'{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"search","q":"davy"}}\n'
_POST = (
    b"POST /rpc HTTP/1.1\r\nHost: api.internal\r\nContent-Type: application/json\r\n"
    b"Content-Length: " + str(len(_RPC)).encode() + b"\r\n\r\n" + _RPC
)
_LOGIN = (
    b'{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"4' + b"8" * 94 + b'",'
    b'"pass":"x","agent":"XMRig/6.21.0 (Linux x86_64)","algo":["rx/0","cn/r"]}}\n'
)
_QUERY = bytes.fromhex("1a2b01000001000000000000") + b"\x08download\x07pytorch\x03org\0\0\1\0\1"


@dataclass(frozen=True, slots=True)
class Case:
    """A payload to a port; ``same_flow`` puts every packet into one flow."""

    name: str
    payload: bytes
    port: int
    proto: int = 6
    same_flow: bool = False
    triggered: bool = False


def cases() -> tuple[Case, ...]:
    """Return what is measured, the cheapest and commonest first."""
    return (
        Case("GET, one segment", _GET, 80),
        Case("GET as a browser sends it", _BROWSER, 80),
        Case("TLS ClientHello", _client_hello(), 443),
        Case("POST of a JSON-RPC request", _POST, 80),
        Case("JSON-RPC line, new flow", _RPC, 9000),
        Case("JSON-RPC line, same flow", _RPC, 9000, same_flow=True),
        Case("JSON-RPC line, cleared flow", _RPC, 9000, triggered=True),
        Case("SSH identification", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", 22),
        Case("opaque bytes, new flow", bytes(range(256)) * 5, 5432),
        Case("DNS query", _QUERY, 53, proto=17),
        Case("mining login, blocked", _LOGIN, 3333),
    )


def packets(case: Case) -> list[bytes]:
    """Return the case's IPv4 packets."""
    made = []
    for number in range(_PACKETS):
        source, seq = (40_000, 1 + number * len(case.payload)) if case.same_flow else (number, 1)
        made.append(_packet(case, 1024 + source % 60_000, seq))
    return made


def _packet(case: Case, source: int, seq: int) -> bytes:
    if case.proto == 6:
        head = struct.pack(">HHIIBBHHH", source, case.port, seq, 1, 0x50, 0x18, 64_000, 0, 0)
    else:
        head = struct.pack(">HHHH", source, case.port, 8 + len(case.payload), 0)
    total = 20 + len(head) + len(case.payload)
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, total, 1, 0, 64, case.proto, 0, _SANDBOX, _OUTSIDE)
    return ip + head + case.payload


def _client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(
        incoming, outgoing, server_hostname="download.pytorch.org"
    )
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake cannot end without a server")


def judge(pack: Pack, case: Case) -> Callable[[list[bytes]], None]:
    """Return a loop over a fresh pipeline."""
    pipeline = Pipeline(pack, Policy(), vantage=Vantage.INLINE)

    def loop(ip_packets: list[bytes]) -> None:
        for ip in ip_packets:
            pipeline.packet(ip, 1.0, triggered=case.triggered)

    return loop


def slices(ip_packets: list[bytes]) -> None:
    """Slice headers and do no more: what everything is held against."""
    for ip in ip_packets:
        slice_packet(ip)


def lowest(make_loop: Callable[[], Callable[[list[bytes]], None]], made: list[bytes]) -> float:
    """Return microseconds per packet of the fastest round."""
    best = float("inf")
    for _ in range(_ROUNDS):
        loop = make_loop()
        gc.collect()
        began = time.perf_counter()
        loop(made)
        best = min(best, time.perf_counter() - began)
    return best * 1e6 / len(made)


def calls(loop: Callable[[list[bytes]], None], made: list[bytes]) -> float:
    """Return function calls per packet, those of built-in functions included."""
    profile = cProfile.Profile()
    profile.runcall(loop, made)
    total: int = sum(entry.callcount for entry in profile.getstats())
    return total / len(made)


def main() -> None:
    """Print the table, or the profile of one case."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--profile", metavar="CASE", help="profile one case instead")
    wanted = parser.parse_args().profile
    pack = load_directory(paths.SIGNATURES / "core")
    gc.freeze()
    if wanted:
        case = next(case for case in cases() if case.name == wanted)
        profile = cProfile.Profile()
        made, loop = packets(case), judge(pack, case)
        profile.runcall(loop, made)
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)
        return
    print(f"{'':34}{'us/packet':>10}{'slice':>8}{'ratio':>8}{'calls':>8}")
    for case in cases():
        made = packets(case)
        cost = lowest(partial(judge, pack, case), made)
        bare = lowest(lambda: slices, made)
        counted = calls(judge(pack, case), made)
        print(f"{case.name:34}{cost:10.1f}{bare:8.2f}{cost / bare:8.1f}{counted:8.0f}")


if __name__ == "__main__":
    main()
