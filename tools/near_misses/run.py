"""Records the near misses: real programs whose conversations resemble mining and are none.

    python tools/near_misses/run.py                 every family, into tests/data/near-misses
    python tools/near_misses/run.py redis mcp       some of them
    python tools/near_misses/run.py --list

A family is a file under families/: a program of its own that starts real peers and records what
they say on the loopback interface of a network namespace that has no other. The manifest and the
table in docs/near-misses.md follow from what was recorded.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml
from environment import EnvironmentMissingError, prepare, variables

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OUTPUT = ROOT / "tests" / "data" / "near-misses"
PAGE = ROOT / "docs" / "near-misses.md"
_LIMIT = 240.0  # seconds for one family

# The mount namespace's /mnt is the stage, with the same names on every machine: programs say where
# they are and what they run, in tracebacks and log records.
_STAGE = """\
set -e
ip link set lo mtu 1500 up
hostname near-misses
mount -n -t tmpfs tmpfs /mnt
mkdir /mnt/work /mnt/near-misses /mnt/programs
mount -n --bind "$1" /mnt/near-misses
mount -n --bind "$2" /mnt/programs
shift 2
cd /mnt/work
exec "$@"
"""
_FEATURES = ("tso", "gso", "gro", "tx")  # so that a recording has segments of a wire's size


def families() -> dict[str, Path]:
    """Return each family's file by its name."""
    return {path.stem: path for path in sorted((HERE / "families").glob("[!_]*.py"))}


def record(name: str, output: Path, environments: Path) -> list[dict[str, object]]:
    """Run a family; return its entries of the manifest, having put its recordings in place.

    Raises EnvironmentMissingError where its programs are not to be had, CalledProcessError or
    TimeoutExpired where it fails; nothing in ``output`` is changed then.
    """
    path = families()[name]
    folder = prepare(path, environments)
    with tempfile.TemporaryDirectory(prefix="near-misses-") as held:
        fresh = Path(held)
        programs = Path("/mnt/programs")
        subprocess.run(
            # -P: a family may have the name of what it imports.
            [
                *(*_unshare(), "sh", "-c", _offloads() + _STAGE, "stage", str(HERE), str(folder)),
                *(f"{programs}/python/bin/python", "-P", f"/mnt/near-misses/families/{path.name}"),
            ],
            env={
                **variables(programs),
                "HOME": "/mnt/work",
                "USER": "root",
                "PYTHONPATH": "/mnt/near-misses",
                "PYTHONDONTWRITEBYTECODE": "1",
                "NEAR_MISSES_OUTPUT": held,
            },
            check=True,
            timeout=_LIMIT,
            stdin=subprocess.DEVNULL,
        )
        entries = [json.loads(note.read_text()) for note in sorted(fresh.glob("*.json"))]
        output.mkdir(parents=True, exist_ok=True)
        for entry in entries:
            capture = f"{entry['name']}.pcap"
            (output / capture).write_bytes((fresh / capture).read_bytes())
    return [{"name": entry["name"], "family": name, **entry} for entry in entries]


def write_manifest(output: Path, recorded: Sequence[str], entries: list[dict[str, object]]) -> None:
    """Put the entries of freshly recorded families into the manifest, in place of their old ones.

    Recordings that no entry names any more are removed.
    """
    manifest = output / "manifest.yaml"
    old = yaml.safe_load(manifest.read_text()) if manifest.exists() else []
    entries = [entry for entry in old if entry["family"] not in recorded] + entries
    entries.sort(key=lambda entry: str(entry["name"]))
    text = yaml.safe_dump(entries, sort_keys=False, width=96, allow_unicode=True)
    manifest.write_text(f"# Made by tools/near_misses/run.py: edit the families there.\n{text}")
    named = {f"{entry['name']}.pcap" for entry in entries}
    for path in output.glob("*.pcap"):
        if path.name not in named:
            path.unlink()


def table(entries: list[dict[str, object]]) -> str:
    """Return the manifest as a table in Markdown."""
    rows = ["| recording | software | what it does | why it is near |", "|---|---|---|---|"]
    for entry in entries:
        software = entry["software"]
        assert isinstance(software, list)
        cells = (f"`{entry['name']}`", ", ".join(software), str(entry["does"]), str(entry["near"]))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def write_page(page: Path, manifest: Path) -> None:
    """Put the manifest's table at the end of the page, after its last heading."""
    if page.exists():
        head, heading, _ = page.read_text().rpartition("\n## The recordings\n")
        page.write_text(f"{head}{heading}\n{table(yaml.safe_load(manifest.read_text()))}")


def _unshare() -> list[str]:
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child",
            "--mount-proc"]  # fmt: skip


def _offloads() -> str:
    return "".join(f"ethtool -K lo {name} off >/dev/null 2>&1 || true\n" for name in _FEATURES)


def main() -> int:
    """Record the families named on the command line; return 1 if one could not be recorded."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", help="which families; all of them by default")
    parser.add_argument("--list", action="store_true", help="name the families and end")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where recordings go")
    parser.add_argument(
        "--environments",
        type=Path,
        default=cache / "davylamp" / "near-misses",
        help="where the programs are kept between runs",
    )
    chosen = parser.parse_args()
    if chosen.list:
        print("\n".join(families()))
        return 0
    if unknown := set(chosen.families) - set(families()):
        parser.error(f"no family {', '.join(sorted(unknown))}; --list names them")
    failed = []
    for name in chosen.families or families():
        print(name, flush=True)
        try:
            entries = record(name, chosen.output, chosen.environments)
        except EnvironmentMissingError as error:
            failed.append(f"{name}: its programs are not to be had: {error}")
        except subprocess.CalledProcessError as error:
            failed.append(f"{name}: it ended with {error.returncode}, see above")
        except subprocess.TimeoutExpired:
            failed.append(f"{name}: it took longer than {_LIMIT:.0f} s")
        else:
            write_manifest(chosen.output, [name], entries)
    if chosen.output == OUTPUT:
        write_page(PAGE, OUTPUT / "manifest.yaml")
    for line in failed:
        print(line, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
