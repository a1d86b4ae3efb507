"""Making a host's namespaces, and running programs in them.

A host is one network, one mount and one UTS namespace, held by one small process (holder.sh) and
nothing else: no name under /run/netns, no interface in the caller's network. So whatever happens
to the lab, the kernel drops it all when the last process in it is gone. Without privilege, one
user namespace owns them all, in which the caller is root; nothing else differs.

Programs are run through nsenter, which executes them in its own place: the process started is the
program, with its pid, terminal, signals and exit status.
"""

import os
import select
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from davylamp.errors import KernelError

READY_WAIT = 20.0  # seconds for a host to stand; it takes some 10 ms on an idle machine
_HOLDER = Path(__file__).with_name("holder.sh")
_TOOLS = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
    "ip": "iproute2",
    "env": "coreutils",
}
_CAP_NET_ADMIN, _CAP_SYS_ADMIN = 12, 21  # linux/capability.h
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
_USER_NAMESPACE_SWITCHES = {
    "kernel/unprivileged_userns_clone": ("0", "1"),
    "kernel/apparmor_restrict_unprivileged_userns": ("1", "0"),
    "user/max_user_namespaces": ("0", "15000"),
    "user/max_net_namespaces": ("0", "15000"),
}


def privileged() -> bool:
    """Say whether this process may make network and mount namespaces without a user namespace."""
    needed = 1 << _CAP_NET_ADMIN | 1 << _CAP_SYS_ADMIN
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16) & needed == needed
    return False


def why_not() -> str | None:
    """Say why no lab can be built here and what would change that, or None where it can.

    It tries, in namespaces that are gone with the attempt: what a kernel says about itself and
    what a security module lets happen are two things.
    """
    missing = sorted({package for tool, package in _TOOLS.items() if not _which(tool)})
    if missing:
        return f"programs are missing: install {' '.join(missing)}"
    script = "mount -n -t tmpfs tmpfs /mnt && ip link add dl-probe type veth peer name dl-probe2"
    tried = subprocess.run(
        [*_unshare(), "sh", "-c", script],
        env=environment(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode == 0:
        return None
    said = tried.stderr.strip().splitlines()
    detail = said[-1] if said else f"unshare ended with {tried.returncode}"
    return f"the kernel refuses namespaces ({detail}): {_remedy()}"


def start_holder(host: str, files: Path, owner: int | None = None) -> "subprocess.Popen[bytes]":
    """Start the process that holds a host's namespaces; ``wait_ready`` says when they stand.

    ``owner`` is the pid of a holder whose user namespace the new ones are to belong to, None for
    the first. The lab's lifetime hangs on the process's stdin, see holder.sh.
    """
    unshare = _unshare()
    if owner is not None and not _shares(owner, "user"):
        unshare = [*_nsenter(owner, "--user"), *_unshare(user=False)]
    return subprocess.Popen(
        [*unshare, "sh", str(_HOLDER), host, str(files)],
        env=environment(os.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # Out of the terminal's reach: Ctrl-C ends the maker, which takes the lab down in order.
        start_new_session=True,
    )


def wait_ready(process: "subprocess.Popen[bytes]", what: str) -> None:
    """Return when the process said "ready" on stdout; KernelError with what it said instead."""
    assert process.stdout is not None
    said = b""
    while not said.endswith(b"ready\n"):
        readable, _, _ = select.select([process.stdout], [], [], READY_WAIT)
        chunk = os.read(process.stdout.fileno(), 4096) if readable else b""
        if not chunk:
            detail = said.decode(errors="replace").strip() or "it said nothing"
            hint = why_not() or "the lab was taken down again; `davylamp doctor` checks this host"
            raise KernelError(f"the lab's {what} did not come up ({detail}): {hint}")
        said += chunk
    process.stdout.close()


def entering(holder: int, cwd: Path, gate: Path) -> list[str]:
    """Return the words to put before a command so that it runs in the holder's namespaces.

    Without its gate (see LabDirectory) the command ends at once, with status 125.
    """
    # To enter a user namespace one is already in is an error.
    kinds = () if _shares(holder, "user") else ("--user",)
    entered = _nsenter(holder, *kinds, "--net", "--mount", "--uts")
    # Entering a mount namespace puts the process at its root, so it must change directory anyway.
    return [*entered, "env", f"--chdir={gate}{cwd}"]


def environment(base: Mapping[str, str], xtables_lock: Path | None = None) -> dict[str, str]:
    """Return the variables for a program in a lab host, from those of its caller.

    System programs are found without root's PATH, the caller's proxies (which no host can reach)
    are left out, and iptables locks a file of the lab's own.
    """
    kept = {key: value for key, value in base.items() if key.lower() not in _PROXY_VARIABLES}
    path = kept.get("PATH", os.defpath).split(os.pathsep)
    kept["PATH"] = os.pathsep.join([*path, *(part for part in _SBIN if part not in path)])
    if xtables_lock is not None:
        kept["XTABLES_LOCKFILE"] = str(xtables_lock)
    return kept


def here() -> Path:
    """Return the working directory, or / where a program of this user could not enter it."""
    try:
        cwd = Path.cwd()
    except OSError:
        return Path("/")
    return cwd if os.access(cwd, os.X_OK) else Path("/")


def network_inode(pid: int) -> int:
    """Return the inode number of a process's network namespace."""
    return Path(f"/proc/{pid}/ns/net").stat().st_ino


def ip_batches(gate: Path, batches: Sequence[tuple[int, str]]) -> None:
    """Run one ``ip -batch`` in each holder's network, all at once; KernelError if one fails."""
    running = [
        subprocess.Popen(
            [*entering(holder, Path("/"), gate), "ip", "-batch", "-"],
            env=environment(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for holder, _ in batches
    ]
    complaints = [
        process.communicate(batch)[1].strip()
        for process, (_, batch) in zip(running, batches, strict=True)
    ]
    failed = [c for p, c in zip(running, complaints, strict=True) if p.returncode]
    if failed:
        hint = why_not() or "check the addresses asked for"
        raise KernelError(f"ip could not wire the lab ({failed[0]}): {hint}")


def _unshare(*, user: bool = True) -> list[str]:
    kinds = ["unshare", "--net", "--mount", "--uts"]
    return kinds if privileged() or not user else [*kinds, "--user", "--map-root-user"]


def _nsenter(holder: int, *kinds: str) -> list[str]:
    # Groups cannot be set in an unprivileged user namespace: keep what we have.
    keep = ("--preserve-credentials",) if "--user" in kinds else ()
    return ["nsenter", f"--target={holder}", *kinds, *keep, "--"]


def _shares(pid: int, kind: str) -> bool:
    mine, theirs = (Path(f"/proc/{who}/ns/{kind}").stat() for who in ("self", pid))
    return mine.st_ino == theirs.st_ino


def _which(tool: str) -> str | None:
    return shutil.which(tool, path=environment(os.environ)["PATH"])


def _remedy() -> str:
    for switch, (bad, good) in _USER_NAMESPACE_SWITCHES.items():
        path = Path("/proc/sys", switch)
        if path.exists() and path.read_text().strip() == bad:
            setting = f"sysctl -w {switch.replace('/', '.')}={good}"
            return f"run davylamp as root, or allow user namespaces with `{setting}`"
    if os.geteuid() == 0:
        return "give this container the SYS_ADMIN and NET_ADMIN capabilities (docker --privileged)"
    return "run davylamp as root"
