"""The lab's certificates verify, and their keys are ours alone."""

import ssl
import stat
from pathlib import Path

import pytest

from davylamp.errors import ConfigError
from davylamp.lab.programs.certs import Authority, Leaf, certificate, self_signed


def shake_hands(leaf: Leaf, trust: Path, name: str) -> str | None:
    """Complete a handshake in memory and return the version; raise ssl.SSLError otherwise."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.load_verify_locations(trust)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(down, up, server_hostname=name)
    server = leaf.server_context().wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client.version()


def test_leaf_verifies_for_its_names_only(tmp_path: Path) -> None:
    """A leaf is good for each of its names and addresses, and for no other."""
    authority = Authority.create(tmp_path / "ca")
    leaf = authority.issue(["web.example", "10.0.0.1", "fd00::1"])
    for name in ("web.example", "10.0.0.1", "fd00::1"):
        assert shake_hands(leaf, authority.bundle, name) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(leaf, authority.bundle, "other.example")


def test_self_signed_vouches_for_itself_only(tmp_path: Path) -> None:
    """A self-signed certificate fails against the lab's authority."""
    authority = Authority.create(tmp_path / "ca")
    leaf = self_signed(tmp_path / "pool", ["pool.example"])
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(leaf, authority.bundle, "pool.example")


def test_keys_are_private_and_never_overwritten(tmp_path: Path) -> None:
    """Folder 0700, keys 0600, and a second authority in the folder is refused."""
    folder = tmp_path / "ca"
    leaf = Authority.create(folder).issue(["a.example"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(leaf.key.stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "ca.key").stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        Authority.create(folder)


def test_temporary_certificate_is_gone_afterwards() -> None:
    """A generated certificate ends with its program, however it ends; half a pair is refused."""
    with certificate(None, None) as leaf:
        leaf.server_context()
        leaf.server_context()
        # In no folder, where a killed program would leave it.
        assert str(leaf.key.readlink()).startswith("/memfd:")
    assert not leaf.key.exists()
    with pytest.raises(ConfigError), certificate(Path("chain.pem"), None):
        pass
