"""From configuration to the core's own types: pack, policy, limits, ruleset."""

import ipaddress
from collections.abc import Iterable
from pathlib import Path

import msgspec

from davylamp import paths
from davylamp.attribution.place import Place, default_place, place_under
from davylamp.config import GatewayConfig
from davylamp.enforcement.interfaces import networks_on
from davylamp.enforcement.spec import ExceptionPolicy, RulesetSpec, SteeringSpec
from davylamp.errors import ConfigError
from davylamp.events import Action
from davylamp.flowtable import FlowLimits
from davylamp.incidents.place import state_folder
from davylamp.inspection.inspector import InspectionLimits
from davylamp.marks import MarkField
from davylamp.pipeline import PipelineLimits
from davylamp.policy import DEFAULT_ACTIONS, PRIVATE_NETWORKS, Mode, Network, Policy, SshPolicy
from davylamp.signatures.model import Category
from davylamp.signatures.pack import Pack
from davylamp.steering import SteeringPolicy, TrustedNames
from davylamp.updates.loading import PackSource, load_source
from davylamp.updates.store import Store


def place_of(config: GatewayConfig) -> Place:
    """Return where a gateway keeps its private store, and meets its successor."""
    if config.state_dir:
        return place_under(Path(config.state_dir).absolute())
    return default_place()


def lineage_url(config: GatewayConfig) -> str:
    """Return the URL of the store that a gateway uses: one that is named, else its own."""
    return config.lineage.redis or place_of(config).url


def store_of(config: GatewayConfig) -> Store:
    """Return the folder of installed packs."""
    folder = config.pack.directory or str(state_folder(config) / "packs")
    return Store(Path(folder).absolute(), config.pack.local)


def pack_of(config: GatewayConfig) -> Pack:
    """Compile the pack that a gateway would begin with; raise PackError if it is bad."""
    if config.signatures:
        return load_source(source_of(config)).pack
    store = store_of(config)
    return load_source(store.source(store.state().in_force)).pack


def source_of(config: GatewayConfig) -> PackSource:
    """Return the pack that is to be used without an update: the configured folder, or the core."""
    return PackSource(path=config.signatures or str(paths.SIGNATURES / "core"))


def policy_of(config: GatewayConfig) -> Policy:
    """Return the policy; raise ConfigError naming a category or network that is none."""
    actions = dict(DEFAULT_ACTIONS)
    intercept = config.intercept
    if intercept.enabled and intercept.resolvers and intercept.foreign_dns != "pass":
        actions[Category.RESOLVER] = Action.REJECT  # like any other resolver that is not the site's
    for name, action in config.policy.actions.items():
        try:
            actions[Category(name)] = Action(action)
        except ValueError as error:
            known = ", ".join(category.value for category in Category)
            raise ConfigError(f"policy.actions: no category {name!r}; use {known}") from error
    return Policy(
        mode=Mode(config.mode),
        actions=actions,
        dns=Action(config.policy.dns),
        ssh=SshPolicy(
            frozenset(config.policy.ssh.ports),
            networks_of(config.policy.ssh.networks, "policy.ssh.networks"),
        ),
        nodes=PRIVATE_NETWORKS
        if config.policy.nodes is None
        else networks_of(config.policy.nodes, "policy.nodes"),
        block_confidence=config.policy.block_confidence,
    )


def limits_of(config: GatewayConfig) -> PipelineLimits:
    """Return the core's bounds for one worker."""
    return PipelineLimits(
        flows=FlowLimits(flows=config.inspection.flows, held=config.inspection.held_bytes),
        inspection=InspectionLimits(depth=config.inspection.depth),
    )


def with_inside(config: GatewayConfig) -> GatewayConfig:
    """Return a configuration that says which networks the sandboxes are in, if that matters.

    Where the site did not say it, the bridges' own addresses do. Raises ConfigError where they do
    not, and KernelError where they cannot be read.
    """
    if config.sandboxes.subnets or not config.intercept.enabled:
        return config
    subnets = networks_on(config.sandboxes.interfaces)
    if not subnets:
        names = ", ".join(config.sandboxes.interfaces)
        raise ConfigError(
            f"intercept: no address on {names} says which network the sandboxes are in; "
            "name it under sandboxes.subnets"
        )
    sandboxes = msgspec.structs.replace(config.sandboxes, subnets=subnets)
    return msgspec.structs.replace(config, sandboxes=sandboxes)


def ruleset_of(config: GatewayConfig) -> RulesetSpec:
    """Return the kernel's part."""
    return RulesetSpec(
        sandbox_interfaces=config.sandboxes.interfaces,
        sandbox_subnets=config.sandboxes.subnets,
        table=config.rules.table,
        first_queue=config.queues.first,
        queues=config.queues.workers,
        exception_policy=ExceptionPolicy(config.exception_policy),
        drop_invalid=Mode(config.mode) is Mode.ENFORCE,
        marks=MarkField(config.rules.mark_shift),
        sample_group=config.rules.sample_group,
        steering=_steering_spec(config) if config.intercept.enabled else None,
    )


def steering_of(config: GatewayConfig) -> SteeringPolicy | None:
    """Return who may go straight and who may not; None where nothing is opened."""
    intercept = config.intercept
    if not intercept.enabled:
        return None
    return SteeringPolicy(
        trusted=TrustedNames(config.policy.trusted),
        resolvers=frozenset(one.network_address.packed for one in _resolvers(config)),
        inside=networks_of(config.sandboxes.subnets, "sandboxes.subnets"),
        exempt=networks_of(intercept.exempt, "intercept.exempt"),
        ports=frozenset(intercept.ports),
        binding_seconds=intercept.binding_seconds,
    )


def _steering_spec(config: GatewayConfig) -> SteeringSpec:
    intercept = config.intercept
    resolvers = _resolvers(config)
    # Who only looks on refuses nothing; who names no resolver has no foreign ones.
    refuses = Mode(config.mode) is Mode.ENFORCE
    return SteeringSpec(
        first_port=intercept.first_port,
        proxies=intercept.workers,
        ports=frozenset(intercept.ports),
        resolvers=resolvers,
        exempt=networks_of(intercept.exempt, "intercept.exempt"),
        refuses_quic=refuses and intercept.quic == "refuse",
        refuses_dns=refuses and bool(resolvers) and intercept.foreign_dns != "pass",
        redirects_dns=refuses and bool(resolvers) and intercept.foreign_dns == "redirect",
    )


def _resolvers(config: GatewayConfig) -> tuple[Network, ...]:
    where = "intercept.resolvers"
    found = networks_of(config.intercept.resolvers, where, example="10.88.0.53")
    for one in found:
        if one.num_addresses != 1:
            raise ConfigError(f"{where}: {one} is a network; write addresses, as 10.88.0.53")
    return found


def networks_of(
    texts: Iterable[str], where: str, *, example: str = "10.88.0.0/16"
) -> tuple[Network, ...]:
    """Parse networks; raise ConfigError naming ``where`` the bad one stands, and an ``example``."""
    networks: list[Network] = []
    for text in texts:
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise ConfigError(f"{where}: {error}; write {example}") from error
    return tuple(networks)
