"""What the addons keep between two hooks: streams, messages, bodies, connections; all bounded."""

import gzip
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mitmproxy.connection import Client
from mitmproxy.http import Headers, Request, Response
from mitmproxy.tcp import TCPMessage
from tests.addons.mitm import LOGIN

from davylamp.flow import Direction
from davylamp.flowtable import FlowLimits
from davylamp.inspection.framing import MAX_MESSAGE
from davylamp.inspection.wire.http import BodyData, MessageEnd, RequestReader
from davylamp.inspection.wire.http_head import RequestHead
from davylamp.paths import SIGNATURES
from davylamp.signatures.disk import load_directory
from davylamp.signatures.pack import Pack
from davylamp_mitm.assay import Assay
from davylamp_mitm.connections import Connections
from davylamp_mitm.exchange import Exchange
from davylamp_mitm.history import KEPT_BYTES, KEPT_MESSAGES, trim
from davylamp_mitm.httptext import chunk, request_head, response_head
from davylamp_mitm.strand import BULK, ByteStrand, MessageStrand

CLIENT, SERVER = Direction.ORIGINATOR, Direction.RESPONDER
_SOME = settings(max_examples=150, deadline=None)


@pytest.fixture(scope="module")
def pack() -> Pack:
    """Load the core pack once."""
    return load_directory(SIGNATURES / "core")


def client_of(number: int) -> Client:
    """Return a client's connection."""
    return Client(peername=("192.0.2.1", number), sockname=("192.0.2.2", 8080), timestamp_start=1.0)


class TestByteStrand:
    """One raw stream."""

    def test_late_login_is_found_behind_bulk(self, pack: Pack) -> None:
        """Bulk that is passed over hides nothing small that comes behind it."""
        strand = ByteStrand(Assay(pack))
        for _ in range(64):
            assert strand.receive(SERVER, b"\x01" * 65_536, 1.0) == ()
        [finding] = strand.receive(CLIENT, LOGIN + b"\n", 1.0)
        assert finding.signature.id == "cryptonote-login"

    @pytest.mark.parametrize("blank", [b" ", b"\x0b", b"\x0c"])
    def test_a_large_login_behind_a_blank_is_no_bulk(self, pack: Pack, blank: bytes) -> None:
        """A piece that begins as a message may is looked at, whatever its size."""
        strand = ByteStrand(Assay(pack))
        strand.receive(SERVER, b"\x01" * 65_536, 1.0)
        [finding] = strand.receive(CLIENT, blank * BULK + LOGIN + b"\n", 1.0)
        assert finding.signature.id == "cryptonote-login"

    def test_offsets_count_what_was_passed_over(self, pack: Pack) -> None:
        """Evidence stands where it stands in the stream."""
        strand = ByteStrand(Assay(pack))
        before = 0
        for _ in range(5):
            strand.receive(CLIENT, b"\x01" * 20_000 + b"\n", 1.0)
            before += 20_001
        [finding] = strand.receive(CLIENT, LOGIN, 1.0)
        assert (finding.offset, finding.end) == (before, before + len(LOGIN))

    def test_half_a_login_is_finished_by_bulk(self, pack: Pack) -> None:
        """While half a message is held everything is looked at, however large."""
        strand = ByteStrand(Assay(pack))
        strand.receive(SERVER, b"\x01\n" * 20_000, 1.0)
        strand.receive(CLIENT, LOGIN[:50], 1.0)
        found = strand.receive(CLIENT, LOGIN[50:] + b"\n" + b"\x01" * BULK, 1.0)
        assert [finding.signature.id for finding in found] == ["cryptonote-login"]

    @_SOME
    @given(pieces=st.lists(st.tuples(st.sampled_from([CLIENT, SERVER]), st.binary(max_size=3000))))
    def test_hostile_pieces_never_raise(
        self, pack: Pack, pieces: list[tuple[Direction, bytes]]
    ) -> None:
        """Any bytes in any order are taken."""
        strand = ByteStrand(Assay(pack))
        for direction, piece in pieces:
            strand.receive(direction, piece, 1.0)
        strand.give_up()
        assert strand.held == 0


class TestMessageStrand:
    """One WebSocket's messages."""

    @pytest.mark.parametrize("before", [b"", b"hello", b"{", b'{"a":"', b"[[[", b"\x16\x03", b"PO"])
    def test_no_message_hides_the_next(self, pack: Pack, before: bytes) -> None:
        """A login is found whatever the message before it left open."""
        strand = MessageStrand(Assay(pack))
        strand.receive(CLIENT, before, 1.0)
        found = strand.receive(CLIENT, LOGIN, 1.0)
        assert {finding.signature.id for finding in found} == {"cryptonote-login"}

    def test_login_over_two_messages(self, pack: Pack) -> None:
        """A byte stream that was cut into messages is read across them."""
        strand = MessageStrand(Assay(pack))
        assert strand.receive(CLIENT, LOGIN[:70], 1.0) == ()
        assert strand.receive(SERVER, b'{"id":1}', 1.0) == ()
        [finding] = strand.receive(CLIENT, LOGIN[70:], 1.0)
        assert finding.signature.id == "cryptonote-login"

    def test_memory_is_bounded(self, pack: Pack) -> None:
        """Messages that never close do not pile up."""
        strand = MessageStrand(Assay(pack))
        for _ in range(40):
            strand.receive(CLIENT, b'{"a":[' + b"1," * 8000, 1.0)
            strand.receive(SERVER, b"[" * 16_000, 1.0)
        assert strand.held <= 4 * MAX_MESSAGE


