"""First bytes to protocols."""

import pytest
from tests.streams import GET, LOGIN, SSH_CLIENT, client_hello, dns_alias, dns_query, over_tcp

from davylamp.inspection.identify import Opening, identify

CASES = [
    ("TLS", client_hello("pypi.org"), Opening.TLS_CLIENT, 2),
    ("SSH", SSH_CLIENT, Opening.SSH, 4),
    ("GET", GET, Opening.HTTP_REQUEST, 4),
    ("POST, not PUT or PATCH", b"POST / HTTP/1.1\r\n", Opening.HTTP_REQUEST, 5),
    ("HTTP/2's preface", b"PRI * HTTP/2.0\r\n", Opening.HTTP_REQUEST, 4),
    ("a response", b"HTTP/1.1 200 OK\r\n", Opening.HTTP_RESPONSE, 5),
    ("a DNS question", over_tcp(dns_query("pypi.org")), Opening.DNS, 14),
    ("a DNS answer", over_tcp(dns_alias("a.example", "b.example")), Opening.DNS, 14),
    ("a command of Redis", b"*12\r\n$3\r\nSET\r\n", Opening.REDIS, 6),
    ("a greeting of NATS", b'INFO {"server_id":"A"}\r\n', Opening.NATS, 6),
    ("CONNECT, whoever says it", b"CONNECT {}\r\n", Opening.HTTP_REQUEST, 8),
    ("a job for beanstalkd, not PUT", b"put 1 0 60 2\r\n", Opening.BEANSTALKD, 4),
    ("a worker of beanstalkd", b"reserve-with-timeout 5\r\n", Opening.BEANSTALKD, 7),
    ("MQTT", b"\x10\x14\0\4MQTT\4", Opening.MQTT, 6),
    ("MQTT with a long CONNECT", b"\x10\x94\1\0\4MQTT\4", Opening.MQTT, 7),
    ("an asterisk", b"*1 is a footnote\r\n", Opening.OTHER, 3),
    ("a list in Markdown", b"* one\r\n", Opening.OTHER, 2),
    ("too many digits", b"*12345\r\n$1\r\n", Opening.OTHER, 6),
    ("a peer, not MQTT", b"\x10\2\3\4version\0\0\0\0\0", Opening.PEER, 16),
    ("JSON", LOGIN, Opening.OTHER, 1),
    ("a word that begins like a method", b"GETAWAY", Opening.OTHER, 4),
]


@pytest.mark.parametrize(
    ("stream", "opening", "needed"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_protocol_is_told_by_as_few_bytes_as_it_takes(
    stream: bytes, opening: Opening, needed: int
) -> None:
    """More bytes never change the answer, and one byte less gives none."""
    for size in range(1, len(stream) + 1):
        assert identify(stream[:size]) is (opening if size >= needed else None), size


def test_what_may_be_a_binary_dialect_is_left_to_its_readers() -> None:
    """A zero in front is read as one until that is ruled out; DNS is tried before."""
    ssl_request = bytes.fromhex("0000000804d2162f")  # PostgreSQL's, which is as short as a header
    assert identify(ssl_request) is Opening.BINARY
    assert identify(b"\x00\x40" + b"\xff" * 8) is Opening.BINARY
    assert identify(b"\x00\x40" + b"\xff" * 62) is Opening.OTHER
