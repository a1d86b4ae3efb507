"""The agent, wired: the engine's word into the store, and the kernel's on translated flows."""

import asyncio
import logging
import signal
import socket
import time
import uuid
from ipaddress import ip_address

from davylamp.agent.addresses import own_addresses
from davylamp.agent.config import AgentConfig
from davylamp.agent.flows import LiveFlows
from davylamp.agent.publisher import Publisher
from davylamp.agent.watch import Watch
from davylamp.attribution.hosts.ledger import HostLedger
from davylamp.attribution.hosts.model import Agent as Record
from davylamp.attribution.model import address_on, canonical_ip
from davylamp.attribution.sources.source import StoreLedger
from davylamp.attribution.sources.supervised import SupervisedSources
from davylamp.attribution.store import AsyncStore
from davylamp.errors import CaptureError, ConfigError
from davylamp.sources import docker_source

_AGAIN = 1.0

logger = logging.getLogger(__name__)


class Agent:
    """One agent in this network namespace, which must be the host's."""

    def __init__(self, config: AgentConfig) -> None:
        """Check everything that can be checked; raise ConfigError with what to change."""
        if not config.redis:
            raise ConfigError("no store: say where the gateways keep lineage with --redis URL")
        self._name = config.name or socket.gethostname()
        given = config.addresses or own_addresses()
        self._addresses = tuple(dict.fromkeys(map(canonical_ip, given)))
        if not self._addresses:
            raise ConfigError(
                "the host has no default route: name the addresses that its sandboxes leave under "
                "with --host-address IP"
            )
        address_on(self._name, self._addresses[0])
        self._id = uuid.uuid4().hex
        self._store = AsyncStore(config.redis)
        self._publisher = Publisher(self._store, time.time)
        packed = [ip_address(each).packed for each in self._addresses]
        self._flows = LiveFlows(self._name, packed)
        ledger = HostLedger(StoreLedger(self._store), self._name)
        sources = (docker_source(config.docker),) if config.docker.enabled else ()
        self._sources = SupervisedSources(sources, ledger)
        self._ending = asyncio.Event()

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; raise KernelError if the kernel refuses."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        watch = Watch(self._flows, self._publisher, time.time)
        ending = asyncio.create_task(self._ending.wait())
        tasks = [
            asyncio.create_task(self._follow(watch)),
            asyncio.create_task(self._publisher.run(self._record, self._flows.alive)),
        ]
        if self._sources.health:
            tasks.append(asyncio.create_task(self._sources.run()))
        try:
            logger.info("ready: %s, which sends as %s", self._name, ", ".join(self._addresses))
            done, _ = await asyncio.wait([ending, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            logger.info("ending")
        finally:
            for task in (*tasks, ending):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._store.close()

    def _record(self, seen: float) -> Record:
        return Record(
            name=self._name,
            id=self._id,
            addresses=self._addresses,
            watch=self._flows.watch,
            seen=seen,
        )

    async def _follow(self, watch: Watch) -> None:
        """Hear the kernel for good; a socket that is lost is opened anew, which is a gap."""
        while True:
            try:
                await watch.run()
            except CaptureError as error:
                logger.warning("%s; it is opened again", error)
            await asyncio.sleep(_AGAIN)
            watch = Watch(self._flows, self._publisher, time.time)
