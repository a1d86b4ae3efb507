"""How often findings are met in mining and elsewhere, and what that bears out."""

import pytest
from tests.streams import core_pack

from davylamp.accuracy.calibration import Calibrated, Confidence, Frequency, calibrate
from davylamp.accuracy.corpora import FileFigures, Label, Met
from davylamp.accuracy.crossing import Alarm, Tally
from davylamp.fusion import ABOUT_MINING
from davylamp.signatures.model import Kind, SignatureId

LOGIN, SHARE = SignatureId("renamed-login"), SignatureId("cryptonote-submit")
NAME, SOLO = SignatureId("pool-name-tls-sni"), SignatureId("submit-block")


def file(flows: int, told: int, *met: Met) -> FileFigures:
    """Return what one capture held."""
    return FileFigures("a.pcap", 100, flows, told, (), (), (), met)


def calibrated() -> dict[tuple[Kind, Confidence], Calibrated]:
    """Return the rows of a made-up run."""
    mined = file(20, 10, Met(1, LOGIN, 72), Met(1, SHARE, 97), Met(2, SHARE, 97), Met(3, NAME, 50))
    captures = {
        Label.MINING: (mined,),
        Label.BENIGN: (file(1000, 1, Met(9, LOGIN, 72), Met(9, LOGIN, 72)), file(1000, 0)),
        Label.NEAR: (file(30, 0, Met(1, SOLO, 92)),),
    }
    alarms = [Alarm("lsp", "TCP", way, LOGIN) for way in ("whole", "whole", "CRLF")]
    rows = calibrate(core_pack(), captures, Tally(benign=500, alarms=alarms))
    return {(row.kind, row.confidence): row for row in rows}


def test_flows_are_counted_once_a_kind_and_confidence() -> None:
    """Mining flows are those that were told of; all flows are others, and near misses apart."""
    login = calibrated()[Kind.LOGIN, Confidence.WEAK]
    assert (login.mining, login.others) == (Frequency(1, 10), Frequency(1, 2000))
    assert (login.near, login.written) == (Frequency(0, 30), Frequency(2, 500))
    share = calibrated()[Kind.SHARE, Confidence.CONCLUSIVE]
    assert (share.mining, share.others) == (Frequency(2, 10), Frequency(0, 2000))


def test_a_name_is_as_sure_as_its_entry() -> None:
    """A candidate of a list is not counted where its signature's own confidence would be."""
    rows = calibrated()
    assert rows[Kind.NAME, Confidence.CONCLUSIVE].mining.met == 0
    assert (Kind.NAME, Confidence.NOTHING) in rows


def test_every_signature_about_mining_has_a_row_and_no_other() -> None:
    """Solo mining, peers, tunnels and anomalies are other claims."""
    about = sum(row.signatures for row in calibrated().values())
    categories = [
        one.category for one in core_pack().signatures.values() if one.maturity != "sandbox"
    ]
    assert about == sum(one in ABOUT_MINING for one in categories)


def test_few_flows_bear_out_little() -> None:
    """The ends of Wilson's interval, as his 1927 paper's formula gives them by hand."""
    assert Frequency(0, 0).upper == 1
    assert Frequency(0, 0).lower == 0
    assert Frequency(5, 10).lower == pytest.approx(0.2366, abs=1e-4)
    assert Frequency(5, 10).upper == pytest.approx(0.7634, abs=1e-4)
    assert Frequency(0, 2861).upper == pytest.approx(0.00134, abs=1e-5)
    assert calibrated()[Kind.JOB, Confidence.CONCLUSIVE].borne_out is None
    share = calibrated()[Kind.SHARE, Confidence.CONCLUSIVE].borne_out
    assert share is not None
    assert 96 < share < 97
