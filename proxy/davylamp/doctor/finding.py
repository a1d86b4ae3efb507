"""What the doctor says about one thing."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How one thing is: ``degraded`` works in another way, or not as well."""

    OK = "ok"
    DEGRADED = "degraded"
    MISSING = "missing"


class Area(StrEnum):
    """What a thing is for."""

    GATEWAY = "gateway"
    LINEAGE = "lineage"
    LAB = "lab"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing: how it is, what was found, what that means, and what to do.

    ``required`` things that are missing keep the gateway from running. ``remedy`` is empty where
    there is nothing to do.
    """

    name: str
    area: Area
    status: Status
    found: str
    meaning: str = ""
    remedy: str = ""
    required: bool = False


def can_run(findings: tuple[Finding, ...]) -> bool:
    """Say whether nothing that the gateway requires is missing."""
    return not any(one.required and one.status is Status.MISSING for one in findings)
