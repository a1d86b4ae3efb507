"""What follows from alerts beyond the verdict itself, wired: shared blocks, quarantines, actions.

Order: the kernel's rules must be in force before :meth:`Response.run`, whose first step reads what
they kept over a restart.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from pathlib import Path

from davylamp.actions.attempts import Limits
from davylamp.actions.docker import DockerExecutor
from davylamp.actions.executor import Executor
from davylamp.actions.feedback import FeedbackExecutor
from davylamp.actions.kubernetes import KubernetesExecutor
from davylamp.actions.model import Kind, Record
from davylamp.actions.plan import ActionPolicy, Rule, When, plan
from davylamp.actions.quarantine import QuarantineExecutor
from davylamp.actions.runner import ActionRunner
from davylamp.actions.telling import told
from davylamp.actions.webhook import WebhookExecutor
from davylamp.attribution.model import Change, Grade
from davylamp.attribution.store import AsyncStore
from davylamp.attribution.table import LineageTable
from davylamp.blocks.follow import BlockFollower
from davylamp.blocks.share import Sharer
from davylamp.blocks.spared import Spared
from davylamp.blocks.succession import Succession
from davylamp.blocks.warden import Warden
from davylamp.config import ActionConfig, GatewayConfig
from davylamp.enforcement.kernel import Kernel
from davylamp.enforcement.nftset import KernelSets
from davylamp.engines.docker import DockerEngine
from davylamp.engines.kubernetes import KubernetesApi
from davylamp.errors import ConfigError
from davylamp.events import ActionEvent, AlertEvent, AnyEvent
from davylamp.incidents.model import Level
from davylamp.incidents.operations import IncidentOperations
from davylamp.policy import Mode, Network
from davylamp.signatures.model import Category
from davylamp.sinks import webhook_of
from davylamp.wiring import networks_of

_DOCKER = (Kind.DOCKER_PAUSE, Kind.DOCKER_STOP, Kind.DOCKER_DISCONNECT)
_KUBERNETES = (Kind.KUBERNETES_LABEL, Kind.KUBERNETES_DELETE)


class Response:
    """Everything of one gateway that acts on alerts after the fact.

    ``spool`` is where the gateway's spools are; ``publish`` takes what is told of actions. Raises
    ConfigError where actions cannot be what is asked.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - it joins all of these
        self,
        config: GatewayConfig,
        kernel: Kernel,
        store: AsyncStore,
        table: LineageTable,
        spool: Path,
        publish: Callable[[ActionEvent], None],
    ) -> None:
        name = name_of(config)
        enforcing = Mode(config.mode) is Mode.ENFORCE
        self._store = store
        self._incidents = IncidentOperations.beside(store.operations)
        self._publish = publish
        self._policy = action_policy_of(config)
        self._stack = contextlib.AsyncExitStack()
        sets = self._stack.enter_context(KernelSets(config.rules.table))
        spared = Spared(sets, unshared_of(config), steering=config.intercept.enabled)
        self._sharer = Sharer(
            store,
            spared,
            name=name,
            needed=config.policy.block_confidence,
            seconds=config.policy.block_seconds,
            clock=time.time,
        )
        self._shares = enforcing and config.policy.share
        self._warden = Warden(
            sets,
            spared,
            table,
            refuses=enforcing,
            shares=config.policy.share,
            confines=enforcing or config.actions.in_observe,
            block_seconds=config.policy.block_seconds,
            guard=lambda on: kernel.guard(on=on),
            clock=time.time,
        )
        seconds = config.policy.block_seconds
        self._succession = Succession(sets, table, block_seconds=seconds, clock=time.time)
        self._runner = ActionRunner(
            store,
            self._executors(config, name, spool),
            name=name,
            dry_run=config.actions.dry_run,
            limits=Limits(config.actions.timeout_seconds, config.actions.attempts),
            on_outcome=self._told,
            clock=time.time,
        )
        self._follower = BlockFollower(
            store,
            self._warden,
            name=name,
            enforcing=enforcing,
            shares=config.policy.share,
            clock=time.time,
            on_undo=self._runner.look,
        )

    def take(self, event: AnyEvent) -> None:
        """Tell other gateways of an alert's endpoint, if it is for nobody."""
        if self._shares and isinstance(event, AlertEvent):
            self._sharer.take(event)

    def heard(self, change: Change) -> None:
        """Take in a change of lineage that the table has by now."""
        self._warden.heard(change)
        self._succession.heard(change)

    def forgotten(self) -> None:
        """Have the kernel told again what it refuses: its sets were lost."""
        self._warden.begin()
        self._follower.start_over()

    async def about(self, incident_id: str) -> None:
        """Have done what policy says about an incident; raise LineageUnavailable."""
        if self._policy.idle:
            return
        held = await self._store.run(self._incidents.held(incident_id))
        if held is not None:
            await self._runner.submit(plan(held.incident, self._policy))

    async def run(self) -> None:
        """Follow, share and act until cancelled."""
        self._warden.begin()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follower.run())
            group.create_task(self._sharer.run())
            group.create_task(self._succession.run())
            group.create_task(self._runner.run())

    async def close(self) -> None:
        """Close the connections; what the kernel has it keeps."""
        await self._stack.aclose()

    def _told(self, record: Record) -> None:
        self._publish(told(record, time.time()))

    def _executors(self, config: GatewayConfig, name: str, spool: Path) -> dict[Kind, Executor]:
        """Return what carries out the kinds that rules name, and what such rules left to undo."""
        actions, store = config.actions, self._store
        found: dict[Kind, Executor] = {
            Kind.QUARANTINE: QuarantineExecutor(store, name),
            Kind.FEEDBACK: FeedbackExecutor(store, name),
        }
        url = actions.docker.url or config.lineage.sources.docker.url
        engine = DockerEngine(url, seconds=actions.timeout_seconds)
        self._stack.push_async_callback(engine.close)
        found |= dict.fromkeys(_DOCKER, DockerExecutor(store, engine))
        if actions.kubernetes.url:
            given = actions.kubernetes
            api = KubernetesApi(
                given.url, token_file=given.token_file, ca=given.ca, seconds=actions.timeout_seconds
            )
            self._stack.push_async_callback(api.close)
            found |= dict.fromkeys(_KUBERNETES, KubernetesExecutor(store, api, given.label))
        if actions.webhook.url:
            folder = spool.with_name(f"{spool.name}-actions")
            sink = webhook_of(actions.webhook, folder, "actions.webhook")
            self._stack.push_async_callback(sink.close)
            found[Kind.WEBHOOK] = WebhookExecutor(sink, name)
        return found


