"""A real Docker engine as a source: who is named while containers come, go and change places."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from tests.attribution.sources.watched import Watched
from tests.dockerd import TRAIN, Dockerd

from davylamp.attribution.model import Attribution, Grade
from davylamp.attribution.server import EmbeddedRedis
from davylamp.attribution.sources.docker import DockerSettings, DockerSource
from davylamp.engines.docker import DockerEngine
from davylamp.engines.docker_model import Container, Event, Info
from davylamp.lineage import Client

pytestmark = pytest.mark.docker


@pytest.fixture
def engine(dockerd: Dockerd) -> Iterator[Dockerd]:
    """Give the engine without a container, and leave it so."""
    yield dockerd
    for one in dockerd.ask("GET", "/containers/json", {"all": "1"}):
        dockerd.remove(one["Id"])


def watch(engine: Dockerd, server: EmbeddedRedis, **settings: Any) -> Watched:
    """Follow that engine."""
    made = DockerSettings(**settings)
    return Watched(server.url, lambda: DockerSource(DockerEngine(engine.url), made))


def named(found: Attribution) -> tuple[str, str, str, str]:
    """Return the container, its id, its run and its rollout."""
    held = found.binding
    assert held is not None, found
    return held.container, held.container_id, held.run_id, held.rollout_id


@dataclass
class Slot:
    """A name that one container after another has, and what is true of the one that has it now.

    The slots differ in who knows the run: its labels; the trainer, who says it once the container
    has started; or the trainer beforehand, which needs an address that is chosen by it.
    """

    number: int
    container: str = ""
    address: str = ""
    lives: int = 0

    @property
    def name(self) -> str:
        """The container's name."""
        return f"sandbox-{self.number}"

    @property
    def kind(self) -> str:
        """Who says which run and rollout it is."""
        return ("labels", "after", "before")[self.number % 3]

    @property
    def fixed(self) -> str:
        """The address that it always has, if the trainer chooses it."""
        return f"10.89.0.{200 + self.number}" if self.kind == "before" else ""

    @property
    def run(self) -> str:
        """The run of this life."""
        return f"run-{self.number % 4}"

    @property
    def rollout(self) -> str:
        """The rollout of this life."""
        return f"rollout-{self.number}-{self.lives}"

    def truth(self) -> tuple[str, str, str, str]:
        """Return what an attribution must say."""
        return self.name, self.container, self.run, self.rollout


@dataclass
class Stage:
    """Twenty containers whose addresses move, a trainer, and what each attribution must be."""

    engine: Dockerd
    trainer: Client
    chance: random.Random
    slots: list[Slot] = field(default_factory=lambda: [Slot(number) for number in range(20)])

    def tell(self, slot: Slot, ip: str) -> None:
        """Have the trainer say which run and rollout has an address."""
        self.trainer.bind(ip=ip, container=slot.name, run_id=slot.run, rollout_id=slot.rollout)

    def begin(self, slot: Slot) -> None:
        """Make a new container under the slot's name, and start it."""
        slot.lives += 1
        labels = {"davylamp.run_id": slot.run, "davylamp.rollout_id": slot.rollout}
        slot.container = self.engine.make(
            slot.name, ip=slot.fixed, labels=labels if slot.kind == "labels" else {}
        )
        self.start(slot)

    def start(self, slot: Slot) -> None:
        """Start the slot's container; what the trainer says of it comes in its time."""
        if slot.kind == "before":
            self.tell(slot, slot.fixed)
        self.engine.act(slot.container, "start")
        slot.address = self.engine.address(slot.container)
        if slot.kind == "after":
            self.tell(slot, slot.address)

    def change(self) -> None:
        """Let something happen: addresses go from one container to another in each case."""
        one, other = self.chance.sample(self.slots, 2)
        match self.chance.choice(("kill", "restart", "replace", "swap", *6 * ("move",))):
            case "kill":
                self.kill(one)
                self.start(one)
            case "restart":
                self.restart(one)
            case "replace":
                self.engine.remove(one.container)
                self.begin(one)
            case "swap":
                self.kill(one)
                self.kill(other)
                self.start(other)
                self.start(one)
            case _:
                self.move([each for each in (one, other) if each.kind == "labels"])

    def kill(self, slot: Slot) -> None:
        """Kill the slot's container; a trainer has another rollout in it next."""
        self.engine.act(slot.container, "kill")
        slot.lives += slot.kind != "labels"

    def restart(self, slot: Slot) -> None:
        """Restart the slot's container; the trainer says it before, or afterwards."""
        slot.lives += slot.kind != "labels"
        if slot.kind == "before":
            self.tell(slot, slot.fixed)
        self.engine.act(slot.container, "restart", t="0")
        slot.address = self.engine.address(slot.container)
        if slot.kind == "after":
            self.tell(slot, slot.address)

    def move(self, slots: list[Slot]) -> None:
        """Take containers off their network, and put them back on in another order."""
        for each in slots:
            self.network(each, "disconnect")
        for each in reversed(slots):
            self.network(each, "connect")
            each.address = self.engine.address(each.container)

    def network(self, slot: Slot, action: str) -> None:
        """Take the slot's container off the network, or put it back on at some address."""
        path = f"/networks/{self.engine.networks[TRAIN]}/{action}"
        self.engine.ask("POST", path, raw={"Container": slot.container})


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_right_one_of_twenty_is_named_in_each_of_200_rounds(
    engine: Dockerd, server: EmbeddedRedis
) -> None:
    """Container, run, rollout and tool call of who mines, and of the others, are never wrong."""
    chance = random.Random(20)
    asked: list[tuple[str, float, tuple[str, str, str, str], str]] = []
    with Client(server.url) as trainer, watch(engine, server) as watched:
        stage = Stage(engine, trainer, chance)
        for slot in stage.slots:
            stage.begin(slot)
        for number in range(200):
            stage.change()
            miner = chance.choice(stage.slots)
            with trainer.tool_call(container=miner.name, tool_call_id=f"call-{number}"):
                at = time.time()
                for slot in stage.slots:
                    call = f"call-{number}" if slot is miner else ""
                    asked.append((slot.address, at, slot.truth(), call))
                time.sleep(0.002)
            if number % 10 == 9:
                for ip, when, truth, call in asked[-200:]:
                    found = watched.ask(ip, when)
                    assert (named(found), found.info().tool_call_id) == (truth, call)
        addresses = {ip for ip, _, _, _ in asked}
        for ip, when, truth, call in asked:
            found = watched.ask(ip, when)
            assert (named(found), found.info().tool_call_id) == (truth, call)
        held = {ip: {truth[1] for at_ip, _, truth, _ in asked if at_ip == ip} for ip in addresses}
    assert len(asked) == 4000
    assert sum(len(each) > 1 for each in held.values()) >= 10, "addresses were to be used again"


