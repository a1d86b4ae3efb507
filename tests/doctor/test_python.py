"""What the doctor says of the interpreter."""

import pytest

from davylamp.doctor import Status, can_run
from davylamp.doctor.examine import of_python


@pytest.mark.parametrize(
    ("version", "optimised", "status", "said"),
    [
        ((3, 14), True, Status.OK, ""),
        ((3, 12), False, Status.DEGRADED, "take longer to judge"),
        ((3, 11), True, Status.MISSING, "3.12 or newer"),
    ],
)
def test_an_interpreter(
    version: tuple[int, int], status: Status, said: str, *, optimised: bool
) -> None:
    """One that is slow runs a gateway all the same; one that is old does not."""
    found = of_python(version, optimised=optimised)
    assert found.status is status
    assert said in found.meaning
    assert bool(found.remedy) is (status is not Status.OK)
    assert can_run((found,)) is (status is not Status.MISSING)
