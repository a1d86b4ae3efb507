"""What the demonstration's tests share: results of one that went well, made by hand."""

import pytest
from tests.alerts import an_alert, signature

from davylamp.demo.results import Actor, Attempt, BenignResult, Moment, Results, Throughput
from davylamp.events import AlertEvent, EvidenceInfo, LineageInfo, MiningInfo


@pytest.fixture
def alert() -> AlertEvent:
    """Give an alert on a login that was stopped, with a name on it."""
    return an_alert(
        src_ip="10.90.0.11",
        dest_ip="203.0.113.10",
        dest_port=443,
        app_proto="cryptonote",
        alert=signature(rev=2, confidence=97),
        mining=MiningInfo(dialect="cryptonote", coin="XMR", role="client"),
        lineage=LineageInfo(
            grade="bound",
            source="trainer",
            container="sandbox-7",
            run_id="run-1",
            rollout_id="rollout-2",
            step=3,
            tool_call_id="call-4",
            tool="bash",
        ),
        evidence=(
            EvidenceInfo(
                signature_id="cryptonote-login",
                direction="originator",
                offset=0,
                length=28,
                excerpt='{"method":"login","params":[bold]',
                detail="login with a wallet",
            ),
        ),
        incident_id="inc-5",
    )


@pytest.fixture
def results(alert: AlertEvent) -> Results:
    """Give results in which every claim holds."""
    return Results(
        timeline=[
            Moment(10.0, Actor.TRAINER, "tool call call-4"),
            Moment(11.5, Actor.DAVYLAMP, "reject: CryptoNote login"),
        ],
        benign=[
            BenignResult("download", good=True, detail="checksum right"),
            BenignResult("git", good=True, detail="git is not installed", skipped=True),
        ],
        attempts=[Attempt("port 443", "reset", 0, 0.0004, "0.4 ms after its request")],
        alerts=[alert],
        throughput=Throughput(300_000_000, (2e9, 4e9, 3e9), (3.6e9, 2.4e9, 2.7e9)),
        pool_connections=1,
        tagged=True,
        expected_call="call-4",
        expected_container="sandbox-7",
    )
