"""``davylamp doctor``: what this kernel and host can and cannot do, and what to do about it."""

import json
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from davylamp.commands.config import config_of, config_option
from davylamp.doctor import Finding, Status, can_run, examine

_STYLES = {Status.OK: "green", Status.DEGRADED: "yellow", Status.MISSING: "red"}


@click.command(name="doctor")
@config_option("the packs where that keeps them")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def command(ctx: click.Context, config_file: Path | None, *, as_json: bool) -> None:
    """Say what this host can and cannot do, and what to do about it.

    The kernel is tried in a network namespace that is gone afterwards: nothing here is changed.
    Exit status 0: the gateway can run here. 1: it cannot.
    """
    findings = examine(config_of(config_file))
    able = can_run(findings)
    if as_json:
        listed = [asdict(finding) for finding in findings]
        click.echo(json.dumps({"gateway_can_run": able, "findings": listed}, indent=2))
    else:
        _show(findings, able=able)
    ctx.exit(0 if able else 1)


def _show(findings: tuple[Finding, ...], *, able: bool) -> None:
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("", "for", "what", "found"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        status = Text(finding.status, style=_STYLES[finding.status])
        table.add_row(status, finding.area, finding.name, Text(_words(finding)))
    console.print(table)
    verdict = "The gateway can run here." if able else "The gateway cannot run here yet."
    console.print()
    console.print(verdict, style="bold")


def _words(finding: Finding) -> str:
    """Return what was found, then what it means, then the remedy, a line each."""
    remedy = f"do: {finding.remedy}" if finding.remedy else ""
    return "\n".join(line for line in (finding.found, finding.meaning, remedy) if line)
