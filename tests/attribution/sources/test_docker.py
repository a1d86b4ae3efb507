"""A real Docker engine as a source: who is named while containers come, go and change places."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.attribution.sources.watched import Watched
from tests.dockerd import TRAIN, Dockerd

from davylamp.attribution.model import Attribution, Grade
from davylamp.attribution.server import EmbeddedRedis
from davylamp.attribution.sources.docker import DockerSettings, DockerSource
from davylamp.engines.docker import DockerEngine
from davylamp.engines.docker_model import Event
from davylamp.lineage import Client

pytestmark = pytest.mark.docker

type Watch = Callable[..., Watched]


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
        match self.chance.choice(("kill", "restart", "replace", "swap", "move", "move")):
            case "kill":
                self.engine.act(one.container, "kill")
                one.lives += one.kind != "labels"
                self.start(one)
            case "restart":
                # The trainer says it afterwards, or before the engine gets to it.
                one.lives += one.kind != "labels"
                if one.kind == "before":
                    self.tell(one, one.fixed)
                self.engine.act(one.container, "restart", t="0")
                one.address = self.engine.address(one.container)
                if one.kind == "after":
                    self.tell(one, one.address)
            case "replace":
                self.engine.remove(one.container)
                self.begin(one)
            case "swap":
                for each in (one, other):
                    self.engine.act(each.container, "kill")
                    each.lives += each.kind != "labels"
                for each in (other, one):
                    self.start(each)
            case _:
                moving = [each for each in (one, other) if each.kind == "labels"]
                for each in moving:
                    self.network(each, "disconnect")
                for each in reversed(moving):
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
    """Container, run, rollout and tool call of the one that mines, and of the others; none wrong."""
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
