"""A new pack's probation: what sends it back, and what a sandbox cannot do about it."""

import dataclasses

from davylamp.config import PackConfig
from davylamp.paths import SIGNATURES
from davylamp.signatures.disk import load_directory
from davylamp.signatures.pack import Pack
from davylamp.updates.watch import Probation

CONFIG = PackConfig(return_errors=5, return_sandboxes=3, watch_seconds=60)
SHARE = "stratum-v1-submit"


def packs() -> tuple[Pack, Pack]:
    """Return the core pack, and one in which a signature was revised."""
    before = load_directory(SIGNATURES / "core")
    revised = [
        dataclasses.replace(one, rev=one.rev + 1) if one.id == SHARE else one
        for one in before.signatures.values()
    ]
    return before, Pack.build("core", "2099.1.1", revised, before.lists)


def probation(**failed: int) -> Probation:
    """Begin at time 100."""
    return Probation(*packs(), CONFIG, failed=failed, ended=7, began=100.0)


def test_many_sandboxes_accused_by_what_is_new_end_it() -> None:
    """Three different ones do; the old signatures' alerts do not count."""
    watched = probation()
    for number in range(50):
        watched.alert("cryptonote-login", 1, f"10.0.0.{number}")
    rev = packs()[1].signatures[next(i for i in packs()[1].signatures if i == SHARE)].rev
    for address in ("10.0.0.1", "10.0.0.2"):
        watched.alert(SHARE, rev, address)
    assert watched.verdict() == ""
    watched.alert(SHARE, rev, "10.0.0.3")
    assert watched.verdict() == "its new signatures alert on 3 sandboxes"


def test_one_sandbox_cannot_send_a_pack_back_by_mining() -> None:
    """However much it mines, it is one."""
    watched = probation()
    for _ in range(1000):
        watched.alert(SHARE, 2, "10.0.0.1")
    assert watched.verdict() == ""


def test_a_pack_that_breaks_the_inspection_goes() -> None:
    """Errors of all workers count from the switch on; a worker that was started again from zero."""
    watched = probation(one=100)
    watched.errors("one", 102)
    watched.errors("two", 2)
    assert watched.verdict() == ""
    watched.errors("one", 1)  # a new process
    watched.errors("one", 3)
    assert watched.verdict() == "the inspection failed 5 times since it is in force"
    assert not watched.over(159.0)
    assert watched.over(160.0)
