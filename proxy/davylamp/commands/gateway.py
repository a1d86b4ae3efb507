"""``davylamp gateway``: run the gateway on this host."""

import asyncio
import logging
from pathlib import Path

import click
import msgspec

from davylamp.config import GatewayConfig, SandboxConfig, load_config
from davylamp.errors import ConfigError
from davylamp.gateway import Gateway


@click.command("gateway")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="A YAML file.")
@click.option("--interface", multiple=True, help="A training bridge to watch (repeatable).")
@click.option("--mode", type=click.Choice(["observe", "enforce"]), help="Overrides the file.")
@click.option("--keep-rules", is_flag=True, help="Leave the kernel's rules in place on exit.")
def command(
    config_file: Path | None, interface: tuple[str, ...], mode: str | None, *, keep_rules: bool
) -> None:
    """Inspect and police what the sandboxes send; runs until SIGTERM or Ctrl-C.

    Exit status: 0 ended when told to, 2 could not run (the message says why).
    """
    logging.basicConfig(level=logging.INFO, format="davylamp: %(levelname)s: %(message)s")
    config = _configuration(config_file, interface, mode, keep_rules=keep_rules)
    asyncio.run(_run(config))


async def _run(config: GatewayConfig) -> None:
    await Gateway(config).run()


def _configuration(
    config_file: Path | None, interfaces: tuple[str, ...], mode: str | None, *, keep_rules: bool
) -> GatewayConfig:
    if config_file is not None:
        config = load_config(config_file)
    elif interfaces:
        config = GatewayConfig()
    else:
        raise ConfigError("nothing to watch: give --config FILE or --interface NAME")
    changes: dict[str, object] = {}
    if interfaces:
        changes["sandboxes"] = SandboxConfig(
            interfaces=interfaces, subnets=config.sandboxes.subnets
        )
    if mode is not None:
        changes["mode"] = mode
    if keep_rules:
        changes["rules"] = msgspec.structs.replace(config.rules, keep_on_exit=True)
    return msgspec.structs.replace(config, **changes)
