"""What trials come to: either way of queueing will do; only what is required stops a gateway."""

from dataclasses import replace

import pytest

from davylamp.doctor.finding import Finding, Status, can_run
from davylamp.doctor.kernel import findings_of
from davylamp.doctor.trial import TRIALS, Outcome

GOOD = {name: Outcome(ok=True, said="fine") for name in TRIALS}


def without(*names: str) -> tuple[Finding, ...]:
    """Return the findings where these trials failed."""
    failed = {name: Outcome(ok=False, said="refused") for name in names}
    return tuple(findings_of(GOOD | failed))


@pytest.mark.parametrize(
    ("failed", "runs", "statuses"),
    [
        ((), True, {Status.OK}),
        (("nft_queue",), True, {Status.OK, Status.DEGRADED}),
        (("iptables_nfqueue", "ip6tables_nfqueue"), True, {Status.OK, Status.DEGRADED}),
        (("nft_queue", "iptables_nfqueue"), False, {Status.OK, Status.DEGRADED, Status.MISSING}),
        (("nft_queue", "ip6tables_nfqueue"), False, {Status.OK, Status.DEGRADED, Status.MISSING}),
        (("nft_payload", "nft_flow_limits", "nft_random"), True, {Status.OK, Status.DEGRADED}),
        (("nft",), False, {Status.OK, Status.MISSING}),
        (("nfqueue",), False, {Status.OK, Status.MISSING}),
        (("nflog",), False, {Status.OK, Status.MISSING}),
        (("raw_sockets",), False, {Status.OK, Status.MISSING}),
        (("ruleset",), False, {Status.OK, Status.MISSING}),
    ],
)
def test_what_a_gateway_can_do_without(
    failed: tuple[str, ...], runs: bool, statuses: set[Status]
) -> None:
    """Each failed trial degrades or stops the gateway, as its part in it says."""
    findings = without(*failed)
    assert can_run(findings) is runs
    assert {finding.status for finding in findings} == statuses


@pytest.mark.parametrize("failed", sorted(TRIALS))
def test_a_failure_says_what_it_means(failed: str) -> None:
    """Whatever fails, the finding tells the meaning, and a remedy where one is needed."""
    bad = [finding for finding in without(failed, "nft_queue") if finding.status is not Status.OK]
    assert bad
    for finding in bad:
        assert finding.meaning
        assert finding.remedy or finding.status is Status.DEGRADED


def test_nothing_to_do_where_all_is_well() -> None:
    """A good finding has no remedy to confuse the reader with."""
    assert all(not finding.remedy and not finding.meaning for finding in without())


def test_an_optional_thing_stops_nothing() -> None:
    """A missing thing that is not required leaves the gateway able to run."""
    (first, *_) = without("nft")
    assert not can_run((first,))
    assert can_run((replace(first, required=False),))
