"""``davylamp addons`` and ``davylamp ca``."""

import json
from pathlib import Path

from click.testing import CliRunner

from davylamp.authority import IN_IMAGE
from davylamp.cli import main
from davylamp.lab.programs.certs import Authority


def run(*arguments: str) -> tuple[int, str]:
    """Run the command line and return its exit status and all that it printed."""
    done = CliRunner().invoke(main, arguments)
    return done.exit_code, done.output


def authority(folder: Path, mode: int) -> Path:
    """Lay out an authority as mitmproxy does, its key with these permissions."""
    made = Authority.create(folder / "made", "a proxy of ours")
    cert = folder / "mitmproxy-ca-cert.pem"
    cert.write_bytes(made.bundle.read_bytes())
    key = folder / "mitmproxy-ca.pem"
    key.touch(mode)
    key.chmod(mode)
    return cert


def test_path_holds_the_script() -> None:
    """The folder that is printed has the script that the documentation names."""
    code, printed = run("addons", "path")
    assert code == 0
    assert (Path(printed.strip()) / "davylamp_addon.py").is_file()


def test_list_is_of_scripts() -> None:
    """The listing names files that exist, in text and in JSON alike."""
    _, text = run("addons", "list")
    _, listed = run("addons", "list", "--json")
    scripts = json.loads(listed)["scripts"]
    assert scripts == text.split()
    assert all(Path(script).is_file() for script in scripts)


def test_shows_a_certificate(tmp_path: Path) -> None:
    """The certificate's name and fingerprint are shown; a key that only we may read is no news."""
    code, printed = run("ca", "show", "--json", "--cert", str(authority(tmp_path, 0o600)))
    shown = json.loads(printed)
    assert code == 0
    assert shown["subject"] == "CN=a proxy of ours"
    assert len(shown["sha256"]) == 95
    assert shown["warning"] == ""


def test_warns_of_a_readable_key(tmp_path: Path) -> None:
    """A key that others may read is said to be one, with the remedy."""
    _, printed = run("ca", "show", "--cert", str(authority(tmp_path, 0o644)))
    assert f"chmod 600 {tmp_path / 'mitmproxy-ca.pem'}" in printed


def test_no_certificate_is_an_error(tmp_path: Path) -> None:
    """Where there is none the message says how to come by one; a file that is none is refused."""
    code, printed = run("ca", "show", "--cert", str(tmp_path / "none.pem"))
    assert code == 2
    assert "start mitmdump once" in printed
    (tmp_path / "text").write_text("no certificate")
    assert run("ca", "show", "--cert", str(tmp_path / "text"))[0] == 2


def test_hints_name_every_client(tmp_path: Path) -> None:
    """Each kind of image and program that people use has its lines."""
    cert = authority(tmp_path, 0o600)
    _, text = run("ca", "install-hints", "--cert", str(cert))
    _, listed = run("ca", "install-hints", "--json", "--cert", str(cert))
    clients = " ".join(hint["client"] for hint in json.loads(listed))
    for name in ("Debian", "Alpine", "conda", "pip", "requests", "Node", "git", "curl", "Java"):
        assert name in clients
        assert name in text
    assert str(cert) in text
    assert IN_IMAGE in text
