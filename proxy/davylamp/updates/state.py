"""What is in force here and what was: one small file that is replaced whole."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import msgspec

from davylamp.errors import PackError

SHIPPED = ""
"""Stands for the pack that came with davylamp, which needs no archive."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """A pack and what the site changed about it: ``pack`` is an archive's identity.

    ``sha256`` is that archive's. docs/updates.md says what enabled and disabled mean.
    """

    pack: str = SHIPPED
    sha256: str = ""
    disabled: tuple[str, ...] = ()
    enabled: tuple[str, ...] = ()


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """What a running gateway is asked to take up; ``token`` tells its answer from others.

    Without ``probation`` it is not returned from: somebody goes back to it on purpose.
    """

    selection: Selection
    token: str
    reason: str
    shadow_flows: int = 0
    probation: bool = True


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway's answer to a candidate; ``reason`` says why not, or what the trial showed."""

    token: str
    accepted: bool
    reason: str = ""


class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that outlives a process.

    ``last_good`` is what to return to. ``highest`` is the greatest number ever installed of each
    pack: nothing lower comes from a repository again. ``rejected`` packs were returned from, and
    why; ``pinned`` says that no update changes what is in force.
    """

    format: int = 1
    in_force: Selection = Selection()
    last_good: Selection | None = None
    candidate: Candidate | None = None
    outcome: Outcome | None = None
    pinned: bool = False
    highest: dict[str, int] = {}
    rejected: dict[str, str] = {}

    @classmethod
    def parse(cls, data: bytes, where: str) -> Self:
        """Read a state file; raise PackError when it is none."""
        try:
            state = msgspec.json.decode(data, type=cls)
        except (msgspec.DecodeError, ValueError) as error:
            raise PackError(
                f"{where}: {error}; remove it to begin again with the pack that was shipped"
            ) from error
        if state.format != 1:
            raise PackError(
                f"{where}: format {state.format} is of a newer davylamp; use that one, or remove "
                "the file to begin again with the pack that was shipped"
            )
        return state

    def encode(self) -> bytes:
        """Return the bytes of the file."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    def accept(self, selection: Selection, token: str = "", reason: str = "") -> "State":
        """Return the state in which a selection is in force, and what was is the last good one."""
        changed = selection.pack != self.in_force.pack
        name, _, number = selection.pack.rpartition("-")
        highest = {**self.highest, name: max(self.highest.get(name, 0), int(number or 0))}
        return msgspec.structs.replace(
            self,
            in_force=selection,
            highest=highest if name else self.highest,
            last_good=self.in_force if changed else self.last_good,
            candidate=None,
            outcome=Outcome(token=token, accepted=True, reason=reason) if token else self.outcome,
        )

    def take(self, candidate: Candidate, reason: str) -> "State":
        """Return the state in which a candidate is in force; raise PackError if it was withdrawn.

        Whoever asked has said by then that the old pack is in force, or asks for another one.
        """
        if self.candidate != candidate:
            raise PackError("it was withdrawn before it was in force")
        return self.accept(candidate.selection, candidate.token, reason)

    def refuse(self, candidate: Candidate, reason: str) -> "State":
        """Return the state in which a candidate was refused, and all else is as it was."""
        outcome = Outcome(token=candidate.token, accepted=False, reason=reason)
        return msgspec.structs.replace(self.withdraw(candidate), outcome=outcome)

    def withdraw(self, candidate: Candidate) -> "State":
        """Return the state in which that candidate is asked for no more; another one stays."""
        asked = None if self.candidate == candidate else self.candidate
        return msgspec.structs.replace(self, candidate=asked)

    def give_back(self, reason: str, *, shipped: bool = False) -> "State":
        """Return the state in which the last good selection is in force again, or what was shipped.

        The pack that is left is remembered, so that no update brings it back by itself.
        """
        asked = self.candidate
        before = self if asked is None else self.refuse(asked, f"meanwhile {reason}; try again")
        back = msgspec.structs.replace(
            Selection() if shipped or self.last_good is None else self.last_good,
            disabled=self.in_force.disabled,
            enabled=self.in_force.enabled,
        )
        rejected = dict(self.rejected)
        if self.in_force.pack != back.pack:
            rejected[self.in_force.pack] = reason
        return msgspec.structs.replace(before, in_force=back, last_good=None, rejected=rejected)


class Step(StrEnum):
    """The named steps of an installation, in order; a process may end after any of them."""

    FETCHED = "fetched"
    READ = "read"
    COMPILED = "compiled"
    PROVED = "proved"
    WRITTEN = "written"
    STORED = "stored"
    DRAFTED = "drafted"
    DECIDED = "decided"


@dataclass(frozen=True, slots=True)
class InstalledPack:
    """An archive that is here: its identity, the parts of it, and its file's name."""

    identity: str
    name: str
    number: int
    file: str
