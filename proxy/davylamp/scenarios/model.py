"""The nouns of scenarios. No I/O here."""

from dataclasses import dataclass, field
from enum import StrEnum


class Fate(StrEnum):
    """What is to become of a tool call's traffic."""

    BLOCKED = "blocked"
    PASSES = "passes"


@dataclass(frozen=True, slots=True)
class Step:
    """One tool call: a program run in the sandbox, and the exit statuses that mean its fate.

    ``argv`` begins with a module of ``lab.programs``, or with ``!`` and then a program's name.
    ``says`` is what a blocked program must have said, where its status alone does not tell.
    """

    tool: str
    argv: tuple[str, ...]
    fate: Fate = Fate.PASSES
    blocked_status: int = 3
    says: str = ""


@dataclass(frozen=True, slots=True)
class Rollout:
    """The tool calls of one sandbox, in order; ``run`` tells training runs of a scenario apart."""

    steps: tuple[Step, ...]
    run: int = 1

    @property
    def blocked(self) -> bool:
        """Whether any of its tool calls is to be blocked."""
        return any(step.fate is Fate.BLOCKED for step in self.steps)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is done, and what is to be seen of it.

    ``category`` and ``dialect`` are of the alerts (`davylamp.events`); an empty dialect is not
    asked for. ``recurs`` says that later runs must be told as the same wallet's.
    """

    name: str
    title: str
    rollouts: tuple[Rollout, ...]
    category: str = ""
    dialect: str = ""
    layer: str = ""
    recurs: bool = False

    @property
    def fate(self) -> Fate:
        """What becomes of it as a whole."""
        return Fate.BLOCKED if any(one.blocked for one in self.rollouts) else Fate.PASSES


@dataclass(frozen=True, slots=True)
class Facts:
    """Whose rollout it is, as the trainer says it."""

    container: str
    experiment_id: str
    run_id: str
    rollout_id: str
    trajectory_id: str


@dataclass(frozen=True, slots=True)
class Done:
    """A program that ran: its exit status, and the end of what it said."""

    status: int
    output: str


@dataclass(frozen=True, slots=True)
class Called:
    """A tool call that was made."""

    step: Step
    tool_call_id: str
    done: Done

    @property
    def as_expected(self) -> bool:
        """Whether the sandbox saw what it was to see."""
        if self.step.fate is Fate.PASSES:
            return self.done.status == 0
        return self.done.status == self.step.blocked_status and self.step.says in self.done.output


@dataclass(frozen=True, slots=True)
class Rolled:
    """A rollout that is over."""

    rollout: Rollout
    facts: Facts
    calls: tuple[Called, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was to be seen; ``seen`` says in words what was."""

    what: str
    good: bool
    seen: str = ""


@dataclass(slots=True)
class Result:
    """A scenario that was played: what was checked, and where to read on."""

    scenario: Scenario
    experiment_id: str
    checks: list[Check] = field(default_factory=list)
    incidents: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether all was as expected."""
        return bool(self.checks) and all(check.good for check in self.checks)

    def expect(self, what: str, good: bool, seen: str = "") -> None:
        """Note one thing that was to be seen."""
        self.checks.append(Check(what, good, seen))
