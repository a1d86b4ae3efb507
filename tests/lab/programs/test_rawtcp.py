"""Segments that no kernel would send, against a real kernel's TCP, over IPv4 and IPv6.

What Linux (6.x) does with conflicting overlaps, as these tests prove it:

- Bytes already in order: the first copy wins, the new segment is trimmed to what is new.
- Out of order, the new segment inside an older one: the first copy wins.
- Out of order, the new segment covering an older one whole: the *last* copy wins, for the older
  is thrown away.
- Out of order, partial overlap: neither in time but in sequence: where two queued segments share
  bytes, the one that starts lower wins them.

A reassembler with one rule for all of it differs from this kernel somewhere, hence a conflicting
overlap is evidence in itself.
"""

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.lines import whole_lines

pytestmark = pytest.mark.lab

SUBSCRIBE = '{"id":1,"method":"mining.subscribe","params":["cgminer/4.12.1"]}\n'
TARGETS = {"v4": "10.9.0.2:3333", "v6": "[fd09::2]:3333"}
NEAR_WRAP = (1 << 32) - 10


class Lab:
    """A pool on the far host, and raw clients on the near one."""

    def __init__(self, start: Callable[..., Any], pair: Any, folder: Path) -> None:
        self.start, self.pair = start, pair
        self.record, self.summary = folder / "record.jsonl", folder / "summary.json"
        binds = [word for target in TARGETS.values() for word in ("--bind", target)]
        files = ("--record", self.record, "--summary", self.summary)
        self.pool = start("pool", *binds, *files, prefix=pair.far)

    def play(self, target: str, *segments: dict[str, Any], **members: Any) -> Any:
        """Play a scenario to its end and return the client."""
        scenario = {"target": target, "segments": segments, "listen": 0.3, **members}
        text = json.dumps(scenario).encode()
        client = self.start("rawtcp", stdin=text, prefix=self.pair.near)
        client.code = client.wait()
        return client

    def received(self) -> bytes:
        """Return the stream that the far kernel's TCP handed to the pool."""
        lines = whole_lines(self.record)
        pieces = [one["base64"] for one in lines if one.get("direction") == "received"]
        return b"".join(base64.b64decode(piece) for piece in pieces)

    def counts(self) -> dict[str, int]:
        """Return the pool's summary."""
        found: dict[str, int] = json.loads(self.summary.read_text())
        return found


@pytest.fixture
def lab(start: Callable[..., Any], pair: Any, tmp_path: Path) -> Lab:
    """Return the two hosts, the pool running."""
    return Lab(start, pair, tmp_path)


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> str:
    """Return the pool's address in each family."""
    return TARGETS[request.param]


# name, segments, what the kernel's TCP delivers
OVERLAPS = [
    ("in order, first wins", [(0, "AAAA"), (2, "bbbb")], "AAAAbb"),
    ("inside an older one, first wins", [(4, "111111"), (5, "22"), (0, "AAAA")], "AAAA111111"),
    ("same again, first wins", [(4, "1111"), (4, "2222"), (0, "AAAA")], "AAAA1111"),
    ("covering from its start, last wins", [(4, "11"), (4, "2222"), (0, "AAAA")], "AAAA2222"),
    ("covering both sides, last wins", [(6, "11"), (4, "222222"), (0, "AAAA")], "AAAA222222"),
    ("lower start later", [(6, "1111"), (4, "2222"), (0, "AAAA")], "AAAA222211"),
    ("lower start earlier", [(4, "1111"), (6, "2222"), (0, "AAAA")], "AAAA111122"),
    ("the gap's filler overlaps", [(4, "1111"), (0, "AAAAAA")], "AAAAAA11"),
]


@pytest.mark.parametrize(("segments", "delivered"), [one[1:] for one in OVERLAPS])
def test_conflicting_overlap(
    lab: Lab, target: str, segments: list[tuple[int, str]], delivered: str
) -> None:
    """Conflicting bytes are delivered as the comment at the head says, in both families."""
    client = lab.play(target, *({"offset": at, "text": text} for at, text in segments))
    assert client.code == 0
    assert lab.received() == delivered.encode()


