"""The nouns of actions. Times are seconds since the epoch."""

from enum import StrEnum

import msgspec

from davylamp.events import Struct


class Kind(StrEnum):
    """What may be done. ``tag`` is done for every alert, by whoever records it."""

    TAG = "tag"
    FEEDBACK = "feedback"
    QUARANTINE = "quarantine"
    DOCKER_PAUSE = "docker-pause"
    DOCKER_STOP = "docker-stop"
    DOCKER_DISCONNECT = "docker-disconnect"
    KUBERNETES_LABEL = "kubernetes-label"
    KUBERNETES_DELETE = "kubernetes-delete"
    WEBHOOK = "webhook"


LASTING = frozenset(
    {
        Kind.FEEDBACK,
        Kind.QUARANTINE,
        Kind.DOCKER_PAUSE,
        Kind.DOCKER_STOP,
        Kind.DOCKER_DISCONNECT,
        Kind.KUBERNETES_LABEL,
    }
)
"""What lasts, and so can be undone."""


class Status(StrEnum):
    """How far an action is."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    WOULD = "would"
    """It would have been done, were this not a dry run."""
    UNDOING = "undoing"
    UNDONE = "undone"


class Planned(Struct, frozen=True, kw_only=True):
    """One thing to do about one incident; ``target`` is what it is done to, in words.

    ``seconds`` is how long it lasts, 0 for until it is undone; ``seen`` when the incident's last
    alert was. The rest is what executors need.
    """

    incident_id: str
    kind: Kind
    target: str
    reason: str
    severity: str
    grade: str
    lifecycle_id: str = ""
    container: str = ""
    container_id: str = ""
    run_id: str = ""
    rollout_id: str = ""
    tool_call_id: str = ""
    candidates: tuple[str, ...] = ()
    step: int | None = None
    addresses: tuple[str, ...] = ()
    seconds: float = 0.0
    seen: float = 0.0

    @property
    def id(self) -> str:
        """What is done once, by whichever gateway is first."""
        return f"{self.incident_id}/{self.kind}/{self.target}"

    @property
    def subject(self) -> str:
        """What no two things are done to at a time."""
        return self.container_id or self.container or self.lifecycle_id or self.target


class Record(Struct, frozen=True, kw_only=True):
    """An action on record: who did it, when, and what came of it.

    ``memo`` is what its undoing needs.
    """

    planned: Planned
    status: Status
    gateway: str
    at: float
    ended: float = 0.0
    attempts: int = 0
    outcome: str = ""
    memo: dict[str, str] = msgspec.field(default_factory=dict)

    def concerns(self, subject: str) -> bool:
        """Tell whether an incident's id, or a container's name, id or lifecycle, means this."""
        planned = self.planned
        return subject in {
            planned.incident_id,
            planned.container,
            planned.container_id,
            planned.lifecycle_id,
        } - {""}


_decoder = msgspec.json.Decoder(Record)
encode = msgspec.json.Encoder(order="deterministic").encode
"""Return a record as one line of JSON."""


def decode(raw: bytes) -> Record:
    """Read a record back; raise msgspec.DecodeError on anything else."""
    return _decoder.decode(raw)
