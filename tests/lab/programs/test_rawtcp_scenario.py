"""A scenario says exactly what is sent, and a wrong one says what is wrong."""

import json

import pytest

from davylamp.errors import ConfigError
from davylamp.lab.programs.rawtcp_scenario import Piece, read_scenario


def test_pieces_default_to_the_stream_cut_evenly() -> None:
    """Without segments the stream goes out in pieces of the split size."""
    scenario = read_scenario(b'{"target":"10.0.0.1:1","stream":"abcdefg","split":3}')
    assert [one.payload(scenario.data()) for one in scenario.pieces()] == [b"abc", b"def", b"g"]


def test_a_piece_may_carry_bytes_of_its_own() -> None:
    """Text and base64 conflict with the stream on purpose; a slice is the stream itself."""
    assert Piece(offset=2, length=2).payload(b"abcdef") == b"cd"
    assert Piece(offset=2).payload(b"abcdef") == b"cdef"
    assert Piece(offset=2, text="XY").payload(b"abcdef") == b"XY"
    assert Piece(offset=2, base64="AAE=").payload(b"abcdef") == b"\0\1"


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"target": 5},
        {"target": "a:1", "unknown": 1},
        {"target": "a:1", "isn": -1},
        {"target": "a:1", "segments": [{"flags": "XYZ"}]},
        {"target": "a:1", "segments": [{"repeat": 100000}]},
        {"target": "a:1", "stream_base64": "!"},
    ],
)
def test_wrong_scenarios_are_refused(wrong: dict[str, object]) -> None:
    """What is missing, unknown or out of bounds is a ConfigError."""
    with pytest.raises(ConfigError):
        read_scenario(json.dumps(wrong).encode())
