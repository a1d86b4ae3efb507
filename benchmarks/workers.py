"""What a gateway's workers take: seconds until it is ready, memory, and until a killed one is back.

    .venv/bin/python benchmarks/workers.py [--workers 2] [--signatures 10000]

Of memory it prints what each process has to itself and its share of what several have (Pss). With
``--signatures`` the pack has so many more than the core pack, and twenty times as many names.
"""

# ruff: noqa: INP001, T201 - a script, whose output is its purpose

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from arguments import at_least_one  # type: ignore[import-not-found] # beside this file
from pack_size import HEAD, write_pack  # type: ignore[import-not-found] # beside this file

from davylamp.errors import KernelError
from davylamp.events import PackEvent
from davylamp.lab import Lab, LabSpec
from davylamp.lab.gateway import LabGateway
from davylamp.lab.topology import GATEWAY

_PATIENCE = 120.0
_SETTLE = 10.0
"""Seconds after a change of packs, in which processes have done what follows from it."""
_QUEUES = "net/netfilter/nfnetlink_queue"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=at_least_one, default=2)
    parser.add_argument("--signatures", type=at_least_one, default=0, help="more than the core's")
    arguments = parser.parse_args()
    changes: dict[str, object] = {"queues": {"workers": arguments.workers}}
    with (
        tempfile.TemporaryDirectory() as folder,
        Lab.create(LabSpec(f"workers-{os.getpid()}")) as lab,
    ):
        if arguments.signatures:
            pack = Path(folder) / "pack"
            write_pack(pack, 20 * arguments.signatures, arguments.signatures, arguments.signatures)
            changes["signatures"] = str(pack)
        gateway = LabGateway(lab, Path(folder) / "gateway", **changes)
        began = time.monotonic()
        gateway.start()
        print(f"ready after        {time.monotonic() - began:>7.2f} s")
        _tell_memory(gateway)
        _tell_restart(lab, gateway)
        _change_pack(gateway, str(changes.get("signatures", "")))
        _tell_restart(lab, gateway, " after a change of packs")
        gateway.stop()
    return 0


def _tell_memory(gateway: LabGateway) -> None:
    assert gateway.process is not None
    for pid, name in {gateway.process.pid: "gateway", **gateway.children()}.items():
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()[1:]
        sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines}
        own = sizes["Private_Clean"] + sizes["Private_Dirty"]
        print(f"{name:<18} {own:>7.1f} MB own {sizes['Pss']:>7.1f} MB with its share")


def _change_pack(gateway: LabGateway, folder: str) -> None:
    """Add a signature, to the site's own or in the pack's folder; wait until it is in force."""
    local = Path(folder) if folder else gateway.directory / "state" / "packs" / "local" / "toys"
    local.mkdir(parents=True, exist_ok=True)
    when = "  json: {method: toy.method, members: {params: [string]}}\n"
    (local / "toy.yaml").write_text(HEAD.format(identity="toy") + when)
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGHUP)
    began = time.monotonic()
    while not any(one.change == "switched" for one in _packs(gateway)):
        if time.monotonic() - began > _PATIENCE:
            raise KernelError(f"the pack was not changed:\n{gateway.log()}")
        time.sleep(0.05)
    time.sleep(_SETTLE)


def _packs(gateway: LabGateway) -> list[PackEvent]:
    return [one for one in gateway.events() if isinstance(one, PackEvent)]


def _tell_restart(lab: Lab, gateway: LabGateway, when: str = "") -> None:
    """Kill a queue's worker; print how long nobody has its queue."""
    name, pid = next(one for one in gateway.workers().items() if one[0].startswith("queue-"))
    queue = name.removeprefix("queue-")
    before = _holder(lab, queue)
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    while _holder(lab, queue) in {"", before}:
        if time.monotonic() - began > _PATIENCE:
            raise KernelError(f"{name} is not back after {_PATIENCE:.0f} s:\n{gateway.log()}")
        time.sleep(0.002)
    print(f"a killed worker is back after {time.monotonic() - began:.2f} s{when}")


def _holder(lab: Lab, queue: str) -> str:
    """Return the netlink port of who reads a queue, nothing where nobody does."""
    table = Path(f"/proc/{lab.host(GATEWAY).pid}/{_QUEUES}").read_text("ascii")
    rows = (line.split() for line in table.splitlines())
    return next((row[1] for row in rows if row[0] == queue), "")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KernelError as error:
        sys.exit(f"workers: {error}")