def test_what_changed_while_nobody_looked_is_put_right(
    engine: Dockerd, server: EmbeddedRedis
) -> None:
    """A gateway that comes back knows who ran in between, and from when to when."""
    names = ("gone", "killed", "restarted", "stays")
    with watch(engine, server) as watched:
        made = {name: engine.run(name) for name in names}
        places = {name: engine.address(one) for name, one in made.items()}
        for name, ip in places.items():
            watched.expect(ip, name)
    engine.act(made["restarted"], "restart", t="0")
    engine.act(made["killed"], "kill")
    engine.remove(made["gone"])
    removed = time.time()
    newcomer = engine.run("newcomer", labels={"davylamp.step": "7"})
    with watch(engine, server) as again:
        assert engine.address(newcomer) == places["gone"], "the lowest free one is given out"
        started = time.time()
        found = again.ask(places["gone"], started)
        assert found.binding is not None
        assert (found.binding.container, found.binding.step) == ("newcomer", 7)
        assert removed <= found.binding.valid_from
        before = again.ask(places["gone"], removed - 0.5)
        assert before.binding is not None
        assert before.binding.container == "gone"
        assert before.binding.valid_to is not None
        assert before.binding.valid_to <= removed
        assert again.ask(places["killed"], started).grade in {Grade.STALE, Grade.UNKNOWN}
        restarted = again.ask(engine.address(made["restarted"]), started)
        assert named(restarted)[:2] == ("restarted", made["restarted"])
        assert named(again.ask(places["stays"], started))[0] == "stays"
        with Client(server.url) as trainer:
            store = trainer._store
            lives = store.run(store.operations.look_up("restarted"))
        assert lives is not None
        assert len({each.lifecycle_id for each in lives.bindings}) == 2


@pytest.mark.parametrize("crash", [False, True])
def test_an_engine_that_ends_takes_its_containers_along(
    engine: Dockerd, server: EmbeddedRedis, crash: bool
) -> None:
    """The gateway goes on; what ran is released, and what is started afterwards is bound."""
    with watch(engine, server) as watched:
        one = engine.run("one")
        ip = engine.address(one)
        watched.expect(ip, "one")
        if crash:
            engine.kill()
        else:
            engine.stop()
        watched.wait(lambda: watched.connections() == 0)
        engine.start()
        watched.wait(lambda: watched.connections() > 1)
        watched.expect(ip, "")
        engine.act(one, "start")
        watched.expect(engine.address(one), "one")


class Stuttering(DockerEngine):
    """The engine, but for its events: each comes twice, and again when others have followed."""

    async def events(self, **asked: Any) -> AsyncIterator[Event]:
        """Yield the events so."""
        earlier: list[Event] = []
        async for event in super().events(**asked):
            await asyncio.sleep(0.05)
            earlier.append(event)
            for each in (event, event, *earlier[-6:-1]):
                yield each


