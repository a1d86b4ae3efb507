"""``davylamp agent``: say which sandbox is behind each port of this host."""

import asyncio
from pathlib import Path

import click
import msgspec

from davylamp.agent.config import AgentConfig, load_agent_config
from davylamp.agent.run import Agent
from davylamp.attribution.place import URL_VARIABLE
from davylamp.logs import LogFormat, set_up


@click.command("agent")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="A YAML file.")
@click.option(
    "--redis",
    metavar="URL",
    envvar=URL_VARIABLE,
    show_envvar=True,
    help="The store in which the gateways keep lineage.",
)
@click.option("--docker", metavar="URL", help="The engine; default: this host's own.")
@click.option("--name", help="The host's name among all hosts; default: its host name.")
@click.option(
    "--host-address",
    "addresses",
    multiple=True,
    metavar="IP",
    help="An address that sandboxes leave under (repeatable); default: the default routes'.",
)
@click.option(
    "--log-format",
    type=click.Choice([one.value for one in LogFormat]),
    default=LogFormat.TEXT.value,
    show_default=True,
    help="What the log's lines on stderr are.",
)
def command(  # noqa: PLR0913, PLR0917 - click gives each option a parameter
    config_file: Path | None,
    redis: str | None,
    docker: str | None,
    name: str | None,
    addresses: tuple[str, ...],
    log_format: str,
) -> None:
    """Tell gateways elsewhere whose the flows are that leave this host under its own address.

    It needs CAP_NET_ADMIN in the host's network namespace, and the engine's socket. It runs until
    SIGTERM or Ctrl-C.

    Exit status: 0 ended when told to, 2 could not run (the message says why).
    """
    set_up(LogFormat(log_format))
    config = load_agent_config(config_file) if config_file is not None else AgentConfig()
    changes: dict[str, object] = {}
    if redis is not None:
        changes["redis"] = redis
    if docker is not None:
        changes["docker"] = msgspec.structs.replace(config.docker, url=docker)
    if name is not None:
        changes["name"] = name
    if addresses:
        changes["addresses"] = addresses
    asyncio.run(Agent(msgspec.structs.replace(config, **changes)).run())
