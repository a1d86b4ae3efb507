"""The lab as its users hold it: build it, run programs in its hosts, take it down whole."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from davylamp.errors import ConfigError, KernelError
from davylamp.lab import namespaces, state
from davylamp.lab.processes import ProcessRef, end_all
from davylamp.lab.state import HostState, LabDirectory, LabState
from davylamp.lab.topology import (
    DNS_ADDRESSES,
    GATEWAY,
    OUTSIDE,
    LabSpec,
    check_record,
    gateway_batch,
    host_batch,
    hosts_file,
    nsswitch_conf,
    plan,
    resolv_conf,
)

GRACE = 2.0  # seconds that programs in the lab get between TERM and KILL
_DNS = Path(__file__).with_name("dns.py")


@dataclass(frozen=True, slots=True)
class Host:
    """One host of a lab; ``pid`` holds its namespaces (/proc/PID/ns)."""

    name: str
    ipv4: str
    ipv6: str
    pid: int


class Lab:
    """A lab that stands. Leaving its ``with`` block takes it down.

    Made with ``create`` it also ends with this process, however that ends; only after ``keep``
    does it stay until someone calls ``down``.
    """

    def __init__(self, directory: LabDirectory, written: LabState) -> None:
        self._directory = directory
        self._state = written
        self._children: list[subprocess.Popen[Any]] = []
        self._holders: list[subprocess.Popen[bytes]] = []

    @classmethod
    def create(cls, spec: LabSpec) -> Self:
        """Build a lab. ConfigError for a bad spec or a name in use; KernelError with a remedy."""
        spec.check()
        directory = LabDirectory.claim(spec.name)
        written = LabState(spec.name, time.time(), kept=False, maker=ProcessRef.of(os.getpid()))
        lab = cls(directory, written)
        try:
            lab._build(spec)
        except BaseException:
            lab.down()
            raise
        return lab

    @classmethod
    def open(cls, name: str) -> Self:
        """Return a lab that someone made earlier; ConfigError where it is not, or only half, up."""
        directory = state.find(name)
        written = directory.load()
        if written is None or condition(written) != "up":
            raise ConfigError(
                f"lab {name!r} is not whole: run `davylamp lab down --lab {name}`, then build it "
                f"again with `davylamp lab up --lab {name}`"
            )
        return cls(directory, written)

    @property
    def name(self) -> str:
        """The lab's name, unique among this user's labs."""
        return self._state.name

    @property
    def state(self) -> LabState:
        """The lab as it is written down for others."""
        return self._state

    @property
    def directory(self) -> Path:
        """A directory that lives as long as the lab, for logs and the like; removed with it."""
        return self._directory.path

    @property
    def hosts(self) -> Mapping[str, Host]:
        """The hosts by name: gateway, outside, sandbox-1 and on."""
        return MappingProxyType(
            {h.name: Host(h.name, h.ipv4, h.ipv6, h.holder.pid) for h in self._state.hosts}
        )

    @property
    def gateway(self) -> Host:
        """The host that every packet between sandboxes and outside crosses."""
        return self.host(GATEWAY)

    @property
    def outside(self) -> Host:
        """The host that stands for the Internet."""
        return self.host(OUTSIDE)

    @property
    def sandboxes(self) -> tuple[Host, ...]:
        """The sandbox hosts, in order."""
        return tuple(h for h in self.hosts.values() if h.name not in (GATEWAY, OUTSIDE))

    def host(self, name: str) -> Host:
        """Return the host of that name; ConfigError where the lab has none."""
        try:
            return self.hosts[name]
        except KeyError:
            raise ConfigError(
                f"lab {self.name!r} has no host {name!r}: it has {', '.join(self.hosts)}"
            ) from None

    def argv(self, host: Host | str, argv: Sequence[str], cwd: Path | None = None) -> list[str]:
        """Return the command that runs ``argv`` in the host, for whoever starts processes itself.

        The process becomes the program (it executes, nothing forks). Give it ``environment()``.
        """
        holder = self.host(host if isinstance(host, str) else host.name).pid
        where = Path.cwd() / cwd if cwd else namespaces.here()
        return [*namespaces.entering(holder, where, self._directory.gate), *argv]

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the variables for a program in the lab, from ``base`` or this process's own."""
        base = os.environ if base is None else base
        return namespaces.environment(base, self._directory.xtables_lock)

    def popen(
        self, host: Host | str, argv: Sequence[str], **options: Any
    ) -> "subprocess.Popen[Any]":
        """Start a program in a host: its own network, resolv.conf and hosts file.

        ``options`` are subprocess.Popen's. The pid is the program's own. A program that does not
        exist shows as exit status 127. The caller waits for it; ``down`` ends it if still there.
        """
        cwd = options.pop("cwd", None)
        options["env"] = self.environment() if options.get("env") is None else options["env"]
        return subprocess.Popen(self.argv(host, argv, Path(cwd) if cwd else None), **options)

    def run(
        self, host: Host | str, argv: Sequence[str], *, timeout: float = 60.0, **options: Any
    ) -> "subprocess.CompletedProcess[Any]":
        """Run a program in a host to its end, at most ``timeout`` seconds; as subprocess.run."""
        cwd = options.pop("cwd", None)
        options["env"] = self.environment() if options.get("env") is None else options["env"]
        options.setdefault("check", False)
        command = self.argv(host, argv, Path(cwd) if cwd else None)
        return subprocess.run(command, timeout=timeout, **options)  # noqa: PLW1510 - set above

    def spawn(
        self, host: Host | str, argv: Sequence[str], **options: Any
    ) -> "subprocess.Popen[Any]":
        """Start a program that runs until the lab is down, which also waits for it."""
        process = self.popen(host, argv, **options)
        self._children.append(process)
        return process

    def serve(self, service: str, host: Host | str, argv: Sequence[str]) -> ProcessRef:
        """Start one of the lab's own services, its output in ``directory``/SERVICE.log.

        It outlives this process in a lab that is kept, and is listed in the lab's state.
        """
        with (self.directory / f"{service}.log").open("ab") as log:
            process = self.spawn(
                host,
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        reference = ProcessRef.of(process.pid)
        self._save(services={**self._state.services, service: reference})
        return reference

    def add_name(self, name: str, *values: str) -> None:
        """Have the outside DNS answer ``name`` with the addresses (or one other name) at once."""
        check_record(name, values)
        with self._directory.locked():
            zone: dict[str, list[str]] = json.loads(self._directory.zone.read_text())
            zone[name.rstrip(".").lower()] = list(values)
            state.replace(self._directory.zone, json.dumps(zone).encode())

    def keep(self) -> None:
        """Let the lab outlive this process, until ``down`` or ``davylamp lab down``."""
        self._save(kept=True)
        for holder in self._holders:
            assert holder.stdin is not None
            holder.stdin.write(b"keep\n")
            holder.stdin.close()

    def down(self) -> None:
        """End every process in the lab and remove its files; the kernel drops the rest.

        Doing it twice is no error. KernelError where a process will not die.
        """
        take_down(self._directory)
        for holder in self._holders:
            holder.kill()  # one that had not come as far as being recognisable
        for process in (*self._children, *self._holders):
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
        self._children.clear()
        self._holders.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def _build(self, spec: LabSpec) -> None:
        self._save()
        hosts = plan(spec)
        self._write_files(spec)
        first = self._hold([GATEWAY])
        pids = first | self._hold([h.name for h in hosts if h.name != GATEWAY], first[GATEWAY])
        self._save(
            hosts=tuple(
                HostState(
                    h.name,
                    h.ipv4,
                    h.ipv6,
                    ProcessRef.of(pids[h.name]),
                    namespaces.network_inode(pids[h.name]),
                )
                for h in hosts
            )
        )
        dns = self._start_dns()
        peers = {name: pid for name, pid in pids.items() if name != GATEWAY}
        gate = self._directory.gate
        namespaces.ip_batches(gate, [(pids[GATEWAY], gateway_batch(peers))])
        namespaces.ip_batches(
            gate, [(pids[h.name], host_batch(h, spec)) for h in hosts if h.name != GATEWAY]
        )
        namespaces.wait_ready(dns, "DNS")

    def _hold(self, names: Sequence[str], owner: int | None = None) -> dict[str, int]:
        files = self._directory.files
        started = {name: namespaces.start_holder(name, files, owner) for name in names}
        self._holders += started.values()
        for name, process in started.items():
            namespaces.wait_ready(process, name)
        return {name: process.pid for name, process in started.items()}

    def _start_dns(self) -> "subprocess.Popen[Any]":
        # Isolated and without site-packages: it starts in half the time and needs neither.
        python = [sys.executable, "-I", "-S"]
        with (self.directory / "dns.log").open("ab") as log:
            process = self.spawn(
                OUTSIDE,
                [*python, str(_DNS), str(self._directory.zone), *DNS_ADDRESSES],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._save(services={"dns": ProcessRef.of(process.pid)})
        return process

    def _write_files(self, spec: LabSpec) -> None:
        files = self._directory.files
        (files / "resolv.conf").write_text(resolv_conf())
        (files / "hosts").write_text(hosts_file(plan(spec)))
        real = Path("/etc/nsswitch.conf")
        (files / "nsswitch.conf").write_text(
            nsswitch_conf(real.read_text() if real.exists() else "")
        )
        zone = {name.rstrip(".").lower(): list(values) for name, values in spec.zone.items()}
        self._directory.zone.write_text(json.dumps(zone))

    def _save(self, **changes: Any) -> None:
        self._state = dataclasses.replace(self._state, **changes)
        self._directory.save(self._state)


def condition(written: LabState | None) -> str:
    """Return "up", "building", "broken" (parts have died) or "dead" (nothing runs any more)."""
    if written is None:
        return "broken"
    alive = [host.holder.alive() for host in written.hosts]
    services = [service.alive() for service in written.services.values()]
    if alive and all(alive) and all(services):
        return "up"
    if not alive and written.maker.alive():
        return "building"
    return "broken" if any(alive) or any(services) else "dead"


def take_down(directory: LabDirectory) -> None:
    """Take down whatever is left of a lab, built, half built or crashed, from any process."""
    written = directory.load()
    holders = {host.holder.pid for host in written.hosts} if written else set[int]()
    directory.close_gate()
    # The holders go last: as long as they live, the namespaces are the lab's beyond doubt.
    left = end_all(lambda: directory.processes() - holders, GRACE)
    left |= end_all(directory.processes, 0.0)
    if left:
        raise KernelError(
            f"processes {sorted(left)} of lab {directory.name!r} do not end: see what they wait "
            f"for (ps -o pid,stat,wchan,args), then run `davylamp lab down` again"
        )
    directory.remove()
