"""Every Redis key that davylamp writes, in one place; docs/lineage.md is its description for users.

All keys share one prefix. Scripts touch several keys at once, so on a Redis Cluster the prefix is
written ``{davylamp}:``: the braces make it the hash tag and put all of lineage into one slot.
"""

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of keys under a prefix."""

    prefix: str = "davylamp:"

    @property
    def changes(self) -> str:
        """Stream of changes, field ``change``: a JSON BindingChange or ToolCallChange."""
        return f"{self.prefix}lineage:changes"

    @property
    def addresses(self) -> str:
        """Sorted set of every address on record, by the time of its last change."""
        return f"{self.prefix}lineage:addresses"

    def current(self, ip: str) -> str:
        """Name the JSON Binding that holds the address now; absent when nobody does."""
        return f"{self.prefix}address:{ip}"

    def past(self, ip: str) -> str:
        """Sorted set of JSON Bindings that held the address, by ``valid_from``."""
        return f"{self.prefix}address-past:{ip}"

    def version(self, ip: str) -> str:
        """Name the version of the address's history, which writers compare and set."""
        return f"{self.prefix}address-version:{ip}"

    def container(self, name: str) -> str:
        """Hash: the record of the newest lifecycle of a container, its incidents counted in it."""
        return f"{self.prefix}container:{name}"

    def lifecycles(self, name: str) -> str:
        """Sorted set of a container name's lifecycle ids, by start."""
        return f"{self.prefix}container-lifecycles:{name}"

    def lifecycle_addresses(self, lifecycle: str) -> str:
        """Set of the addresses a lifecycle has held."""
        return f"{self.prefix}lifecycle-addresses:{lifecycle}"

    def calls(self, lifecycle: str) -> str:
        """Hash of a lifecycle's tool calls: tool_call_id to JSON ToolCall."""
        return f"{self.prefix}calls:{lifecycle}"

    def calls_order(self, lifecycle: str) -> str:
        """Sorted set of a lifecycle's tool_call_ids, by start."""
        return f"{self.prefix}calls-order:{lifecycle}"

    def incidents(self, lifecycle: str) -> str:
        """Hash of the alerts on a lifecycle: incident/flow/signature to the JSON event."""
        return f"{self.prefix}incidents:{lifecycle}"

    def incidents_order(self, lifecycle: str) -> str:
        """Sorted set of the fields of ``incidents``, by time."""
        return f"{self.prefix}incidents-order:{lifecycle}"

    def rollout(self, run_id: str, rollout_id: str) -> str:
        """Hash: whether a rollout may be learned from, and if not, why (RolloutVerdict)."""
        return f"{self.prefix}rollout:{quote(run_id, safe='')}:{quote(rollout_id, safe='')}"

    def rollout_marks(self, run_id: str, rollout_id: str) -> str:
        """Hash: each reason why it may not be, incident/tool call to the fields of the record."""
        return f"{self.prefix}rollout-marks:{quote(run_id, safe='')}:{quote(rollout_id, safe='')}"

    @property
    def feedback(self) -> str:
        """Stream of verdicts on rollouts, field ``verdict``: a JSON RolloutVerdict."""
        return f"{self.prefix}feedback"

    @property
    def events(self) -> str:
        """Stream of every event, field ``event``: the JSON line."""
        return f"{self.prefix}events"

    def event_seen(self, event_id: str) -> str:
        """Name the mark of a recorded event, by which a repeated record does nothing."""
        return f"{self.prefix}event-seen:{event_id}"


@dataclass(frozen=True, slots=True)
class Retention:
    """How much Redis keeps: counts, and seconds for records that nobody changes any more."""

    bindings: int = 64
    lifecycles: int = 64
    calls: int = 512
    incidents: int = 1_000
    addresses: int = 262_144
    changes: int = 100_000
    events: int = 100_000
    seconds: int = 30 * 24 * 3600
    seen_seconds: int = 7 * 24 * 3600
