"""``davylamp lab``: put one's own workload behind a gateway, in network namespaces."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import click
import msgspec
import yaml
from rich.console import Console
from rich.table import Table

from davylamp.commands._group import Group
from davylamp.errors import ConfigError, DavylampError, KernelError
from davylamp.lab import DEFAULT_ZONE, Lab, LabSpec
from davylamp.lab import state as labs
from davylamp.lab.gateway import EVENTS_FILE, lab_configuration
from davylamp.lab.lab import condition, take_down
from davylamp.lab.state import LabDirectory
from davylamp.lab.topology import DEFAULT_OUTSIDE, GATEWAY, MAX_SANDBOXES

GATEWAY_WAIT = 30.0  # seconds a gateway gets to say that it is ready; it takes about one
GATEWAY_LOG = "gateway.log"  # in the lab's directory

EXAMPLES = """\b
Examples:
  davylamp lab up --sandboxes 2                        build it
  davylamp lab exec sandbox-1 -- curl pool.example     run anything in a host
  davylamp lab exec outside -- python3 -m http.server  the other end
  davylamp lab name new.example 203.0.113.11           teach the outside DNS a name
  davylamp lab down                                    and nothing is left
"""

_lab_option = click.option(
    "--lab", "-l", "name", default="lab", show_default=True, help="The lab's name."
)
_json_option = click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")


@click.group(name="lab", cls=Group, epilog=EXAMPLES)
def command() -> None:
    """Build a lab of network namespaces, run programs in its hosts, take it down.

    Hosts are sandbox-1, sandbox-2, ... on a training bridge, the gateway, and outside. As root it
    just runs; otherwise in a user namespace, where the kernel allows one.
    """


@command.command()
@_lab_option
@click.option("--sandboxes", default=3, show_default=True, type=click.IntRange(1, MAX_SANDBOXES))
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME=ADDRESS[,ADDRESS...]",
    help="A name the outside DNS answers, beside the built-in ones.",
)
@click.option("--address", "addresses", multiple=True, help="One more address of the outside host.")
@click.option(
    "--gateway-config",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True),
    help="Start the gateway with this configuration, not with one made for the lab.",
)
@click.option("--no-gateway", is_flag=True, help="Plain forwarding; start no gateway.")
@_json_option
def up(  # noqa: PLR0913, PLR0917 - click hands over one argument an option
    name: str,
    sandboxes: int,
    names: tuple[str, ...],
    addresses: tuple[str, ...],
    gateway_config: str | None,
    no_gateway: bool,
    as_json: bool,
) -> None:
    """Build a lab, with davylamp in its gateway host, that stays until `lab down`."""
    zone = {**DEFAULT_ZONE, **dict(map(_record, names))}
    spec = LabSpec(name, sandboxes, zone, tuple(dict.fromkeys((*DEFAULT_OUTSIDE, *addresses))))
    lab = Lab.create(spec)
    try:
        if not no_gateway:
            _start_gateway(lab, gateway_config or _made_configuration(lab))
        lab.keep()
    except BaseException:
        lab.down()
        raise
    if as_json:
        click.echo(json.dumps(_describe(labs.find(name))))
    else:
        click.echo(f"lab {name} is up: {', '.join(lab.hosts)}")
        if not no_gateway:
            click.echo(f"log: {lab.directory / GATEWAY_LOG}")
        if not no_gateway and gateway_config is None:
            click.echo(f"events: {_gateway_folder(lab) / EVENTS_FILE}")


@command.command(
    name="exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@_lab_option
@click.argument("host")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD [ARG]...")
def execute(name: str, host: str, argv: tuple[str, ...]) -> None:
    """Run CMD in HOST, in place of this process: its exit status is CMD's."""
    lab = Lab.open(name)
    command_line = lab.argv(host, argv)
    # Python ignores SIGPIPE, which would be inherited; Popen undoes that, exec does not.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execvpe(command_line[0], command_line, lab.environment())  # noqa: S606 - that is the command


