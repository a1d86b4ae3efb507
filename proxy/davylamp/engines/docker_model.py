"""The parts of the Docker Engine API's answers that davylamp reads.

The names are the API's own (docs.docker.com/reference/api/engine, v1.41). Members that an engine
leaves out or sends as null are empty here: engines of ten years and Podman's imitation answer.
"""

from enum import StrEnum

import msgspec
from msgspec import field


class Reply(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Base of what an engine answers: its members are in PascalCase; unknown ones are skipped."""


class Version(Reply, frozen=True, kw_only=True):
    """GET /version."""

    version: str = ""
    api_version: str = ""
    os: str = ""


class Info(Reply, frozen=True, kw_only=True):
    """GET /info; ``system_time`` is the engine's own clock, in RFC 3339."""

    id: str = field(name="ID", default="")
    name: str = ""
    server_version: str = ""
    system_time: str = ""
    live_restore: bool = field(name="LiveRestoreEnabled", default=False)


class Fixed(Reply, frozen=True, kw_only=True):
    """The addresses that were asked for, not left to the engine to choose."""

    ipv4: str | None = field(name="IPv4Address", default=None)
    ipv6: str | None = field(name="IPv6Address", default=None)


class Attachment(Reply, frozen=True, kw_only=True):
    """A container's place on one network; the addresses are empty while it does not run."""

    network_id: str = field(name="NetworkID", default="")
    ipv4: str = field(name="IPAddress", default="")
    ipv6: str = field(name="GlobalIPv6Address", default="")
    fixed: Fixed | None = field(name="IPAMConfig", default=None)

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses it has now."""
        return tuple(each for each in (self.ipv4, self.ipv6) if each)

    @property
    def fixed_addresses(self) -> tuple[str, ...]:
        """The addresses it has whenever it runs."""
        if self.fixed is None:
            return ()
        return tuple(each for each in (self.fixed.ipv4, self.fixed.ipv6) if each)


class Settings(Reply, frozen=True, kw_only=True):
    """NetworkSettings: the networks by name."""

    networks: dict[str, Attachment | None] | None = None


class Listed(Reply, frozen=True, kw_only=True):
    """One row of GET /containers/json; a name begins with a slash."""

    id: str
    names: tuple[str, ...] | None = None
    image: str = ""
    state: str = ""
    labels: dict[str, str] | None = None


class State(Reply, frozen=True, kw_only=True):
    """A container's state; the times are in RFC 3339, year 1 where there is none."""

    status: str = ""
    running: bool = False
    paused: bool = False
    restarting: bool = False
    pid: int = 0
    exit_code: int = 0
    started_at: str = ""
    finished_at: str = ""


class Settled(Reply, frozen=True, kw_only=True):
    """Config: what a container was created with; ``env`` holds ``NAME=value``."""

    image: str = ""
    env: tuple[str, ...] | None = None
    labels: dict[str, str] | None = None


class Container(Reply, frozen=True, kw_only=True):
    """GET /containers/ID/json."""

    id: str
    name: str = ""
    created: str = ""
    state: State = State()
    config: Settled = Settled()
    network_settings: Settings = Settings()

    @property
    def plain_name(self) -> str:
        """The name without the slash that the API puts before it."""
        return self.name.removeprefix("/")

    @property
    def attachments(self) -> dict[str, Attachment]:
        """Its networks by name."""
        found = self.network_settings.networks or {}
        return {name: one for name, one in found.items() if one is not None}


class Pool(Reply, frozen=True, kw_only=True):
    """Where a network's addresses come from."""

    subnet: str = ""


class Addressing(Reply, frozen=True, kw_only=True):
    """A network's pools."""

    config: tuple[Pool, ...] | None = None


class Network(Reply, frozen=True, kw_only=True):
    """One of GET /networks."""

    id: str
    name: str = ""
    driver: str = ""
    internal: bool = False
    ipv6: bool = field(name="EnableIPv6", default=False)
    labels: dict[str, str] | None = None
    options: dict[str, str] | None = None
    addressing: Addressing | None = field(name="IPAM", default=None)

    @property
    def subnets(self) -> tuple[str, ...]:
        """The networks that its addresses are of."""
        pools = (self.addressing.config if self.addressing else None) or ()
        return tuple(pool.subnet for pool in pools if pool.subnet)


class Actor(Reply, frozen=True, kw_only=True):
    """What an event is about: of a container's, the labels and ``name`` are attributes."""

    id: str = field(name="ID", default="")
    attributes: dict[str, str] | None = None


class Event(Reply, frozen=True, kw_only=True):
    """One of GET /events. A line that cannot be read comes as type ``unreadable``."""

    type: str = ""
    action: str = ""
    actor: Actor = Actor()
    time: int = field(name="time", default=0)
    time_nano: int = field(name="timeNano", default=0)

    @property
    def at(self) -> float:
        """When it happened by the engine's clock, in seconds since the epoch."""
        return self.time_nano / 1e9 if self.time_nano else float(self.time)

    @property
    def container_id(self) -> str:
        """The container that it concerns, also where it is a network's event."""
        if self.type == "container":
            return self.actor.id
        return (self.actor.attributes or {}).get("container", "")


UNREADABLE = "unreadable"


class Outcome(StrEnum):
    """What became of an action on a container.

    ``unchanged``: it was so already. ``gone``: there is no such container or network.
    ``conflict``: its state does not allow it, as pausing one that does not run.
    """

    DONE = "done"
    UNCHANGED = "unchanged"
    GONE = "gone"
    CONFLICT = "conflict"


class Made(Reply, frozen=True, kw_only=True):
    """What was created."""

    id: str = ""


class ExecState(Reply, frozen=True, kw_only=True):
    """GET /exec/ID/json; ``exit_code`` is None while the program runs."""

    exit_code: int | None = None


class Executed(msgspec.Struct, frozen=True):
    """A program that ran in a container: its exit status, and what it said."""

    status: int
    output: bytes
