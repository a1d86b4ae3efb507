"""Each protocol's two directions as tables, whole, byte by byte and cut in two everywhere."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.inspection.declared.beanstalkd import BEANSTALKD
from davylamp.inspection.declared.elements import MAX_HEAD, Elements, Protocol
from davylamp.inspection.declared.mqtt import MQTT
from davylamp.inspection.declared.nats import NATS
from davylamp.inspection.declared.resp import RESP

PROTOCOLS = (RESP, NATS, BEANSTALKD, MQTT)
JSON = b'{"id":1,"method":"mining.subscribe","params":[]}\n'
INFO = b'INFO {"server_id":"A","version":"2.9.10","max_payload":1048576}\r\n'
CONNECT = b'CONNECT {"echo": true, "lang": "python3"}\r\n'
HELLO, HELLO_5 = b"\x10\x0f\0\4MQTT\4\2\0\x3c\0\3rig", b"\x10\x10\0\4MQTT\5\2\0\x3c\0\0\3rig"
HELLO_3 = b"\x10\x11\0\6MQIsdp\3\2\0\x3c\0\3rig"

# name, protocol, whether a client speaks, what keeps to the protocol, whether that proves it, and
# what breaks it from its first byte on ("" where nothing does)
CASES: list[tuple[str, Protocol, bool, bytes, bool, bytes]] = [
    ("a command", RESP, True, b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", True, b""),
    ("two in one", RESP, True, b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n", True, b""),
    ("an empty value", RESP, True, b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", True, b""),
    ("a value with line ends", RESP, True, b"*1\r\n$6\r\n\r\n\r\n\r\n\r\n", True, b""),
    ("an unfinished value", RESP, True, b"*1\r\n$5000\r\n" + JSON, False, b""),
    ("a value behind which nothing stands", RESP, True, b"*1\r\n$4\r\nPING", False, b"PONG"),
    ("half an end", RESP, True, b"*1\r\n$4\r\nPING", False, b"\rx"),
    ("no carriage return", RESP, True, b"", False, b"*1\n$4\nPING\n"),
    ("a word for a length", RESP, True, b"*1\r\n", False, b"$abc"),
    ("a length without an end", RESP, True, b"*1\r\n", False, b"$" + b"1" * 15),
    ("more than 512 MB", RESP, True, b"*1\r\n", False, b"$536870913\r\n"),
    ("null in a command", RESP, True, b"*1\r\n", False, b"$-1\r\n"),
    ("a typed command", RESP, True, b"*1\r\n$4\r\nPING\r\n", True, b"SET k v\r\n"),
    ("an answer of a client", RESP, True, b"", False, b"+OK\r\n"),
    ("an error", RESP, False, b"-ERR unknown subcommand\r\n", True, b""),
    ("half an error", RESP, False, b"-ERR {", False, b""),
    ("a number, null, a value", RESP, False, b":1\r\n$-1\r\n*-1\r\n$3\r\nabc\r\n", True, b""),
    ("RESP3", RESP, False, b"%1\r\n+a\r\n#t\r\n>2\r\n_\r\n,1.5\r\n=5\r\ntxt:a\r\n", True, b""),
    ("a server's JSON", RESP, False, b"", False, JSON),
    ("JSON behind an answer", RESP, False, b"+OK\r\n", True, JSON),
    ("RESP without its array", RESP, True, b"$4\r\nPING\r\n", True, b""),
    ("a greeting", NATS, False, INFO, True, b""),
    ("a message", NATS, False, INFO + b"MSG a.b 1 4\r\nabcd\r\nPING\r\n", True, b""),
    ("with a reply's subject", NATS, False, b"MSG a 1 _INBOX.x 2\r\n{}\r\n", False, b""),
    ("with headers", NATS, False, b"HMSG a 1 12 16\r\nNATS/1.0\r\n\r\nabcd\r\n", False, b""),
    ("a message without its number", NATS, False, INFO, True, b"MSG a.b 4\r\nabcd\r\n"),
    ("an unknown word", NATS, False, INFO, True, b"PINGS\r\n"),
    ("a pool's JSON", NATS, False, b"", False, JSON),
    ("a greeting without JSON", NATS, False, b"INFO all is well\r\n", False, b""),
    ("a client", NATS, True, CONNECT + b"PING\r\nSUB a  1\r\nPUB a  2\r\n{}\r\n", True, b""),
    ("a client with headers", NATS, True, b"HPUB a r 12 16\r\n" + b"x" * 16 + b"\r\n", False, b""),
    ("too long a payload", NATS, True, CONNECT, True, b"PUB a 67108865\r\n"),
    ("no length", NATS, True, CONNECT, True, b"PUB a -2\r\n"),
    ("a payload of more", NATS, True, CONNECT + b"PUB a 2\r\n{}", True, JSON),
    ("a job", BEANSTALKD, True, b"use t\r\nput 1 0 60 2\r\n{}\r\nreserve\r\n", True, b""),
    ("other commands", BEANSTALKD, True, b"delete 8\r\nkick-job 9\r\nlist-tubes\r\n", True, b""),
    ("a put without its length", BEANSTALKD, True, b"", False, b"put 1 0 60\r\n"),
    ("a sentence", BEANSTALKD, True, b"", False, b"use the force\r\n"),
    ("a huge job", BEANSTALKD, True, b"", False, b"put 1 0 60 1073741825\r\n"),
    ("a miner's JSON", BEANSTALKD, True, b"use t\r\n", True, JSON),
    ("answers", BEANSTALKD, False, b"USING t\r\nINSERTED 8\r\nWATCHING 2\r\n", True, b""),
    ("a job reserved", BEANSTALKD, False, b"RESERVED 8 2\r\n{}\r\nDELETED\r\n", True, b""),
    ("statistics", BEANSTALKD, False, b"OK 3\r\n---\r\n", True, b""),
    ("what is not understood", BEANSTALKD, False, b"UNKNOWN_COMMAND\r\n", False, b""),
    ("an OK of another kind", BEANSTALKD, False, b"", False, b"OK then\r\n"),
    ("MQTT 3.1.1", MQTT, True, HELLO + b"\x82\x06\0\1\0\1#\1\xc0\0", True, b""),
    ("MQTT 5", MQTT, True, HELLO_5 + b"\xe0\0", True, b""),
    ("MQTT 3.1", MQTT, True, HELLO_3, True, b""),
    ("a publication of 200 bytes", MQTT, True, HELLO + b"\x32\xc8\1" + b"x" * 200, True, b""),
    ("half a publication", MQTT, True, HELLO + b"\x30\xff\xff\xff\x7f" + JSON, True, b""),
    ("another protocol's name", MQTT, True, b"", False, b"\x10\x0f\0\4MQTX\4"),
    ("an unknown level", MQTT, True, b"", False, b"\x10\x0f\0\4MQTT\6"),
    ("a CONNECT that ends too early", MQTT, True, b"", False, b"\x10\7\0\4MQTT\4"),
    ("a length of five bytes", MQTT, True, HELLO, True, b"\x30\xff\xff\xff\xff\1"),
    ("flags that are reserved", MQTT, True, HELLO, True, b"\x80\2\0\1"),
    ("a publication of quality 3", MQTT, True, HELLO, True, b"\x36\2\0\1"),
    ("a client that accepts", MQTT, True, HELLO, True, b"\x20\2\0\0"),
    ("a miner's line", MQTT, True, HELLO, True, JSON),
    ("a CONNACK", MQTT, False, b"\x20\2\0\0\x90\3\0\1\1\x40\2\0\1", True, b""),
    ("a CONNACK of MQTT 5", MQTT, False, b'\x20\x09\0\0\x06"\0\x0a!\0\x14', True, b""),
    ("a CONNACK with other flags", MQTT, False, b"", False, b"\x20\2\x02\0"),
    ("a CONNACK without a reason", MQTT, False, b"", False, b"\x20\1\0"),
    ("a server's PINGREQ", MQTT, False, b"", False, b"\xc0\0"),
    ("an answer in JSON", MQTT, False, b"", False, JSON),
]


def ways(stream: bytes) -> list[list[bytes]]:
    """Cut a stream not at all, at every byte, and in two at every place."""
    halves = [[stream[:cut], stream[cut:]] for cut in range(1, len(stream))]
    return [[stream], [stream[n : n + 1] for n in range(len(stream))], *halves]


def follow(protocol: Protocol, pieces: list[bytes], *, client: bool) -> tuple[bytes, bool, bool]:
    """Return from where the framing broke, whether it did, and whether it was proved before."""
    elements = Elements(protocol.client if client else protocol.server)
    for at, piece in enumerate(pieces):
        rest = elements.feed(piece)
        assert elements.held < MAX_HEAD
        if rest is not None:
            return rest + b"".join(pieces[at + 1 :]), True, elements.proven
    return b"", False, elements.proven


@pytest.mark.parametrize(
    ("protocol", "client", "kept", "proven", "broken"),
    [case[1:] for case in CASES],
    ids=[f"{case[1].app_proto.value}: {case[0]}" for case in CASES],
)
def test_the_framing_breaks_where_it_does_and_no_cut_changes_it(
    protocol: Protocol, client: bool, kept: bytes, proven: bool, broken: bytes
) -> None:
    """What keeps to the protocol is passed over, the rest is handed back from its first byte on."""
    for pieces in ways(kept + broken):
        assert follow(protocol, pieces, client=client) == (broken, bool(broken), proven), pieces


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda one: one.app_proto.value)
@pytest.mark.parametrize("client", [True, False], ids=["client", "server"])
@pytest.mark.parametrize("first", [b"{", b"[", b" {", b"\n", b"\xef", b"e", b"\x16"])
def test_what_begins_like_a_message_breaks_with_its_first_byte(
    protocol: Protocol, client: bool, first: bytes
) -> None:
    """No head of any protocol begins as JSON does, so a pool has said nothing when it is told.

    A space is the type of MQTT's CONNACK, and a bracket may be its length; no flags are text.
    """
    if protocol is MQTT and first == b" {":
        first += b'"'
    assert follow(protocol, [first], client=client)[1]


@pytest.mark.parametrize(
    ("protocol", "client", "begun"),
    [
        (NATS, False, b"INFO {"),
        (NATS, True, b"CONNECT {"),
        (RESP, False, b"-ERR "),
        (BEANSTALKD, True, b"use "),
    ],
)
def test_a_head_without_an_end_is_given_up(protocol: Protocol, client: bool, begun: bytes) -> None:
    """What is held of an unfinished line is bounded, however it comes."""
    rest, broken, _ = follow(protocol, [begun] + [b"a" * 1000] * 20, client=client)
    assert broken
    assert rest.startswith(begun)
    assert follow(protocol, [begun + b"a" * 20_000], client=client)[1]


LIKELY = st.sampled_from(
    (
        *(b"\r\n", b"*2\r\n", b"$3\r\n", b"abc\r\n", b"+OK\r\n", b"{}\r\n", JSON),
        *(INFO, CONNECT, b"PUB a 2\r\n", b"MSG a 1 2\r\n"),
        *(b"use t\r\n", b"put 1 0 60 2\r\n", b"OK 2\r\n", b"RESERVED 8 2\r\n"),
        *(HELLO, b"\x20\2\0\0", b"\x30\2\0\0", b"\x90\x80\1"),
    )
)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(PROTOCOLS),
    st.booleans(),
    st.lists(LIKELY | st.binary(max_size=8), max_size=10).map(b"".join),
    st.data(),
)
def test_any_bytes_are_followed_alike_in_any_pieces(
    protocol: Protocol, client: bool, stream: bytes, data: st.DataObject
) -> None:
    """Nothing raises, and where it breaks and what it proves is in the bytes, not in their cuts."""
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6).map(sorted))
    pieces = [stream[a:b] for a, b in itertools.pairwise([0, *cuts, len(stream)])]
    assert follow(protocol, pieces, client=client) == follow(protocol, [stream], client=client)
