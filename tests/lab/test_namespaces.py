import subprocess
from pathlib import Path

import pytest

from davylamp.errors import KernelError
from davylamp.lab import namespaces


def test_no_proxy_is_passed_on() -> None:
    """A caller's proxy, which no lab host can reach, is not in a program's environment."""
    base = {"PATH": "/bin", "HTTPS_PROXY": "http://proxy:1", "no_proxy": "x", "HOME": "/home/me"}
    assert namespaces.environment(base) == {
        "PATH": "/bin:/usr/local/sbin:/usr/sbin:/sbin",
        "HOME": "/home/me",
    }


def test_system_programs_are_found_once() -> None:
    """Directories that the caller's PATH has already keep their place in it."""
    path = "/usr/sbin:/sbin:/usr/local/sbin:/bin"
    assert namespaces.environment({"PATH": path})["PATH"] == path


def test_iptables_locks_its_own_file() -> None:
    """A lab's iptables is pointed at a lock file of the lab."""
    assert namespaces.environment({}, Path("/x/lock"))["XTABLES_LOCKFILE"] == "/x/lock"


def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the tools are not installed, the reason says which packages to install."""
    monkeypatch.setattr(namespaces, "_SBIN", ())
    monkeypatch.setenv("PATH", "/nonexistent")
    reason = namespaces.why_not()
    assert reason is not None
    assert "install coreutils iproute2 mount util-linux" in reason


def test_what_did_not_get_ready_is_quoted() -> None:
    """A host that fails to come up raises KernelError with what it said."""
    with (
        subprocess.Popen(
            ["sh", "-c", "echo mount: not permitted; exit 1"], stdout=subprocess.PIPE
        ) as process,
        pytest.raises(KernelError, match=r"sandbox-1 did not come up \(mount: not permitted"),
    ):
        namespaces.wait_ready(process, "sandbox-1")


def test_a_directory_that_is_gone_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program starts in / where the caller's own directory no longer exists."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert namespaces.here() == Path("/")


def test_privilege_is_what_the_kernel_says() -> None:
    """Plain mode is chosen exactly where a network namespace can be made without a user one."""
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "true"], capture_output=True, check=False
    )
    assert namespaces.privileged() == (tried.returncode == 0)


@pytest.mark.lab
def test_the_probe_leaves_nothing(can_lab: None) -> None:
    """Asking whether a lab can be built makes no interface here."""
    assert namespaces.why_not() is None
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True)
    assert "dl-probe" not in links.stdout