def exchange_of(pack: Pack, length: int | None) -> Exchange:
    """Begin a POST."""
    exchange = Exchange(Assay(pack))
    head = request_head(Request.make("POST", "http://x/json_rpc"), None)
    assert exchange.begin(CLIENT, head, length, 1.0) == ()
    return exchange


class TestBody:
    """A body that streams."""

    @_SOME
    @given(cuts=st.lists(st.integers(1, len(LOGIN) - 1), max_size=6, unique=True))
    def test_known_length_is_judged_with_its_last_byte(self, pack: Pack, cuts: list[int]) -> None:
        """However a login is cut, its last piece and no earlier one finds it."""
        body = exchange_of(pack, len(LOGIN)).bodies[CLIENT]
        edges = [0, *sorted(cuts), len(LOGIN)]
        *earlier, last = [LOGIN[a:b] for a, b in itertools.pairwise(edges)]
        assert all(body.receive(piece, 1.0).found == () for piece in earlier)
        assert [f.signature.id for f in body.receive(last, 1.0).found] == ["cryptonote-login"]

    @_SOME
    @given(cuts=st.lists(st.integers(1, len(LOGIN) - 1), max_size=6, unique=True))
    def test_unknown_length_is_doubted_then_certain(self, pack: Pack, cuts: list[int]) -> None:
        """The piece that completes a login is doubtful; the end makes it certain."""
        body = exchange_of(pack, None).bodies[CLIENT]
        edges = [0, *sorted(cuts), len(LOGIN)]
        steps = [body.receive(LOGIN[a:b], 1.0) for a, b in itertools.pairwise(edges)]
        assert all(not step.found for step in steps)
        assert [bool(step.doubtful) for step in steps] == [False] * (len(steps) - 1) + [True]
        assert [f.signature.id for f in body.end(1.0)] == ["cryptonote-login"]
        assert body.end(1.0) == ()

    def test_more_than_announced_is_an_error(self, pack: Pack) -> None:
        """A body that outgrows its length is no body that we have judged."""
        body = exchange_of(pack, 3).bodies[CLIENT]
        with pytest.raises(ValueError, match="3 bytes has 4"):
            body.receive(b"four", 1.0)

    def test_second_line_frees_the_first(self, pack: Pack) -> None:
        """Lines of JSON are not one message, whatever the first of them is."""
        body = exchange_of(pack, None).bodies[CLIENT]
        assert body.receive(LOGIN, 1.0).doubtful
        assert not body.receive(b"\n{}", 1.0).doubtful
        assert body.end(1.0) == ()

    def test_memory_is_bounded(self, pack: Pack) -> None:
        """A value that never closes is given up."""
        exchange = exchange_of(pack, None)
        for _ in range(400):
            exchange.bodies[CLIENT].receive(b'{"a":[' * 500, 1.0)
        assert exchange.held <= 2 * MAX_MESSAGE

    def test_given_up_body_is_passed(self, pack: Pack) -> None:
        """What had to be forgotten is not looked at half."""
        exchange = exchange_of(pack, len(LOGIN))
        exchange.bodies[CLIENT].receive(LOGIN[:20], 1.0)
        exchange.give_up()
        assert exchange.bodies[CLIENT].receive(LOGIN[20:], 1.0).found == ()


