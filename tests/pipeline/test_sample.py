"""The sample: copies of some packets of cleared flows, with holes between them."""

from tests.packets import Connection
from tests.streams import JOB, LOGIN, RPC, SUBMIT, client_hello, post

from davylamp.decision import Fate, Reset
from davylamp.pipeline import Pipeline, Vantage
from davylamp.policy import Policy
from davylamp.signatures.pack import Pack, load

GIGABYTE = 1 << 30


def sampled(core: Pack) -> Pipeline:
    """Return a pipeline that is shown samples."""
    return Pipeline(core, Policy(), vantage=Vantage.SAMPLE)


def test_mining_in_a_sample_resets_the_flow_and_blocks_the_endpoint(core: Pack) -> None:
    """The packet is past recall, so its receiver expects what follows it."""
    connection = Connection(sent={"client": 3 * GIGABYTE, "server": 7})
    decision = sampled(core).packet(connection.client(SUBMIT), 1.0)
    assert decision.fate is Fate.ACCEPT
    assert decision.block is not None
    [forward, backward] = decision.resets
    assert forward.seq == (1000 + 3 * GIGABYTE + len(SUBMIT)) % 2**32
    assert backward == Reset(forward.key.reversed(), 5007, forward.seq)


def test_holes_between_samples_are_skipped(core: Pack) -> None:
    """Each sample is read for itself, however far it is from the one before."""
    pipeline = sampled(core)
    connection = Connection()
    for gap in (10, 3_000_000, GIGABYTE, 2 * GIGABYTE, 3 * GIGABYTE):
        assert pipeline.packet(connection.client(RPC), 1.0).alerts == ()
        connection.sent["client"] += gap
    assert pipeline.packet(connection.client(LOGIN), 1.0).alerts
    assert pipeline.tracked == 1
    assert pipeline.stats.flows == 1


def test_neighbouring_samples_are_joined(core: Pack) -> None:
    """Where nothing is missing, a message in two samples is one message."""
    pipeline = sampled(core)
    connection = Connection()
    assert pipeline.packet(connection.client(LOGIN[:80]), 1.0).alerts == ()
    assert pipeline.packet(connection.client(LOGIN[80:]), 1.0).alerts


def test_half_a_message_makes_the_flow_a_suspect(core: Pack) -> None:
    """The kernel is asked to bring the flow back when a sample begins a JSON message."""
    connection = Connection()
    decision = sampled(core).packet(connection.server(JOB[:80]), 1.0)
    assert decision.fate is Fate.ACCEPT
    assert decision.suspect is not None
    assert (decision.suspect.orig_port, decision.suspect.resp_port) == (40_000, 3333)


def test_a_websockets_frame_in_a_sample_is_read(core: Pack) -> None:
    """It begins with a head and ends with what it says it has: no slice of anything."""
    masked = bytes(byte ^ b"mask"[at % 4] for at, byte in enumerate(LOGIN))
    frame = b"\x81\xfe" + len(LOGIN).to_bytes(2, "big") + b"mask" + masked
    assert sampled(core).packet(Connection(dport=80).client(frame), 1.0).alerts


def test_a_brace_that_ends_a_slice_begins_a_message(core: Pack) -> None:
    """Its other half comes with the next one."""
    slices = Connection().client(b'"id":1,"method":"submit","params":{}}\n{')
    assert sampled(core).packet(slices, 1.0).suspect is not None
    text = Connection().client(b"if (a) {\n  b();\n}")
    assert sampled(core).packet(text, 1.0).suspect is None


def test_bulk_is_no_suspect(core: Pack) -> None:
    """Binary data, uploads and hellos do not bring their flow back: that would cost its speed."""
    pipeline = sampled(core)
    for said in (b"{\x80\x07", b"[" + bytes(1400), client_hello("x.org")[:40], post(b"x" * 9)[:-5]):
        for number in range(20):
            connection = Connection(sport=50_000 + number)
            assert pipeline.packet(connection.client(said), 1.0).suspect is None, said


def test_braces_of_random_bytes_are_no_suspects(core: Pack) -> None:
    """Compressed data has every byte, lines and braces included, at its beginning or amid it."""
    pipeline = sampled(core)
    for number, said in enumerate(
        (b"{\x9a\x80\x11\x07", b"\x1f\x8b\n{\x9a\x07", b"a\n{x", b"\n[\xff")
    ):
        connection = Connection(sport=50_000 + number)
        assert pipeline.packet(connection.client(said * 3), 1.0).suspect is None, said


def test_a_flow_is_told_once(core: Pack) -> None:
    """Further samples of a blocked flow are no further alerts."""
    pipeline = sampled(core)
    connection = Connection()
    alerts = [pipeline.packet(connection.client(SUBMIT), 1.0 + n).alerts for n in range(5)]
    assert alerts[0]
    assert not any(alerts[1:])


def test_two_versions_of_a_sampled_packet_are_accepted(core: Pack) -> None:
    """A copy cannot be withheld."""
    pipeline = sampled(core)
    connection = Connection()
    pipeline.packet(connection.client(b"hello"), 1.0)
    assert pipeline.packet(connection.client(b"HELLO", 0), 1.0).fate is Fate.ACCEPT


def test_a_line_amid_a_sample_makes_the_flow_a_suspect(core: Pack) -> None:
    """A slice may begin anywhere, so its lines are for the judge inline; words are for nobody."""
    for said, suspected in (
        (b"}\n" + SUBMIT[:30], True),
        (b"end\n" + LOGIN, True),
        (b"a\nb\n", False),
    ):
        connection = Connection()
        decision = sampled(core).packet(connection.client(said), 1.0)
        assert (decision.fate, decision.alerts) == (Fate.ACCEPT, ())
        assert (decision.suspect is not None) is suspected


def test_sizes_are_of_whole_flows_not_of_samples() -> None:
    """What the queue measures from its first packet on a sample cannot tell."""
    when = (
        "{all_of: [{bytes: {starts_with: toy1}}, {flights: {sizes: ['client:64', 'server:234']}}]}"
    )
    pack = load({
        "pack.yaml": b"name: t\nversion: 2026.1.1\nformat: 1\n",
        "x/toy.yaml": (
            b"{id: toy, rev: 1, title: t, category: mining, dialect: d, role: miner,"
            b" confidence: 70, severity: 2, maturity: stable, detail: d, when: %s}" % when.encode()
        ),
    })  # fmt: skip
    found = {}
    for vantage in (Vantage.INLINE, Vantage.SAMPLE):
        pipeline, connection = Pipeline(pack, Policy(), vantage=vantage), Connection()
        packets = [connection.client(b"toy1"), connection.client(b"\xff" * 60)]
        packets += [connection.server(b"\xfe" * 234), connection.client(b"\xff")]
        found[vantage] = [len(pipeline.packet(packet, 1.0).alerts) for packet in packets]
    assert found == {Vantage.INLINE: [0, 0, 0, 1], Vantage.SAMPLE: [0, 0, 0, 0]}
