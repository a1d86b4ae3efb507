"""Archives: the same bytes every time, and everything that is no plain pack refused by name."""

import gzip
import io
import tarfile
import tracemalloc

import pytest
from tests.updates.conftest import archive, pack_files

from davylamp.errors import PackError
from davylamp.updates.archive import ArchiveLimits, read_archive


def member(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, **more: object) -> bytes:
    """Return one entry as a hostile tar program writes it."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data)
    for key, value in more.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)


def packed(*entries: bytes) -> bytes:
    """Return entries as an archive."""
    return gzip.compress(b"".join(entries) + bytes(1024))


def pax_archive() -> bytes:
    """Return an archive whose file has another name in an extended header."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("a" * 150))
    return gzip.compress(out.getvalue())


def test_an_archive_is_the_same_bytes_and_reads_back() -> None:
    """Nothing of a machine or a moment is in it, and an ordinary tar reads it."""
    first = archive(7)
    assert first == archive(7)
    manifest, files = read_archive(first)
    assert (manifest.identity, files) == ("toy-7", pack_files())
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        assert tar.getnames() == ["manifest.json", *sorted(files)]
        assert {(one.mtime, one.uid, one.gid, one.mode) for one in tar} == {(0, 0, 0, 0o644)}


SMALL = ArchiveLimits(packed=1 << 16, unpacked=1 << 20, file=1 << 18, files=8, path=60, depth=3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (packed(member("../evil.yaml")), "leads out of the pack"),
        (packed(member("a/../../evil.yaml")), "leads out of the pack"),
        (packed(member("/etc/cron.d/evil")), "an absolute path"),
        (packed(member("a", kind=tarfile.SYMTYPE, linkname="/etc/shadow")), "is a link"),
        (packed(member("a", kind=tarfile.LNKTYPE, linkname="b")), "is a link"),
        (packed(member("a", kind=tarfile.CHRTYPE, devmajor=1, devminor=3)), "is a device"),
        (packed(member("a", kind=tarfile.FIFOTYPE)), "is a device"),
        (packed(member("a", kind=tarfile.DIRTYPE)), "is not a plain file"),
        (packed(member("a", kind=b"S")), "is not a plain file"),
        (pax_archive(), "is not a plain file"),
        (packed(member("a"), member("a")), "is twice in the archive"),
        (packed(*(member(f"f{number}") for number in range(9))), "more than 8 files"),
        (packed(member("a", bytes(1 << 19))), "'a'|a: has more than 262,144 bytes"),
        (packed(*(member(f"f{one}", bytes(1 << 18)) for one in range(8))), "a zip bomb"),
        (gzip.compress(member("a") + bytes(1 << 22)), "a zip bomb"),
        (bytes(1 << 17), "more than 65,536 bytes"),
        (packed(member("a" * 80)), "too long a name"),
        (packed(member("a/b/c/d")), "too long a name"),
        (packed(member(".hidden")), "names are letters"),
        (packed(member("a b")), "names are letters"),
        (packed(member("a//b")), "names are letters"),
        (gzip.compress(member("a") + bytes(1024) + member("b")), "goes on after its end"),
        (gzip.compress(b"\x01" * 512), "damaged"),
        (archive(1)[:-40], "damaged|in the middle"),
        (b"no archive", "damaged"),
        (packed(member("pack.yaml")), "no manifest.json"),
        (packed(member("manifest.json", b"{}")), "manifest.json"),
    ],
    ids=lambda value: value if isinstance(value, str) else "archive",  # gzip has the time in it
)
def test_what_is_no_pack_is_refused_by_name(data: bytes, message: str) -> None:
    """Each with its own message, and nothing is written anywhere."""
    with pytest.raises(PackError, match=message):
        read_archive(data, SMALL)


def test_a_bomb_costs_no_more_than_the_bound() -> None:
    """A gigabyte of zeros in a megabyte is noticed while it is small."""
    bomb = gzip.compress(member("a") + bytes(1024) + bytes(1 << 28))
    tracemalloc.start()
    with pytest.raises(PackError, match="a zip bomb"):
        read_archive(bomb, ArchiveLimits(unpacked=1 << 20))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"toy/toy-hello.yaml": b"other"}, "is not the file that the manifest describes"),
        ({"toy/more.yaml": b"more"}, "in the archive and not in its manifest"),
    ],
)
def test_the_manifest_is_held(change: dict[str, bytes], message: str) -> None:
    """A file that is not the manifest's is refused, whoever signed the archive."""
    manifest, files = read_archive(archive(1))
    entries = [member("manifest.json", manifest.encode())]
    entries += [member(name, data) for name, data in sorted((files | change).items())]
    with pytest.raises(PackError, match=message):
        read_archive(packed(*entries))
