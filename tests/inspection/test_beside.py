"""A pack on trial beside the live one: seen by it, and never heard."""

from pathlib import Path

import pytest

from davylamp.flow import Direction
from davylamp.inspection.beside import Trial
from davylamp.inspection.inspector import InspectionLimits, Inspector
from davylamp.paths import SIGNATURES
from davylamp.proving.ordinary import client_hello
from davylamp.proving.scaffold import Form, scaffold
from davylamp.signatures.disk import read_files
from davylamp.signatures.pack import Pack, load

SHARE = (
    b'{"id": 4, "method": "mining.submit", "params": '
    b'["farm.rig7", "4f", "00000000", "5e8f3a10", "1a2b3c4d"]}\n'
)
DIG = b'{"id": 1, "method": "mole.dig", "params": ["burrow"]}\n'
LIMITS = InspectionLimits()


@pytest.fixture(scope="module")
def packs() -> tuple[Pack, Pack]:
    """Return the core pack, and one that knows another dialect and forgot a signature."""
    files = read_files(Path(SIGNATURES / "core"))
    submit = files["stratum/stratum-v1-submit.yaml"]
    dig = submit.replace(b"stratum-v1-submit", b"mole-dig").replace(b"mining.submit", b"mole.dig")
    dig = dig[: dig.index(b"when:")] + b"when:\n  json:\n    method: mole.dig\n"
    changed = {name: data for name, data in files.items() if "stratum-v1-submit" not in name}
    return load(files), load(changed | {"mole/mole-dig.yaml": dig})


def clock() -> float:
    """Stand still."""
    return 0.0


def test_only_the_live_pack_answers_and_differences_are_counted(packs: tuple[Pack, Pack]) -> None:
    """What the new pack alone finds, and what it does not, are told by signature."""
    live, new = packs
    trial = Trial(new, 2, clock)
    for _ in range(2):
        tried, plain = trial.inspector(live, LIMITS), Inspector(live, LIMITS)
        for piece in (DIG, SHARE[:30], SHARE[30:]):
            found = tried.receive(Direction.ORIGINATOR, piece, 0.0)
            assert found == plain.receive(Direction.ORIGINATOR, piece, 0.0)
        assert tried.held >= plain.held
    assert (trial.flows, trial.errors) == (2, 0)
    assert trial.extra["mole-dig"] == 2
    assert trial.missing["stratum-v1-submit"] == 2


def test_no_more_flows_are_tried_than_wanted(packs: tuple[Pack, Pack]) -> None:
    """After those a new flow's inspector is an ordinary one."""
    trial = Trial(packs[1], 3, clock)
    kinds = [type(trial.inspector(packs[0], LIMITS)) for _ in range(5)]
    assert kinds[3:] == [Inspector, Inspector]
    assert Inspector not in kinds[:3]
    assert trial.flows == 3


def test_a_pack_that_raises_is_dropped_from_the_flow_and_counted(
    packs: tuple[Pack, Pack], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The live pack's answer is given all the same."""
    live, new = packs
    trial = Trial(new, 1, clock)
    tried = trial.inspector(live, LIMITS)

    class Broken(Inspector):
        def receive(self, *_: object) -> tuple[()]:
            raise RuntimeError("a bug in a reader")

    monkeypatch.setattr(tried, "_beside", Broken(new))
    (found,) = tried.receive(Direction.ORIGINATOR, SHARE, 0.0)
    assert found.signature.id == "stratum-v1-submit"
    assert tried.receive(Direction.ORIGINATOR, DIG, 0.0) == ()
    assert trial.errors == 1


def test_what_the_new_pack_waits_for_is_shown_to_it(packs: tuple[Pack, Pack]) -> None:
    """Though the live one needs no more of the flow; what it does not get ends the wait."""
    files = scaffold("toy-cert", "toy", Form.CERTIFICATE)
    new = load(
        {"pack.yaml": b"name: toy\nversion: 2026.1.1\nformat: 1\n"}
        | {name: text.encode() for name, text in files.items()}
    )
    tried = Trial(new, 1, clock).inspector(packs[0], LIMITS)
    tried.receive(Direction.ORIGINATOR, client_hello("shop.example"), 0.0)
    assert not tried.settled
    tried.receive(Direction.RESPONDER, b"\x15\x03\x03\x00\x02\x02\x28", 0.0)
    assert tried.settled
