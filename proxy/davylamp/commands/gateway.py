"""``davylamp gateway``: run the gateway on this host."""

import asyncio
from pathlib import Path

import click

from davylamp.commands.config import layers_options, read_layers
from davylamp.errors import ConfigError
from davylamp.gateway import Gateway
from davylamp.logs import VARIABLE, LogFormat, set_up
from davylamp.settings.layer import Layer
from davylamp.settings.words import named
from davylamp.takeover.taking import find
from davylamp.wiring import place_of


@click.command("gateway")
@layers_options
@click.option("--interface", multiple=True, help="A training bridge to watch (repeatable).")
@click.option("--mode", type=click.Choice(["observe", "enforce"]), help="Overrides the file.")
@click.option("--keep-rules", is_flag=True, help="Leave the kernel's rules in place on exit.")
@click.option(
    "--take-over",
    is_flag=True,
    help="Take the place of the gateway that works with the same state_dir, without a gap.",
)
@click.option(
    "--log-format",
    type=click.Choice([one.value for one in LogFormat]),
    default=LogFormat.TEXT.value,
    show_default=True,
    envvar=VARIABLE,
    show_envvar=True,
    help="What the log's lines on stderr are.",
)
def command(  # noqa: PLR0913 - click gives each option a parameter
    config_file: Path | None,
    words: tuple[str, ...],
    interface: tuple[str, ...],
    mode: str | None,
    *,
    keep_rules: bool,
    take_over: bool,
    log_format: str,
) -> None:
    """Inspect and police what the sandboxes send; runs until SIGTERM or Ctrl-C.

    SIGHUP has it read the signature pack again, SIGUSR2 start a successor with --take-over.

    Exit status: 0 ended when told to, 2 could not run (the message says why).
    """
    set_up(LogFormat(log_format))
    named_options = _named(interface, mode, keep_rules=keep_rules)
    found = read_layers(config_file, words, *named_options)
    try:
        elder = find(place_of(found.config).gateway) if take_over else None
        gateway = Gateway(found.config, elder)
    except ConfigError as error:
        raise ConfigError(found.origins.explain(str(error))) from error
    asyncio.run(gateway.run())


def _named(interfaces: tuple[str, ...], mode: str | None, *, keep_rules: bool) -> list[Layer]:
    layers: list[Layer] = []
    if interfaces:
        layers.append(named(("sandboxes", "interfaces"), list(interfaces), "--interface"))
    if mode is not None:
        layers.append(named(("mode",), mode, "--mode"))
    if keep_rules:
        layers.append(named(("rules", "keep_on_exit"), True, "--keep-rules"))
    return layers
