"""``davylamp config``: what a configuration amounts to, and whether it will do."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import click
import yaml

from davylamp.checks import cautions, faults
from davylamp.commands._group import Group
from davylamp.config import GatewayConfig, settled, yaml_layer
from davylamp.errors import ConfigError, reason
from davylamp.settings.layer import Layer
from davylamp.settings.reference import renewed, schema_of
from davylamp.settings.settle import Settled
from davylamp.settings.shown import as_tree, shown
from davylamp.settings.words import from_environment, from_flags

FOUND = 3
_EPILOG = """\b
Examples:
  davylamp config check --config /etc/davylamp.yaml
  davylamp config show --config /etc/davylamp.yaml --origin
  davylamp config show --set queues.workers=4 --set sandboxes.interfaces=br-train
  davylamp config schema > davylamp.schema.json

\b
Later ones win: defaults, the file, DAVYLAMP_QUEUES__WORKERS=4 and its like, --set queues.workers=4.
Exit status: 0 it will do; 2 it will not; 3 (check --fail-on-warning) it will, with warnings.
"""


def config_of(config_file: Path | None) -> GatewayConfig:
    """Return what a file says, or without one what holds where nothing is said."""
    return read_layers(config_file, ()).config if config_file is not None else GatewayConfig()


def config_option[**P, R](purpose: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return ``--config`` for a command that needs the gateway's file for one ``purpose`` only."""
    return click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path, dir_okay=False),
        help=f"The gateway's configuration file, for {purpose}.",
    )


def layers_options[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Give a command the options that say where its configuration comes from."""
    function = click.option(
        "--set", "words", multiple=True, metavar="KEY=VALUE", help="One key (repeatable)."
    )(function)
    return click.option(
        "--config", "config_file", type=click.Path(path_type=Path), help="A YAML file."
    )(function)


def read_layers(
    config_file: Path | None, words: tuple[str, ...], *others: Layer
) -> Settled[GatewayConfig]:
    """Read file, environment and flags; raise ConfigError with the place of what is wrong."""
    layers = [yaml_layer(config_file)] if config_file is not None else []
    layers.append(from_environment(os.environ, GatewayConfig))
    layers += [*others, from_flags(words, GatewayConfig)]
    said = [layer for layer in layers if layer.values or layer.name == str(config_file)]
    if not said:
        raise ConfigError(
            "nothing to watch: give --config FILE, or --set sandboxes.interfaces=NAME"
        )
    return settled(said)


@click.group("config", cls=Group, epilog=_EPILOG)
def command() -> None:
    """Check and show what the gateway is configured to do."""


@command.command()
@layers_options
@click.option("--fail-on-warning", is_flag=True, help="Exit 3 where there is a warning.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def check(
    ctx: click.Context,
    config_file: Path | None,
    words: tuple[str, ...],
    *,
    fail_on_warning: bool,
    as_json: bool,
) -> None:
    """Check everything that can be checked without touching the kernel or the network."""
    wrong: list[str] = []
    warned: list[dict[str, str]] = []
    try:
        found = read_layers(config_file, words)
    except ConfigError as error:
        wrong = [str(error)]
    else:
        wrong = [found.origins.explain(one) for one in faults(found.config)]
        warned = [
            {"key": one.key, "said": one.said, "origin": found.origins.of(one.key)}
            for one in cautions(found.config)
        ]
    if as_json:
        click.echo(json.dumps({"ok": not wrong, "errors": wrong, "warnings": warned}))
    else:
        for line in wrong:
            click.echo(f"error: {line}", err=True)
        for one in warned:
            click.echo(f"warning: {one['key']}: {one['said']} ({one['origin']})")
        if not wrong:
            count = f", {len(warned)} warning{'s' if len(warned) > 1 else ''}" if warned else ""
            click.echo(f"the configuration will do{count}")
    ctx.exit(2 if wrong else FOUND if warned and fail_on_warning else 0)


@command.command()
@layers_options
@click.option("--origin", is_flag=True, help="Say where each value was said.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def show(config_file: Path | None, words: tuple[str, ...], *, origin: bool, as_json: bool) -> None:
    """Show the values in force, defaults included and secrets masked."""
    found = read_layers(config_file, words)
    values = shown(found.config, found.origins)
    if as_json:
        told = {one.key: {"value": one.value, "origin": one.origin} for one in values}
        click.echo(json.dumps(told if origin else as_tree(values)))
    elif origin:
        lines = [(f"{one.key} = {json.dumps(one.value)}", one.origin) for one in values]
        width = min(max(len(text) for text, _ in lines), 60)
        for text, where in lines:
            click.echo(f"{text:<{width}}  # {where}")
    else:
        click.echo(yaml.safe_dump(as_tree(values), sort_keys=False), nl=False)


@command.command()
def schema() -> None:
    """Print the JSON Schema of a configuration file, for editors and CI."""
    click.echo(json.dumps(schema_of(GatewayConfig, "davylamp gateway configuration"), indent=2))


@command.command()
@click.option("--into", type=click.Path(path_type=Path), required=True, help="The page.")
def reference(into: Path) -> None:
    """Make the tables of docs/configuration.md anew from the configuration's types."""
    try:
        page = into.read_text(encoding="utf-8")
        into.write_text(renewed(page, GatewayConfig), encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{into}: {reason(error)}") from error