def name_of(config: GatewayConfig) -> str:
    """Return what a gateway is called among others."""
    return config.name or socket.gethostname()


def action_policy_of(config: GatewayConfig) -> ActionPolicy:
    """Return the rules for actions; raise ConfigError where one asks for what is not set up."""
    actions = config.actions
    rules = tuple(
        Rule(
            When(
                Level(rule.when.severity_at_least),
                Grade(rule.when.grade_at_least),
                frozenset(map(_category, rule.when.categories)),
            ),
            tuple(map(Kind, rule.do)),
        )
        for rule in actions.on_incident
    )
    _check_set_up(actions, frozenset(kind for rule in rules for kind in rule.do))
    return ActionPolicy(
        rules=rules,
        acts=Mode(config.mode) is Mode.ENFORCE or actions.in_observe,
        quarantine_seconds=actions.quarantine_seconds,
    )


def unshared_of(config: GatewayConfig) -> tuple[Network, ...]:
    """Return the networks whose endpoints no verdict of another gateway's refuses."""
    given = (
        (config.policy.share_except, "policy.share_except"),
        (config.intercept.resolvers, "intercept.resolvers"),
        (config.intercept.exempt, "intercept.exempt"),
    )
    return tuple(one for texts, where in given for one in networks_of(texts, where))


def _category(name: str) -> str:
    try:
        return Category(name)
    except ValueError:
        known = ", ".join(category.value for category in Category)
        raise ConfigError(f"actions.on_incident: no category {name!r}; use {known}") from None


def _check_set_up(actions: ActionConfig, kinds: frozenset[Kind]) -> None:
    if Kind.WEBHOOK in kinds and not actions.webhook.url:
        raise ConfigError("actions.on_incident says webhook; name one under actions.webhook.url")
    if kinds.intersection(_KUBERNETES) and not actions.kubernetes.url:
        raise ConfigError(
            "actions.on_incident acts on pods; name the API server under actions.kubernetes.url"
        )