@command.command()
@_lab_option
@click.option("--all", "everything", is_flag=True, help="Every lab of this user.")
def down(name: str, everything: bool) -> None:
    """Take a lab down, also one that is half built or whose processes were killed."""
    failures = []
    for directory in labs.directories() if everything else [labs.find(name)]:
        try:
            take_down(directory)
            click.echo(f"lab {directory.name} is down")
        except DavylampError as error:
            failures.append(str(error))
    if failures:
        raise KernelError("; ".join(failures))


@command.command(name="list")
@_json_option
def list_labs(as_json: bool) -> None:
    """List this user's labs."""
    found = [_describe(directory) for directory in labs.directories()]
    if as_json:
        click.echo(json.dumps(found))
        return
    table = Table("lab", "condition", "hosts", "stays", "made")
    for lab in found:
        stays = "until down" if lab["kept"] else f"with process {lab['maker']['pid']}"
        table.add_row(lab["name"], lab["condition"], str(len(lab["hosts"])), stays, lab["made"])
    Console().print(table)


@command.command()
@_lab_option
@_json_option
@click.pass_context
def status(ctx: click.Context, name: str, as_json: bool) -> None:
    """Show one lab's hosts and services; exit 0 if it is up, 1 if it is not whole."""
    found = _describe(labs.find(name))
    if as_json:
        click.echo(json.dumps(found))
    else:
        table = Table("host", "IPv4", "IPv6", "holder", title=f"{name}: {found['condition']}")
        for host in found["hosts"]:
            holder = f"{host['holder']['pid']}{'' if host['alive'] else ' (dead)'}"
            table.add_row(host["name"], host["ipv4"], host["ipv6"], holder)
        Console().print(table)
        for service, process in found["services"].items():
            click.echo(f"{service}: process {process['pid']}")
    ctx.exit(0 if found["condition"] == "up" else 1)


@command.command(name="name")
@_lab_option
@click.argument("dns_name")
@click.argument("values", nargs=-1, required=True)
def add_name(name: str, dns_name: str, values: tuple[str, ...]) -> None:
    """Have the outside DNS answer DNS_NAME with VALUES: addresses, or one other name."""
    Lab.open(name).add_name(dns_name, *values)


def _record(text: str) -> tuple[str, tuple[str, ...]]:
    name, equals, values = text.partition("=")
    if not equals:
        raise ConfigError(f"--name {text}: write NAME=ADDRESS, or several with commas between")
    return name, tuple(values.split(","))


def _gateway_folder(lab: Lab) -> Path:
    return lab.directory / "davylamp"


def _made_configuration(lab: Lab) -> str:
    folder = _gateway_folder(lab)
    folder.mkdir(exist_ok=True)
    file = folder / "gateway.yaml"
    file.write_text(yaml.safe_dump(lab_configuration(folder)))
    return str(file)


def _start_gateway(lab: Lab, config: str) -> None:
    argv = [sys.executable, "-m", "davylamp", "gateway", "--config", config]
    gateway = lab.serve("gateway", GATEWAY, argv)
    log = lab.directory / GATEWAY_LOG
    deadline = time.monotonic() + GATEWAY_WAIT
    # The gateway logs "ready: ..." once its rules are in the kernel and every worker is reading.
    while "ready: " not in (said := log.read_text(errors="replace")):
        if not gateway.alive() or time.monotonic() > deadline:
            tail = "\n".join(said.strip().splitlines()[-10:]) or "it said nothing"
            raise KernelError(f"the gateway did not start in the lab: {tail}")
        time.sleep(0.02)


def _describe(directory: LabDirectory) -> dict[str, Any]:
    written = directory.load()
    found: dict[str, Any] = {
        "name": directory.name,
        "condition": condition(written),
        "directory": str(directory.path),
        "kept": None,
        "maker": {"pid": None, "started": None},
        "created": None,
        "made": "",
        "hosts": [],
        "services": {},
    }
    if written is not None:
        found |= msgspec.to_builtins(written)
        found["made"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(written.created))
        for host, state in zip(found["hosts"], written.hosts, strict=True):
            host["alive"] = state.holder.alive()
    return found