# name, members of a scenario that brings the whole request across
WAYS = [
    ("bytewise", {"split": 1}),
    ("across the wrap", {"isn": NEAR_WRAP, "split": 7}),
    ("out of order", {"segments": [{"offset": 40}, {"offset": 20, "length": 20}, {"length": 20}]}),
    ("twice", {"segments": [{"length": 30, "repeat": 3}, {"offset": 10}]}),
    ("fragments", {"segments": [{"fragment": 24}]}),
    ("fragments last first", {"segments": [{"fragment": 32, "reverse": True}]}),
    ("flags without push", {"segments": [{"flags": "A"}]}),
]


@pytest.mark.parametrize("members", [one[1] for one in WAYS], ids=[one[0] for one in WAYS])
def test_a_request_arrives_whole(lab: Lab, target: str, members: dict[str, Any]) -> None:
    """However it is cut and ordered, one request arrives and its answer is read back."""
    client = lab.play(target, **{"segments": (), "stream": SUBSCRIBE, **members})
    assert client.code == 0
    assert lab.received() == SUBSCRIBE.encode()
    assert lab.counts()["terminated_requests"] == 1
    (summary,) = client.events("summary")
    assert summary["acked"] == len(SUBSCRIBE)
    assert json.loads(base64.b64decode(summary["received"]))["id"] == 1


def test_data_in_syn(lab: Lab, target: str) -> None:
    """Linux acknowledges a SYN without its data, unless fast open is on; sent again it arrives."""
    client = lab.play(target, {}, stream=SUBSCRIBE, syn_data=20)
    assert client.events("syn")[0]["data"] == 20
    assert client.events("segment")[0]["acked_offset"] == 0
    assert lab.received() == SUBSCRIBE.encode()


@pytest.mark.parametrize("spoilt", [{"bad_checksum": True}, {"offset": -100_000}])
def test_segments_that_the_far_end_drops(lab: Lab, target: str, spoilt: dict[str, Any]) -> None:
    """Decoys with a bad checksum, or before the window, never reach the pool."""
    lab.play(target, {"text": "decoy decoy", **spoilt}, {"text": "real"})
    assert lab.received() == b"real"


def test_a_lost_start_keeps_the_rest_back(lab: Lab, target: str) -> None:
    """Bytes after a gap are not delivered, and the far end goes on acknowledging the gap."""
    client = lab.play(target, {"offset": 10}, stream=SUBSCRIBE)
    assert lab.received() == b""
    assert client.events("summary")[0]["acked"] == 0


def test_a_reset_is_told(lab: Lab, target: str, eventually: Any) -> None:
    """When the far end resets (its socket destroyed by ss), the client says so and exits 3."""
    port = target.rpartition(":")[2]
    kill = [*lab.pair.far, "ss", "-K", "sport", "=", f":{port}"]

    scenario = {"target": target, "stream": "{", "listen": 5.0}
    client = lab.start("rawtcp", stdin=json.dumps(scenario).encode(), prefix=lab.pair.near)
    eventually(lambda: client.events("sent"))
    subprocess.run(kill, check=True, stdout=subprocess.DEVNULL)
    assert client.wait() == 3
    assert client.events("reset")


def test_an_unheard_port_is_told(lab: Lab, target: str) -> None:
    """Where nobody listens the handshake is reset: exit 4, with the reset on record."""
    client = lab.play(target.rpartition(":")[0] + ":4444", {"text": "x"})
    assert client.code == 4
    assert client.events("reset")
    assert client.events("not_established")[0]["reset"] is True


def test_the_kernel_is_left_as_it_was(lab: Lab, target: str) -> None:
    """The rule against the kernel's own resets is gone afterwards, also after SIGTERM."""
    assert lab.play(target, {"text": "x"}).code == 0
    scenario = {"target": target, "stream": "x", "listen": 60.0}
    client = lab.start("rawtcp", stdin=json.dumps(scenario).encode(), prefix=lab.pair.near)
    listing = [*lab.pair.near, "nft", "list", "tables"]
    assert b"dl_rawtcp" in subprocess.run(listing, check=True, capture_output=True).stdout
    assert client.stop() == 143
    assert subprocess.run(listing, check=True, capture_output=True).stdout == b""
