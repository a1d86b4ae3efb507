"""``davylamp health``: ask a running gateway how it is, for supervisors and people."""

import json
import urllib.error
import urllib.request
from pathlib import Path

import click

from davylamp.errors import ConfigError

_SECONDS = 4.0
_ANSWER_BYTES = 1 << 20


@click.command("health")
@click.option(
    "--url", default="http://127.0.0.1:9465", show_default=True, help="The API's address."
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default="/var/lib/davylamp",
    show_default=True,
    help="The gateway's state directory, which has the token.",
)
@click.option(
    "--token-file", type=click.Path(path_type=Path, dir_okay=False), help="Another token."
)
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
@click.pass_context
def command(
    ctx: click.Context, url: str, state: Path, token_file: Path | None, *, as_json: bool
) -> None:
    """Ask a gateway's API how it is.

    Exit status: 0 if all is well, 1 if something is not, 2 if it cannot be asked.
    """
    raw = _ask(url, token_file or state / "api" / "read.token")
    told = json.loads(raw)
    if as_json:
        click.echo(raw)
    else:
        click.echo(f"well, for {told['uptime_seconds']:.0f} s" if told["ok"] else "not well")
        for problem in told.get("problems", ()):
            click.echo(f"- {problem}")
    ctx.exit(0 if told["ok"] else 1)


def _ask(url: str, token_file: Path) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"{url}: write it as http://HOST:PORT")
    try:
        token = token_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{token_file}: no token to ask with ({error}); give --token-file"
        ) from None
    asked = urllib.request.Request(f"{url.rstrip('/')}/api/v1/health")  # noqa: S310 - http only
    asked.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(asked, timeout=_SECONDS) as answer:  # noqa: S310
            return bytes(answer.read(_ANSWER_BYTES))
    except urllib.error.HTTPError as error:
        raise ConfigError(f"{url} answers {error.code}; check the token") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"no gateway answers at {url} ({error}); see api.listen") from error