class TestHttpText:
    """HTTP written out for the core."""

    @_SOME
    @given(
        method=st.text(max_size=20),
        path=st.text(max_size=50),
        names=st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=40)), max_size=8),
        body=st.binary(min_size=1, max_size=100),
    )
    def test_peer_cannot_write_lines(
        self, method: str, path: str, names: list[tuple[bytes, bytes]], body: bytes
    ) -> None:
        """Whatever a peer sent as method, path or field, it is one head and one body."""
        request = Request.make("GET", "http://x/")
        request.method, request.path = method, path
        request.headers = Headers(names)
        if request.method == "CONNECT":
            return
        in_chunks = request_head(request, None) + chunk(body) + b"0\r\n\r\n"
        for text in (in_chunks, request_head(request, len(body)) + body):
            head, *events = RequestReader().feed(text)
            assert isinstance(head, RequestHead)
            assert b"".join(event.data for event in events if isinstance(event, BodyData)) == body
            assert isinstance(events[-1], MessageEnd)

    def test_framing_of_the_original_is_left_out(self) -> None:
        """A length or an upgrade that the original announced does not frame what we write."""
        fields = [(b"Content-Length", b"7"), (b"Upgrade", b"x"), (b"Content-Encoding", b"gzip")]
        request = Request.make("POST", "http://x/", headers=Headers(fields))
        response = Response.make(200, headers=Headers(fields))
        for text in (request_head(request, None), response_head(response, None)):
            assert b"Content-Encoding: gzip\r\n" in text
            assert b"pgrade" not in text
            assert b"Content-Length" not in text

    @pytest.mark.parametrize(
        "fields",
        [
            [(b"x", b"y")] * 1000 + [(b"Content-Encoding", b"gzip")],
            [(b"x", b"y" * 4000)] * 10 + [(b"Content-Encoding", b"gzip")],
            [(b"Content-Encoding", b"identity")] * 1000 + [(b"Content-Encoding", b"gzip")],
            [(b"Content-Encoding", b"," * 5000 + b"gzip")],
            [(b"Content-Encoding", b"\x01"), (b"Content-Encoding", b"gzip")],
            [(b"Content-Type", b"a/b")] * 20_000 + [(b"Content-Encoding", b"gzip")],
        ],
        ids=["many", "long", "identities", "commas", "control", "types"],
    )
    def test_nothing_hides_how_a_body_is_coded(
        self, pack: Pack, fields: list[tuple[bytes, bytes]]
    ) -> None:
        """A compressed login is found behind any number of fields, whichever way they are read."""
        body = gzip.compress(LOGIN)
        request = Request.make("POST", "http://x/json_rpc")
        request.headers = Headers(fields)
        found = Exchange(Assay(pack)).feed(CLIENT, request_head(request, len(body)) + body, 1.0)
        assert [finding.signature.id for finding in found] == ["cryptonote-login"]

    def test_a_body_says_what_it_is_before_other_fields(self) -> None:
        """A media type is written, whatever stands before it; the head stays bounded."""
        fields = [(b"x", b"y" * 100)] * 1000 + [(b"Content-Type", b"application/dns-message")]
        head = request_head(Request.make("POST", "http://x/", headers=Headers(fields)), 5)
        assert b"Content-Type: application/dns-message\r\n" in head
        assert len(head) < 48 * 1024

    def test_codings_keep_their_order_and_are_bounded(self) -> None:
        """Of many codings those are written that show that they are too many."""
        fields = [(b"content-encoding", b"deflate, identity"), (b"Content-Encoding", b"gzip")]
        response = Response.make(200)
        response.headers = Headers(fields)
        assert b"Content-Encoding: deflate, gzip\r\n" in response_head(response, 5)
        response.headers = Headers([(b"content-encoding", b"br")] * 5000)
        assert b"Content-Encoding: br, br, br\r\n" in response_head(response, 5)


class TestConnections:
    """The registry."""

    def test_longest_idle_goes_first(self, pack: Pack) -> None:
        """At the bound the strand that was silent the longest is given up."""
        connections = Connections(FlowLimits(flows=2))
        strands = [ByteStrand(Assay(pack)) for _ in range(3)]
        for number, strand in enumerate(strands):
            strand.receive(CLIENT, LOGIN[:20], 1.0)
            connections.keep(client_of(number), f"flow-{number}", strand)
        assert (len(connections), connections.evicted) == (2, 1)
        assert connections.strand("flow-0") is None
        assert [strand.held > 0 for strand in strands] == [False, True, True]

    def test_bytes_are_bounded(self, pack: Pack) -> None:
        """Half messages of many flows together hold no more than the bound."""
        connections = Connections(FlowLimits(held=100_000))
        for number in range(20):
            strand = ByteStrand(Assay(pack))
            strand.receive(CLIENT, b'{"a":"' + b"x" * 20_000, 1.0)
            connections.keep(client_of(number), f"flow-{number}", strand)
        assert connections.held <= 100_000
        assert connections.evicted

    def test_nothing_is_left_of_a_connection(self, pack: Pack) -> None:
        """A client that has gone takes its flows with it, and leaves no trace to grow."""
        connections = Connections()
        client = client_of(1)
        connections.watched(client).stopped = True
        for number in range(5):
            connections.keep(client, f"flow-{number}", ByteStrand(Assay(pack)))
        connections.forget(client)
        assert (len(connections), connections.held) == (0, 0)
        client.timestamp_end = 2.0
        connections.keep(client, "late", ByteStrand(Assay(pack)))
        assert not connections.watched(client).stopped
        assert len(connections) == 0


@given(sizes=st.lists(st.integers(0, KEPT_BYTES * 2), min_size=1, max_size=60))
@_SOME
def test_history_stays_short(sizes: list[int]) -> None:
    """The newest message stays, with as many before it as the bounds allow."""
    messages = [TCPMessage(from_client=True, content=bytes(size)) for size in sizes]
    newest = messages[-1]
    trim(messages)
    assert messages[-1] is newest
    assert len(messages) <= KEPT_MESSAGES
    assert len(messages) == 1 or sum(len(message.content) for message in messages) <= KEPT_BYTES
