"""The arithmetic of comparing: whose turn, which ratio, which target."""

import pytest

from davylamp.bench.measure import Comparison, Effort, Metric, Plan, Report, Way
from davylamp.errors import ConfigError

A, B = Way.PLAIN, Way.GATEWAY


@pytest.mark.parametrize(
    ("rounds", "order"),
    [(1, (A, B)), (2, (A, B, B, A)), (3, (A, B, B, A, A, B))],
)
def test_every_other_round_is_turned_about(rounds: int, order: tuple[Way, ...]) -> None:
    """Each round has both ways, and a steady drift favours neither over two rounds."""
    assert Plan(1, rounds).order() == order


def test_a_round_is_compared_with_itself() -> None:
    """A machine that slows down between rounds leaves the ratio alone."""
    one = Comparison(Metric.UPLOAD, plain=(20.0, 10.0, 2.0), gateway=(18.0, 9.0, 1.8))
    assert one.ratio == pytest.approx(0.9)
    assert one.ratios == pytest.approx((0.9, 0.9, 0.9))
    assert (one.plain_median, one.gateway_median) == (10.0, 9.0)


def test_one_round_out_of_three_does_not_move_the_ratio() -> None:
    """The ratio is the middle one; the outlier shows in the spread only."""
    one = Comparison(Metric.CONNECTIONS, plain=(10.0, 10.0, 10.0), gateway=(8.0, 1.0, 9.0))
    assert one.ratio == pytest.approx(0.8)
    assert min(one.ratios) == pytest.approx(0.1)


def test_a_plain_figure_of_nothing_is_a_ratio_of_nothing() -> None:
    """A road that carried nothing is not divided by."""
    assert Comparison(Metric.UPLOAD, plain=(0.0,), gateway=(5.0,)).ratio == 0.0


def test_both_ways_are_measured_as_often() -> None:
    """A comparison with a missing half is refused."""
    for plain, gateway in (((), ()), ((1.0,), ()), ((1.0,), (1.0, 2.0))):
        with pytest.raises(ConfigError, match="both ways"):
            Comparison(Metric.UPLOAD, plain, gateway)


@pytest.mark.parametrize(
    ("metric", "gateway", "met"),
    [
        (Metric.UPLOAD, 0.90, True),
        (Metric.DOWNLOAD, 0.89, False),
        (Metric.CONNECTIONS, 0.70, True),
        (Metric.CONNECTIONS, 0.69, False),
        (Metric.LATENCY_P99, 9.0, None),
    ],
)
def test_targets(metric: Metric, gateway: float, met: bool | None) -> None:
    """Bulk must keep 90 % and connections 70 %; latency has no target."""
    assert Comparison(metric, (1.0,), (gateway,)).met is met


def test_a_report_is_met_when_no_target_is_missed() -> None:
    """One missed target is enough to miss, and metrics without one do not count."""

    def report(*comparisons: Comparison) -> Report:
        return Report(Plan(1, 1), "", (), comparisons, Effort(), Effort(), dict.fromkeys(Way, 0))

    good = Comparison(Metric.UPLOAD, (1.0,), (0.95,))
    slow = Comparison(Metric.LATENCY_P50, (1.0,), (3.0,))
    bad = Comparison(Metric.CONNECTIONS, (1.0,), (0.5,))
    assert report(good, slow).met
    assert not report(good, slow, bad).met


def test_effort_is_packets_for_what_was_done() -> None:
    """Efforts add up, and are told for each connection or each gigabyte."""
    both = Effort(units=1000, queued=1010).plus(Effort(units=1000, queued=1010))
    assert both == Effort(units=2000, queued=2020)
    assert both.queued_per() == pytest.approx(1.01)
    assert Effort(units=2_000_000_000, queued=10).queued_per(1e9) == pytest.approx(5.0)
    assert Effort(queued=5).queued_per() == 0.0
