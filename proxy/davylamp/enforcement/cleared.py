"""The rules for flows that were cleared: what comes back, by a packet's first bytes. Pure text.

``cleared`` is met by each packet of a cleared flow, and is the reason why bulk is cheap: most of it
leaves by the first rule. ``beginning`` has what may start a request queued again; what only looks
like it goes to ``carrying``. ``trusted`` takes their place where no byte can begin a request.
"""

from collections.abc import Iterator
from itertools import pairwise

from davylamp.enforcement.phrases import over, payload
from davylamp.enforcement.spec import Features, RulesetSpec
from davylamp.inspection.wire.http_head import FOLLOWED, SWITCHED

_BLANK = b" \t\r\n/"
_FOLLOWERS = {ord("{"): _BLANK + b'"}', ord("["): _BLANK + b'{["]', 0xEF: b"\xbb"} | dict.fromkeys(
    b" \t\r\n", _BLANK + b"{["
)
"""The bytes that a JSON request of objects starts with, white space before it included, and what
may come second (RFC 8259 section 2; a slash begins a comment, which lenient parsers allow; an empty
value or a byte-order mark, which some pass over, may stand before).

Of random bulk one packet in 43 starts with the first alone, one in 1,500 with both."""
_TEXT = "{ 0x09, 0x0a, 0x0d, 0x20-0xbf, 0xc2-0xf4 }"
_LEADS, _FOLLOWS = "0xc2-0xf4", "0x80-0xbf"
_TEXT_BYTES = range(2, 8)
"""JSON is UTF-8 without control characters (RFC 8259 sections 7 and 8.1; RFC 3629 section 4): which
bytes there are, which begin a character of several bytes and which go on with one, and which bytes
of a packet are looked at. One packet in 20,000 of random bulk is left. Each that is recalled has
the whole flow wait for a verdict: forty a second cost a bulk flow four parts in a hundred."""

_WORDS = (*FOLLOWED, SWITCHED)
"""HTTP that something else follows. The upgrade that a 101 answers is a GET, which says so too far
behind its first bytes."""

_BULK_SIZED = 512
"""Bytes from which on a packet is taken for bulk. What a mining client says that begins like no
request (framed, masked or binary) is under 300 bytes; larger messages are JSON, and begin like one.

It was 1,200, which made one packet in five of an upload a small one: each write that is cut into
segments leaves a short last one, and each of those met every lookup there is."""
_ONE_IN = 16
"""Of bulk one packet in so many, at random, is looked at to the end."""


def cleared(features: Features) -> Iterator[str]:
    """Yield the rules that part packets by their first byte."""
    if not features.inner_header:
        yield "goto carrying"
    elif not features.flow_limits:
        yield payload(features, "goto carrying")
    else:
        first = sorted({*_FOLLOWERS, *(word[0] for word in _WORDS)})
        if features.random:
            # Bulk leaves by one rule. What follows would cost it more than all before, and one
            # packet in sixteen will do: to end a flow whose endpoint is now blocked, and to be its
            # sample.
            others = ", ".join(f"{byte:#04x}" for byte in first)
            bulk = f"meta length >= {_BULK_SIZED} @ih,0,8 != {{ {others} }}"
            yield f"{bulk} numgen random mod {_ONE_IN} != 0 accept"
        # One lookup parts the three kinds: no first byte, one of a request's, any other.
        chains = ("beginning" if byte in first else "look" for byte in range(256))
        verdicts = (f"{byte:#04x} : goto {chain}" for byte, chain in enumerate(chains))
        yield f"@ih,0,8 vmap {{ {', '.join(verdicts)} }}"


def trusted(features: Features) -> Iterator[str]:
    """Yield the rules for TLS to a trusted server: its bytes are looked at by nobody.

    One packet in sixteen goes on, so that a block ends the flow and the sample counts it.
    """
    if features.random:
        yield f"numgen random mod {_ONE_IN} != 0 accept"
    yield payload(features, "goto look")


def beginning(spec: RulesetSpec) -> Iterator[str]:
    """Yield the rules that queue what may start a request, so many a second for each flow."""
    # A packet too short for a comparison does not match it, and goes on to be queued.
    pairs = (bytes((first, second)) for first, after in _FOLLOWERS.items() for second in after)
    twos = [word[:2] for word in _WORDS]
    plausible = ", ".join(f"0x{pair.hex()}" for pair in (*pairs, *twos))
    yield f"@ih,0,16 != {{ {plausible} }} goto carrying"
    for two, word in zip(twos, _WORDS, strict=True):
        yield f"@ih,0,16 0x{two.hex()} @ih,0,{8 * len(word)} != 0x{word.hex()} goto carrying"
    for byte in _TEXT_BYTES:
        yield f"@ih,{8 * byte},8 != {_TEXT} goto carrying"
    for this, after in pairwise(f"@ih,{8 * byte},8" for byte in (1, *_TEXT_BYTES)):
        yield f"{this} {_LEADS} {after} != {_FOLLOWS} goto carrying"
        yield f"{this} < 0x80 {after} {_FOLLOWS} goto carrying"
    yield f"{over('triggered_flows', spec.triggers)} goto carrying"
    yield "counter name triggered"
    yield "goto recall"


def carrying(features: Features) -> Iterator[str]:
    """Yield the rules that let bulk pass, but for one packet in so many."""
    if features.random:
        # Bulk that has a request's first byte by chance.
        yield f"meta length >= {_BULK_SIZED} numgen random mod {_ONE_IN} != 0 accept"
    yield "goto look"
