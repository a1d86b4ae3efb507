"""A real sshd that lets anyone with the lab's key in, and tunnels back: a reverse tunnel's far end.

Its keys are made at the start, in FOLDER: ``client`` is the private key that it lets in.
"""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

import click

from davylamp.errors import ConfigError
from davylamp.lab.programs.addresses import parse_endpoint
from davylamp.lab.programs.shell import plain_errors

CLIENT_KEY = "client"
_CONFIGURATION = """\
ListenAddress {address}
HostKey {folder}/host
AuthorizedKeysFile {folder}/{client}.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding yes
"""


def prepare(bind: str, folder: Path) -> list[str]:
    """Make keys and configuration in a folder; return the command that serves. ConfigError."""
    sshd = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if sshd is None or shutil.which("ssh-keygen") is None:
        raise ConfigError("no sshd here: install openssh-server and openssh-client")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("host", CLIENT_KEY):
        if not (folder / name).exists():
            make = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f")
            subprocess.run((*make, str(folder / name)), check=True)
    configuration = folder / "sshd_config"
    address = str(parse_endpoint(bind))
    configuration.write_text(
        _CONFIGURATION.format(address=address, folder=folder, client=CLIENT_KEY)
    )
    return [sshd, "-D", "-e", "-f", str(configuration)]


@click.command()
@click.option("--bind", required=True, help="host:port.")
@click.option("--folder", required=True, type=click.Path(path_type=Path, resolve_path=True))
def main(bind: str, folder: Path) -> None:
    """Become the sshd."""
    with plain_errors():
        command = prepare(bind, folder)
    user = pwd.getpwuid(os.getuid()).pw_name
    click.echo(f"ssh -i {folder}/{CLIENT_KEY} {user}@{bind}", err=True)
    os.execv(command[0], command)  # noqa: S606 - that is the program


if __name__ == "__main__":
    main()
