"""The sizes of a flow's first flights, beside another condition, however the stream is cut."""

import pytest

from davylamp.errors import PackError
from davylamp.flow import Direction
from davylamp.inspection.inspector import Inspector
from davylamp.signatures.flights import MAX_FLIGHTS, Flights
from davylamp.signatures.pack import Pack, load

C, S = Direction.ORIGINATOR, Direction.RESPONDER
TOY = b"\x05\xa1TOY"
SIGNATURE = (
    "{{id: a, rev: 1, title: t, category: mining, dialect: d, role: miner, confidence: 70,"
    " severity: 2, maturity: stable, detail: d, when: {0}}}"
)
BYTES = "{bytes: {from: client, starts_with: {hex: 05 a1 54 4f}}}"


def pack_of(sizes: str, beside: str = BYTES) -> Pack:
    """Return a pack with a condition on sizes beside another."""
    when = f"{{all_of: [{beside}, {{flights: {{sizes: [{sizes}]}}}}]}}"
    return load({
        "pack.yaml": b"name: t\nversion: 2026.1.1\nformat: 1\n",
        "x/a.yaml": SIGNATURE.format(when).encode(),
    })  # fmt: skip


def stream(*sizes: int, first: Direction = C) -> list[tuple[Direction, bytes]]:
    """Return flights of these sizes by turns; the client's first begins with the toy's magic."""
    sides = (first, S if first is C else C)
    return [
        (sides[n % 2], TOY + bytes(size - len(TOY)) if n == 0 else bytes(size))
        for n, size in enumerate(sizes)
    ]


def told(pack: Pack, said: list[tuple[Direction, bytes]]) -> int | None:
    """Return behind how many bytes the signature is told, whole and in any cut; None: never."""
    answers: list[int | None] = []
    for cut in (1 << 20, 1, 7):
        inspector, after, answer = Inspector(pack), 0, None
        for direction, data in said:
            for at in range(0, len(data), cut):
                if inspector.receive(direction, data[at : at + cut], 0.0):
                    assert answer is None
                    answer = after
            after += len(data)
        answers.append(answer)
    assert answers[0] == answers[1] == answers[2], answers
    return answers[0]


@pytest.mark.parametrize(
    ("sizes", "said", "expected"),
    [
        ("client:64, server:200-240", (64, 234, 9), 64 + 234),
        ("client:64, server:200-240", (64, 234), None),  # the second may go on
        ("client:64, server:200-", (64, 234), 64),
        ("client:64, server:200-240", (63, 234, 9), None),
        ("client:64, server:200-240", (65, 234, 9), None),
        ("client:64, server:200-240", (64, 241, 9), None),
        ("client:60-70, server:1-5, client:9, server:0-", (66, 5, 9, 1), 66 + 5 + 9),
    ],
)
def test_sizes_are_of_flights_not_of_segments(
    sizes: str, said: tuple[int, ...], expected: int | None
) -> None:
    """The last flight's is known once the other side speaks, or is enough."""
    assert told(pack_of(sizes), stream(*said)) == expected


@pytest.mark.parametrize(
    "tunnel",
    [
        [(C, b"\x05\x01\0"), (S, b"\x05\0"), (C, b"\x05\x01\0\x01\xcb\0\x71\x09\x01\xbb"),
         (S, b"\x05\0\0\x01" + bytes(6))],
        [(C, b"CONNECT 203.0.113.9:443 HTTP/1.1\r\n\r\n"), (S, b"HTTP/1.1 200 OK\r\n\r\n")],
        [(C, b"PROXY TCP4 198.51.100.2 203.0.113.9 40000 443\r\n")],
    ],
    ids=["socks", "connect", "proxy header"],
)  # fmt: skip
def test_in_a_tunnel_the_flights_are_the_tunnels(tunnel: list[tuple[Direction, bytes]]) -> None:
    """What opens it does not count, nor where one segment has the end of that and more."""
    pack = pack_of("client:64, server:200-240")
    inside = stream(64, 234, 9)
    size = sum(len(data) for _, data in tunnel)
    assert told(pack, [*tunnel, *inside]) == size + 64 + 234
    (_, opened), (_, first) = tunnel[-1], inside[0]
    if tunnel[-1][0] is C:
        assert told(pack, [*tunnel[:-1], (C, opened + first), *inside[1:]]) == size + 64 + 234


def test_a_flow_that_cannot_fit_any_more_is_let_go() -> None:
    """It is waited for while the sizes may yet fit, and no longer."""
    inspector = Inspector(pack_of("client:64, server:200-240", "{line: {starts_with: TOY-}}"))
    inspector.receive(C, b"TOY-\n" + b"x" * 40, 0.0)
    assert inspector._waits
    inspector.receive(C, b"x" * 40, 0.0)
    assert not inspector._waits


@pytest.mark.parametrize("how", ["gap", "rewind", "unmeasured"])
def test_what_was_not_seen_as_it_was_sent_is_not_measured(how: str) -> None:
    """Nor what was found before."""
    inspector = Inspector(pack_of("client:64, server:200-"))
    inspector.receive(C, stream(64)[0][1], 0.0)
    match how:
        case "gap":
            inspector.gap(S, 3)
        case "rewind":
            inspector.rewind(C, 0)
        case _:
            inspector.unmeasured()
    assert inspector.receive(S, bytes(210), 0.0) == ()


def test_memory_is_bounded() -> None:
    """However often the sides take turns."""
    flights = Flights()
    for number in range(1000):
        flights.add((C, S)[number % 2], 1 << 20)
    assert len(flights.sizes) == MAX_FLIGHTS + 1


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("{flights: {sizes: [client:1, server:2]}}", "sizes alone are met by chance"),
        ("{all_of: [{flights: {sizes: [client:1, server:2]}}]}", "met by sizes, or by what is not"),
        ("{any_of: [OTHER, {flights: {sizes: [client:1, server:2]}}]}", "met by sizes"),
        ("{all_of: [OTHER, {flights: {sizes: [client:1]}}]}", "2 to 8 flights"),
        ("{all_of: [OTHER, {flights: {sizes: [client:1, client:2]}}]}", "by turns"),
        ("{all_of: [OTHER, {flights: {sizes: [client:9-1, server:2]}}]}", "is empty"),
        ("{all_of: [OTHER, {flights: {sizes: [me:9, server:2]}}]}", "who sends it"),
        (
            "{all_of: [OTHER, {not: {condition: {flights: {sizes: [client:1, server:2]}}}}]}",
            "cannot stand inside 'not'",
        ),
    ],
)
def test_what_sizes_cannot_say_is_refused_with_its_place(when: str, says: str) -> None:
    """With line and column, and what to write instead."""
    files = {"pack.yaml": b"name: t\nversion: 2026.1.1\nformat: 1\n"}
    files["x/a.yaml"] = SIGNATURE.format(when.replace("OTHER", BYTES)).encode()
    with pytest.raises(PackError, match=f"x/a.yaml:1:[0-9]+: .*{says}"):
        load(files)
