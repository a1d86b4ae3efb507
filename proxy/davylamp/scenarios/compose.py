"""The lab of docker-compose.yml, seen from its trainer: sandboxes are containers of the engine."""

import asyncio
import os
import random
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import msgspec

from davylamp.engines.docker import DEFAULT_URL, DockerEngine
from davylamp.errors import ConfigError, EngineError, KernelError
from davylamp.scenarios.model import Done, Facts
from davylamp.scenarios.table import NAMES

IMAGE_VARIABLE = "DAVYLAMP_SANDBOX_IMAGE"
"""The trainer's environment has it; where it is not set, nobody is in the lab."""
NETWORK = "davylamp-train"
OUTSIDE_VOLUME, OUTSIDE_FOLDER = "davylamp-outside", Path("/var/lib/davylamp-lab")
API = "http://127.0.0.1:9465"
TOKEN_FILE = Path("/var/lib/davylamp/api/read.token")
_KNOWN_SECONDS = 10.0
_LIFETIME = "900"
_USER = "65532:65532"


class ComposeStage:
    """The stage, while entered. Raises ConfigError where this is not the lab's trainer."""

    def __init__(self) -> None:
        self.lineage_url = os.environ.get("DAVYLAMP_LINEAGE_URL", "")
        self._image = os.environ.get(IMAGE_VARIABLE, "")
        if not (self.lineage_url and self._image and TOKEN_FILE.exists()):
            raise ConfigError(
                "this is no trainer of the lab: `docker compose --profile lab up -d`, then "
                "`docker compose run --rm scenario NAME`"
            )
        self._runner = asyncio.Runner()
        self._engine = DockerEngine(DEFAULT_URL, seconds=120.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._engine.close())
        self._runner.close()

    @contextmanager
    def sandbox(self, facts: Facts) -> Iterator["ContainerSandbox"]:
        """Start a labelled container and wait until lineage knows it; remove it at the end."""
        address = self._runner.run(self._free_address())
        made = self._runner.run(
            self._engine.create(facts.container, self._settings(facts, address))
        )
        try:
            self._runner.run(self._engine.start(made))
            self._until_known(facts.container, address)
            yield ContainerSandbox(self._runner, self._engine, made)
        finally:
            self._runner.run(self._engine.remove(made))

    def fetch(self, path: str) -> bytes:
        """Ask the gateway's API with the token that may look."""
        token = TOKEN_FILE.read_text(encoding="ascii").strip()
        request = urllib.request.Request(API + path)  # noqa: S310 - our own address
        request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                return bytes(answer.read())
        except urllib.error.HTTPError:
            return b""
        except OSError as error:
            raise KernelError(f"the gateway's API does not answer at {API}: {error}") from error

    def requests_received(self) -> int:
        """Read what the pool and the web server count."""
        return requests_in(OUTSIDE_FOLDER)

    def _settings(self, facts: Facts, address: str) -> dict[str, object]:
        labels = {
            "davylamp.experiment_id": facts.experiment_id,
            "davylamp.run_id": facts.run_id,
            "davylamp.rollout_id": facts.rollout_id,
            "davylamp.trajectory_id": facts.trajectory_id,
        }
        return {
            "Image": self._image,
            "Entrypoint": ["sleep"],
            "Cmd": [_LIFETIME],
            "User": _USER,
            "Labels": labels,
            "HostConfig": {
                "NetworkMode": NETWORK,
                "AutoRemove": True,
                "ReadonlyRootfs": True,
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges:true"],
                "PidsLimit": 128,
                "Memory": 256 << 20,
                "Tmpfs": {"/tmp": "mode=1777"},  # noqa: S108 - the container's own
                "ExtraHosts": [f"{name}:{ip}" for name, ip in NAMES.items()],
                "Binds": [f"{OUTSIDE_VOLUME}:{OUTSIDE_FOLDER}:ro"],
            },
            "NetworkingConfig": {
                "EndpointsConfig": {NETWORK: {"IPAMConfig": {"IPv4Address": address}}}
            },
        }

    async def _free_address(self) -> str:
        """Choose an address: by itself an engine gives out again what was just given up.

        The gateway's kernel refuses an address what its last holder was blocked for, so that a
        sandbox on it would be stopped, but without a word about it.
        """
        found = await self._engine.networks({"name": [NETWORK]})
        subnets = [each for one in found if one.name == NETWORK for each in one.subnets]
        if not subnets:
            raise EngineError(f"the engine has no network {NETWORK}: bring the lab up")
        subnet = ip_network(subnets[0])
        return str(subnet[random.randrange(256, subnet.num_addresses - 1)])  # noqa: S311

    def _until_known(self, container: str, address: str) -> None:
        deadline = time.monotonic() + _KNOWN_SECONDS
        while address.encode() not in self.fetch(f"/api/v1/lineage/{quote(container)}"):
            if time.monotonic() > deadline:
                raise EngineError(f"the gateway has not learnt of {container} from the engine")
            time.sleep(0.05)


class ContainerSandbox:
    """One container."""

    def __init__(self, runner: asyncio.Runner, engine: DockerEngine, container: str) -> None:
        self._runner = runner
        self._engine = engine
        self._container = container

    def run(self, argv: Sequence[str], seconds: float) -> Done:
        """Run a step's program in it."""
        command = command_of(argv, "python", OUTSIDE_FOLDER)
        work = asyncio.wait_for(self._engine.execute(self._container, command), seconds)
        done = self._runner.run(work)
        return Done(done.status, done.output.decode(errors="replace"))


def command_of(argv: Sequence[str], python: str, folder: Path) -> list[str]:
    """Return a step's program as a command, where the outside world's files are in ``folder``."""
    filled = [each.replace("{bastion}", str(folder / "bastion")) for each in argv]
    if filled[0].startswith("!"):
        return [filled[0][1:], *filled[1:]]
    return [python, "-m", f"davylamp.lab.programs.{filled[0]}", *filled[1:]]


def requests_in(folder: Path) -> int:
    """Add up the complete mining requests that programs outside have written down."""
    total = 0
    for name in ("pool.json", "web.json"):
        counts: dict[str, Any] = msgspec.json.decode((folder / name).read_bytes())
        total += int(counts["complete_requests"])
    return total


def compose_program() -> list[str] | None:
    """Return how docker compose is called here: the engine's plug-in, or the older program."""
    docker, older = shutil.which("docker"), shutil.which("docker-compose")
    if docker is not None:
        asked = subprocess.run([docker, "compose", "version"], capture_output=True, check=False)
        if asked.returncode == 0:
            return [docker, "compose"]
    return None if older is None else [older]
