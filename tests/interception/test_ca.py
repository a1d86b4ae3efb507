"""The authority is made, and changed without a moment in which its clients fail."""

import contextlib
import datetime as dt
import os
import ssl
import stat
import threading
from pathlib import Path

import pytest
from cryptography import x509
from mitmproxy.certs import CertStore
from OpenSSL import SSL

from davylamp.errors import ConfigError
from davylamp.interception.ca import (
    CERTIFICATE_FILE,
    KEY_FILE,
    PREVIOUS_FILE,
    ensure,
    rotate,
)

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
GRACE = dt.timedelta(days=30)


def accepts(folder: Path, root: bytes) -> bool:
    """Tell whether a client with that root takes what mitmproxy presents with this authority."""
    store = CertStore.from_store(folder, "mitmproxy", 2048)
    name = x509.GeneralNames([x509.DNSName("files.example")])
    entry = store.get_cert("files.example", name)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    if entry.chain_file:
        context.load_verify_locations(str(entry.chain_file))
    server = SSL.Connection(context)
    server.use_certificate(entry.cert.to_cryptography())
    server.use_privatekey(entry.privatekey)
    server.set_accept_state()
    trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusted.load_verify_locations(cadata=root.decode())
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusted.wrap_bio(incoming, outgoing, server_hostname="files.example")
    for _ in range(4):
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            server.bio_write(outgoing.read())
            with contextlib.suppress(SSL.WantReadError):
                server.do_handshake()
            incoming.write(server.bio_read(1 << 16))
        except ssl.SSLCertVerificationError:
            return False
        else:
            return True
    raise AssertionError("the handshake did not end")


def test_an_authority_is_made_once_and_kept_private(tmp_path: Path) -> None:
    """The key is its owner's only, the folder too, and a second start finds the same one."""
    folder = tmp_path / "state" / "ca"
    certificate = ensure(folder, NOW)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / KEY_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(certificate.stat().st_mode) == 0o644
    before = certificate.read_bytes()
    assert ensure(folder, NOW).read_bytes() == before
    assert accepts(folder, before)


def test_those_who_start_at_once_agree(tmp_path: Path) -> None:
    """Several that find none make one between them."""
    seen: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: seen.append(ensure(tmp_path / "ca", NOW).read_bytes()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == 1
    assert len(seen) == 4


def test_old_and_new_trust_hold_during_the_grace(tmp_path: Path) -> None:
    """Clients of the old authority, of the new one, and after two changes of all three go on."""
    first = ensure(tmp_path, NOW).read_bytes()
    changed = rotate(tmp_path, GRACE, NOW)
    second = changed.certificate.read_bytes()
    assert first != second
    assert (tmp_path / PREVIOUS_FILE).read_bytes() == first
    assert changed.until == (NOW + GRACE).isoformat()
    assert accepts(tmp_path, first)
    assert accepts(tmp_path, second)
    third = rotate(tmp_path, GRACE, NOW).certificate.read_bytes()
    assert [accepts(tmp_path, one) for one in (first, second, third)] == [True, True, True]
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


def test_when_the_grace_is_over_only_the_new_one_is_trusted(tmp_path: Path) -> None:
    """The next start drops what was sent for clients of the old one."""
    first = ensure(tmp_path, NOW).read_bytes()
    second = rotate(tmp_path, GRACE, NOW).certificate.read_bytes()
    ensure(tmp_path, NOW + GRACE / 2)
    assert accepts(tmp_path, first)
    ensure(tmp_path, NOW + GRACE)
    assert not accepts(tmp_path, first)
    assert accepts(tmp_path, second)
    assert not (tmp_path / PREVIOUS_FILE).exists()


def test_the_grace_ends_though_nobody_starts_anything(tmp_path: Path) -> None:
    """An expired cross-certificate is no way to the old root, and none is needed to the new one."""
    past = NOW - dt.timedelta(days=40)
    first = ensure(tmp_path, past).read_bytes()
    second = rotate(tmp_path, GRACE, past).certificate.read_bytes()
    assert not accepts(tmp_path, first)
    assert accepts(tmp_path, second)


def test_without_grace_the_old_one_is_out_at_once(tmp_path: Path) -> None:
    """As where its key was stolen: its clients fail until they have the new one."""
    first = ensure(tmp_path, NOW).read_bytes()
    second = rotate(tmp_path, dt.timedelta(0), NOW).certificate.read_bytes()
    assert not accepts(tmp_path, first)
    assert accepts(tmp_path, second)


def test_the_authority_that_mitmproxy_made_can_be_changed(tmp_path: Path) -> None:
    """Its clients go on too, and its other files hold the new authority afterwards."""
    CertStore.create_store(tmp_path, "mitmproxy", 2048)
    first = (tmp_path / CERTIFICATE_FILE).read_bytes()
    bundle = (tmp_path / "mitmproxy-ca.p12").read_bytes()
    rotate(tmp_path, GRACE, NOW)
    assert accepts(tmp_path, first)
    assert accepts(tmp_path, (tmp_path / CERTIFICATE_FILE).read_bytes())
    assert (tmp_path / "mitmproxy-ca.p12").read_bytes() != bundle


@pytest.mark.parametrize("last", [KEY_FILE, CERTIFICATE_FILE])
def test_a_change_that_is_cut_short_leaves_one_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    """Killed before or after the key's file is in place, the next start makes both ends agree."""
    first = ensure(tmp_path, NOW).read_bytes()
    replace = os.replace

    class Killed(BaseException):
        pass

    def until_there(self: Path, target: Path) -> Path:
        if target.name == last:
            raise Killed
        replace(self, target)
        return target

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", until_there)
        with pytest.raises(Killed):
            rotate(tmp_path, GRACE, NOW)
    published = ensure(tmp_path, NOW).read_bytes()
    assert accepts(tmp_path, published)
    assert accepts(tmp_path, first)
    assert [one for one in tmp_path.iterdir() if one.name.startswith(".mitmproxy")] == []


def test_a_site_s_own_intermediate_is_left_alone(tmp_path: Path) -> None:
    """What a site put there with the root that signed it is what goes on being sent."""
    site = tmp_path / "site"
    root = ensure(site, NOW).read_bytes()
    rotate(site, GRACE, NOW)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / KEY_FILE).write_bytes((site / KEY_FILE).read_bytes())
    before = (mine / KEY_FILE).read_bytes()
    ensure(mine, NOW + 2 * GRACE)
    ensure(mine, NOW)
    assert x509.load_pem_x509_certificates((mine / KEY_FILE).read_bytes()) == (
        x509.load_pem_x509_certificates(before)
    )
    assert accepts(mine, root)


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    """Nothing to change, nonsense in its place, and a key of another certificate."""
    with pytest.raises(ConfigError, match="there is none"):
        rotate(tmp_path, GRACE, NOW)
    (tmp_path / KEY_FILE).write_text("nonsense")
    with pytest.raises(ConfigError, match="not a key"):
        ensure(tmp_path, NOW)
    one, other = tmp_path / "one", tmp_path / "other"
    ensure(one, NOW)
    certificate = ensure(other, NOW)
    key = (one / KEY_FILE).read_text().partition("-----BEGIN CERT")[0]
    (one / KEY_FILE).write_text(key + certificate.read_text())
    with pytest.raises(ConfigError, match="not the key's own"):
        ensure(one, NOW)
