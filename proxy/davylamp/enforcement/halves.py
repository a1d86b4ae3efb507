"""Rules that count TCP connections of which only one half comes by here. Pure text.

Where answers take another road, conntrack sees a half: to it what follows a SYN that nobody
answered is invalid, and so is an answer to a SYN that nobody sent. Invalid packets are of no
connection, so the connections that began are kept by their addresses and ports, from the SYN to the
SYN-ACK:

    handshake   a SYN is kept; the SYN-ACK of one that is kept was seen too, and is counted
    strays      an invalid ACK of one that is kept: its answer went elsewhere; an invalid SYN-ACK of
                one that is not: its question did

A scan, or a host that is down, sends or draws no more than SYNs and resets, and a flow that was
under way before the rules has no SYN here: neither is counted. A full set counts fewer.
"""

from collections.abc import Iterator

from davylamp.enforcement.phrases import FAMILIES
from davylamp.enforcement.spec import Features

BOTH, ORIGINATOR, RESPONDER = "joined", "unanswered", "unasked"
COUNTERS = (BOTH, ORIGINATOR, RESPONDER)
"""Connections whose both halves were seen, only the originator's, only the responder's."""

_BEGUN_LIFE = "30s"
_UNASKED_LIFE = "120s"
"""Longer than the longest pause between repetitions of a SYN-ACK, so that each counts once."""


def countable(features: Features) -> bool:
    """Tell whether this kernel can do it."""
    return features.inner_header and features.flow_limits


def sets(size: str) -> Iterator[str]:
    """Yield the sets; ``size`` is their bound, as nft writes it."""
    for version, _, address in FAMILIES:
        key = f"type {address} . {address} . inet_service . inet_service"
        for name, life in (("begun", _BEGUN_LIFE), ("unasked", _UNASKED_LIFE)):
            flags = f"flags dynamic,timeout; timeout {life};"
            yield f"  set {name}{version} {{ {key}; {flags} {size} }}\n"


def handshake() -> Iterator[str]:
    """Yield the rules for packets with SYN that are valid."""
    for version, ip, _ in FAMILIES:
        there, back = _there(ip), _back(ip)
        begun = f"@begun{version}"
        yield f"tcp flags & ack == 0 update {begun} {{ {there} }} return"
        yield f"{back} {begun} counter name {BOTH} delete {begun} {{ {back} }} return"


def strays() -> Iterator[str]:
    """Yield the rules for packets that conntrack calls invalid."""
    for version, ip, _ in FAMILIES:
        there, back = _there(ip), _back(ip)
        begun, unasked = f"@begun{version}", f"@unasked{version}"
        yield (
            f"tcp flags & (syn | rst | ack) == ack {there} {begun} "
            f"counter name {ORIGINATOR} delete {begun} {{ {there} }}"
        )
        yield (
            f"tcp flags & (syn | rst | ack) == syn | ack {back} != {begun} {there} != {unasked} "
            f"add {unasked} {{ {there} }} counter name {RESPONDER}"
        )


def _there(ip: str) -> str:
    return f"{ip} saddr . {ip} daddr . tcp sport . tcp dport"


def _back(ip: str) -> str:
    return f"{ip} daddr . {ip} saddr . tcp dport . tcp sport"
