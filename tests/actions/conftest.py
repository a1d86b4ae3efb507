"""Things to be done."""

from collections.abc import Callable

import pytest

from davylamp.actions.model import Kind, Planned

type MakePlanned = Callable[..., Planned]


@pytest.fixture
def planned() -> MakePlanned:
    """Give a maker of things to be done to a container."""

    def make(kind: Kind = Kind.DOCKER_PAUSE, **changes: object) -> Planned:
        fields: dict[str, object] = {
            "incident_id": "inc-1",
            "kind": kind,
            "target": "c1",
            "reason": "CryptoNote login",
            "severity": "high",
            "grade": "bound",
            "lifecycle_id": "c1@1",
            "container": "sandbox-7",
            "container_id": "c1",
            "run_id": "run-1",
            "rollout_id": "r-3",
        }
        return Planned(**(fields | changes))  # type: ignore[arg-type]

    return make
