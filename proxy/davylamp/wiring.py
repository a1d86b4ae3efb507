"""From configuration to the core's own types: pack, policy, limits, ruleset."""

import ipaddress
from collections.abc import Iterable
from pathlib import Path

from davylamp import paths
from davylamp.config import GatewayConfig
from davylamp.enforcement.spec import ExceptionPolicy, RulesetSpec
from davylamp.errors import ConfigError
from davylamp.events import Action
from davylamp.flowtable import FlowLimits
from davylamp.inspection.inspector import InspectionLimits
from davylamp.marks import MarkField
from davylamp.pipeline import PipelineLimits
from davylamp.policy import DEFAULT_ACTIONS, Mode, Network, Policy, SshPolicy
from davylamp.signatures.disk import load_directory
from davylamp.signatures.model import Category
from davylamp.signatures.pack import Pack


def pack_of(config: GatewayConfig) -> Pack:
    """Load the configured signature pack, or the core one; raise PackError if it is bad."""
    return load_directory(
        Path(config.signatures) if config.signatures else paths.SIGNATURES / "core"
    )


def policy_of(config: GatewayConfig) -> Policy:
    """Return the policy; raise ConfigError naming a category or network that is none."""
    actions = dict(DEFAULT_ACTIONS)
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
        block_confidence=config.policy.block_confidence,
    )


def limits_of(config: GatewayConfig) -> PipelineLimits:
    """Return the core's bounds for one worker."""
    return PipelineLimits(
        flows=FlowLimits(flows=config.inspection.flows, held=config.inspection.held_bytes),
        inspection=InspectionLimits(depth=config.inspection.depth),
    )


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
    )


def networks_of(texts: Iterable[str], where: str) -> tuple[Network, ...]:
    """Parse networks; raise ConfigError naming ``where`` the bad one stands."""
    networks: list[Network] = []
    for text in texts:
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise ConfigError(f"{where}: {error}; write 10.88.0.0/16") from error
    return tuple(networks)