def test_events_that_come_late_and_twice_do_no_harm(engine: Dockerd, server: EmbeddedRedis) -> None:
    """An old end does not release a new life, whoever has the address."""
    with Watched(server.url, lambda: DockerSource(Stuttering(engine.url))) as watched:
        made = [(name, engine.run(name)) for name in ("one", "two")]
        asked = []
        for _ in range(4):
            for _, container in made:
                engine.act(container, "kill")
            made.reverse()  # who starts first gets the other's address
            for name, container in made:
                engine.act(container, "start")
                asked.append((engine.address(container), name, time.time()))
        for ip, name, at in asked[-2:]:
            watched.expect(ip, name)
            assert named(watched.ask(ip, at + 0.01))[0] == name
        time.sleep(1.0)  # what is still repeated
        for ip, name, _ in asked[-2:]:
            assert watched.holder(ip) == name


def test_any_label_is_trimmed_and_the_container_still_bound(
    engine: Dockerd, server: EmbeddedRedis
) -> None:
    """Labels beyond count, length and print; names of a site's own; a trace in the environment."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    labels = {f"x{number}": "y" * 5000 for number in range(100)}
    labels |= {"site/run": "run-9", "davylamp.rollout_id": "a\x1b[31mb\n", "\x00": "z"}
    with watch(engine, server, names={"run_id": "site/run"}) as watched:
        made = engine.run("hostile", labels=labels, env=(f"TRACEPARENT={trace}", "OTHER=1"))
        ip = engine.address(made)
        watched.expect(ip, "hostile")
        found = watched.ask(ip, time.time()).binding
    assert found is not None
    assert (found.run_id, found.rollout_id, found.traceparent) == ("run-9", "a[31mb", trace)
    assert len(found.labels) == 64
    assert max(map(len, found.labels.values())) == 512


def test_every_address_of_every_network_that_counts_is_bound(
    engine: Dockerd, server: EmbeddedRedis
) -> None:
    """IPv4 and IPv6 of two networks are one lifecycle; a network that is not named is left out."""
    for name, subnets in (("both", ["10.90.0.0/24", "fd00:90::/64"]), ("other", ["10.91.0.0/24"])):
        if name not in engine.networks:
            engine.network(name, f"br-{name}", *subnets)
    with watch(engine, server, networks=frozenset({"train", "both"})) as watched:
        made = engine.make("many")
        for name in ("both", "other"):
            path = f"/networks/{engine.networks[name]}/connect"
            engine.ask("POST", path, raw={"Container": made})
        engine.act(made, "start")
        found = engine.ask("GET", f"/containers/{made}/json")["NetworkSettings"]["Networks"]
        wanted = [found["train"]["IPAddress"], found["both"]["IPAddress"]]
        wanted.append(found["both"]["GlobalIPv6Address"])
        for ip in wanted:
            watched.expect(ip, "many")
        bound = [watched.ask(ip, time.time()).binding for ip in wanted]
        assert len({each.lifecycle_id for each in bound if each is not None}) == 1
        assert not watched.holder(found["other"]["IPAddress"])


class Ahead(DockerEngine):
    """The engine, with a clock that is a thousand seconds ahead of ours."""

    AHEAD = 1000.0

    async def info(self) -> Info:
        """Return its clock so."""
        info = await super().info()
        return replace(info, system_time=self._moved(info.system_time))

    async def inspect(self, container: str) -> Container | None:
        """Return a container's times so."""
        found = await super().inspect(container)
        if found is None:
            return None
        started = self._moved(found.state.started_at)
        return replace(found, state=replace(found.state, started_at=started))

    async def events(self, **asked: Any) -> AsyncIterator[Event]:
        """Yield events with such times, and be asked for them so."""
        moved = {name: asked.pop(name) - self.AHEAD for name in ("since", "until") if name in asked}
        async for event in super().events(**asked, **moved):
            yield replace(event, time_nano=event.time_nano + int(self.AHEAD * 1e9))

    def _moved(self, text: str) -> str:
        at = datetime.fromisoformat(text)
        return text if at.year < 1970 else (at + timedelta(seconds=self.AHEAD)).isoformat()


def test_an_engine_with_another_clock_is_understood(engine: Dockerd, server: EmbeddedRedis) -> None:
    """Its times are told in ours; the lifecycle's id stays what any gateway calls it."""
    with Watched(server.url, lambda: DockerSource(Ahead(engine.url))) as watched:
        before = time.time()
        made = engine.run("one")
        ip = engine.address(made)
        watched.expect(ip, "one")
        after = time.time()
        held = watched.ask(ip, after).binding
        assert held is not None
        assert before - 0.5 <= held.valid_from <= after
        _, _, started = held.lifecycle_id.partition("@")
        assert before + 999 <= float(started) <= after + 1001
        engine.act(made, "kill")
        watched.expect(ip, "")
        ended = watched.ask(ip, after).binding
        assert ended is not None
        assert ended.valid_to is not None
        assert after - 0.5 <= ended.valid_to <= time.time() + 0.5
