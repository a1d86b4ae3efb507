"""Putting together what a family's programs are: throw-away, outside the project's dependencies.

Strategy: a family says at its head, as inline script metadata, which PyPI distributions, npm
packages and Debian packages it talks to. Each family gets one folder of its own; Debian packages
are unpacked there and not installed, so the machine stays as it is. A folder whose note of the
wanted versions still holds is used again.
"""

import json
import os
import re
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

_HEAD = re.compile(r"(?m)^# /// script$\n(?P<toml>(?:^#(?: .*)?$\n)+?)^# ///$")
_LIBRARIES = ("usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "usr/lib")
_PROGRAMS = ("usr/bin", "usr/sbin", "usr/games", "bin", "sbin")


class EnvironmentMissingError(Exception):
    """A family's programs could not be had."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a family asks for at its head."""

    pypi: tuple[str, ...] = ()
    npm: tuple[str, ...] = ()
    debian: tuple[str, ...] = ()

    @classmethod
    def of(cls, family: Path) -> "Wanted":
        """Read a family's inline script metadata (PEP 723)."""
        found = _HEAD.search(family.read_text())
        if found is None:
            return cls()
        text = "".join(line[2:] + "\n" for line in found["toml"].splitlines())
        table = tomllib.loads(text)
        ours = table.get("tool", {}).get("near-misses", {})
        return cls(
            tuple(table.get("dependencies", ())),
            tuple(ours.get("npm", ())),
            tuple(ours.get("debian", ())),
        )


def prepare(family: Path, root: Path) -> Path:
    """Return the folder with a family's programs, made if it is not there.

    Raises EnvironmentMissingError, with what the installer said, where something is not to be had.
    """
    wanted = Wanted.of(family)
    folder = root / family.stem
    note = folder / "wanted.json"
    noted = json.dumps([wanted.pypi, wanted.npm, wanted.debian])
    if note.exists() and note.read_text() == noted:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _python(folder, wanted.pypi)
    if wanted.npm:
        _call("npm", "install", "--prefix", folder, "--ignore-scripts", "--no-audit", *wanted.npm)
    if wanted.debian:
        _debian(folder / "debian", wanted.debian)
    note.write_text(noted)
    return folder


def variables(folder: Path) -> dict[str, str]:
    """Return the environment variables that a family's programs run with."""
    unpacked = folder / "debian"
    paths = [folder / "python" / "bin", *(unpacked / path for path in _PROGRAMS)]
    return {
        "PATH": ":".join([*map(str, paths), os.environ["PATH"], "/usr/sbin", "/sbin"]),
        "LD_LIBRARY_PATH": ":".join(str(unpacked / path) for path in _LIBRARIES),
        "NODE_PATH": str(folder / "node_modules"),
        "NEAR_MISSES_ENVIRONMENT": str(folder),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
    }


def _python(folder: Path, pins: tuple[str, ...]) -> None:
    _call("uv", "venv", "--quiet", "--python", "3.12", folder / "python")
    if pins:
        python = folder / "python" / "bin" / "python"
        _call("uv", "pip", "install", "--quiet", "--python", python, *pins)


def _debian(folder: Path, packages: tuple[str, ...]) -> None:
    """Unpack packages, and what they depend on that the machine lacks."""
    archives = folder / "archives"
    (archives / "partial").mkdir(parents=True)
    _call(
        "apt-get",
        *("-o", f"Dir::Cache::archives={archives}", "-o", "Debug::NoLocking=1"),
        *("install", "--download-only", "--reinstall", "--no-install-recommends", "-y", "-q"),
        *packages,
    )
    versions = folder / "versions"
    versions.mkdir()
    for archive in sorted(archives.glob("*.deb")):
        _call("dpkg-deb", "-x", archive, folder)
        argv = ["dpkg-deb", "-W", "--showformat", "${Package} ${Version}", str(archive)]
        name, version = subprocess.check_output(argv, text=True).split()
        (versions / name).write_text(version)
    shutil.rmtree(archives)
    for package in packages:
        if not (versions / package).exists():
            raise EnvironmentMissingError(f"no Debian package {package} came; try apt-get update")


def _call(*argv: str | Path) -> None:
    try:
        done = subprocess.run(
            list(map(str, argv)), capture_output=True, text=True, check=False, timeout=900
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentMissingError(f"{argv[0]} cannot be run: {error}") from error
    if done.returncode:
        raise EnvironmentMissingError(f"{argv[0]} {argv[1]}: {(done.stdout + done.stderr).strip()}")
