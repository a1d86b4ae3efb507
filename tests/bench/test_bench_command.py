"""``davylamp bench`` in a real lab: the shape of what it says, never how fast this machine is."""

import json
import shutil

import pytest
from click.testing import CliRunner

from davylamp.cli import main

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def _bench(*arguments: str) -> dict[str, object]:
    shortest = ["--seconds", "1", "--rounds", "1", "--json"]
    result = CliRunner().invoke(main, ["bench", *shortest, *arguments])
    assert result.exit_code == 0, result.output
    tree: dict[str, object] = json.loads(result.stdout)
    return tree


@pytest.mark.parametrize("own_tools", [False, True], ids=["installed tools", "own tools"])
def test_a_run_measures_everything_both_ways(can_lab: None, own_tools: bool) -> None:
    """Every metric has a figure for plain forwarding and for the gateway; no request fails."""
    if not own_tools and None in map(shutil.which, ("iperf3", "wrk", "nginx")):
        pytest.skip("iperf3, wrk and nginx are not all installed")
    tree = _bench(*(["--own-tools"] if own_tools else []), "--workers", "1")
    comparisons = tree["comparisons"]
    assert isinstance(comparisons, list)
    assert [one["metric"] for one in comparisons] == [
        "upload",
        "download",
        "connections",
        "latency_p50",
        "latency_p99",
    ]
    assert all(len(one[way]) == 1 for one in comparisons for way in ("plain", "gateway"))
    assert all(one[way][0] > 0 for one in comparisons for way in ("plain", "gateway"))
    assert str(tree["tools"]).count("of our own") == (2 if own_tools else 0)
    assert tree["workers"] == 1
    connections, bulk = tree["connections"], tree["bulk"]
    assert isinstance(connections, dict)
    assert isinstance(bulk, dict)
    assert connections["failed"] == {"plain": 0, "gateway": 0}
    # The first packet of a connection settles it; a retransmission may be queued as well.
    assert 1.0 <= connections["queued_per_request"] < 1.5
    # The kernel forwards bulk: far fewer packets come to user space than it passes by itself.
    assert bulk["bytes"] > 10 * 1500 * bulk["queued"] > 0
