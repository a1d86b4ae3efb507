"""The parts of the Kubernetes API's objects that davylamp reads.

The names are the API's own (kubernetes.io/docs/reference/kubernetes-api, v1). Members that a server
leaves out or sends as null are empty here.
"""

import msgspec

_ENDED = frozenset({"Succeeded", "Failed"})


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of what is read: members in camelCase; unknown ones are skipped."""


class Metadata(Part, frozen=True, kw_only=True):
    """ObjectMeta: what names a pod, once and for all by its ``uid``."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    resource_version: str = ""


class Variable(Part, frozen=True, kw_only=True):
    """EnvVar; ``value`` is absent where it comes from elsewhere."""

    name: str = ""
    value: str | None = None


class Template(Part, frozen=True, kw_only=True):
    """Container: what is to run."""

    image: str = ""
    env: tuple[Variable, ...] | None = None


class Spec(Part, frozen=True, kw_only=True):
    """PodSpec."""

    host_network: bool = False
    containers: tuple[Template, ...] | None = None


class Address(Part, frozen=True, kw_only=True):
    """PodIP."""

    ip: str = ""


class Condition(Part, frozen=True, kw_only=True):
    """PodCondition; the time is RFC 3339."""

    type: str = ""
    status: str = ""
    last_transition_time: str | None = None


class Span(Part, frozen=True, kw_only=True):
    """ContainerStateRunning or -Terminated; the times are RFC 3339."""

    started_at: str | None = None
    finished_at: str | None = None


class ContainerState(Part, frozen=True, kw_only=True):
    """ContainerState: one of these, or waiting."""

    running: Span | None = None
    terminated: Span | None = None

    @property
    def spans(self) -> tuple[Span, ...]:
        """When it ran, or did."""
        return tuple(each for each in (self.running, self.terminated) if each is not None)


class ContainerStatus(Part, frozen=True, kw_only=True):
    """ContainerStatus."""

    state: ContainerState | None = None


class Status(Part, frozen=True, kw_only=True):
    """PodStatus."""

    phase: str = ""
    pod_ip: str = msgspec.field(name="podIP", default="")
    pod_ips: tuple[Address, ...] | None = msgspec.field(name="podIPs", default=None)
    start_time: str | None = None
    conditions: tuple[Condition, ...] | None = None
    init_container_statuses: tuple[ContainerStatus, ...] | None = None
    container_statuses: tuple[ContainerStatus, ...] | None = None


class Pod(Part, frozen=True, kw_only=True):
    """A pod."""

    metadata: Metadata = Metadata()
    spec: Spec = Spec()
    status: Status = Status()

    @property
    def ended(self) -> bool:
        """Whether it runs no more; it still shows the address that it had."""
        return self.status.phase in _ENDED

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its own addresses; one on its node's network has none."""
        if self.spec.host_network:
            return ()
        several = tuple(each.ip for each in self.status.pod_ips or () if each.ip)
        return several or ((self.status.pod_ip,) if self.status.pod_ip else ())


class ListMetadata(Part, frozen=True, kw_only=True):
    """ListMeta: where in time a list is, and whether there is more of it."""

    resource_version: str = ""
    more: str = msgspec.field(name="continue", default="")


class Pods(Part, frozen=True, kw_only=True):
    """PodList."""

    metadata: ListMetadata = ListMetadata()
    items: tuple[Pod, ...] = ()


class WatchEvent(Part, frozen=True, kw_only=True):
    """WatchEvent: ``ADDED``, ``MODIFIED``, ``DELETED``, ``BOOKMARK`` with a pod, or ``ERROR``."""

    type: str = ""
    object: msgspec.Raw = msgspec.Raw(b"{}")


class Trouble(Part, frozen=True, kw_only=True):
    """Status, as an ERROR or a refused request has it."""

    code: int = 0
    message: str = ""
