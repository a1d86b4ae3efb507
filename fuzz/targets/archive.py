"""Archives of signature packs: any bytes, packed or not, are read or refused by a PackError."""

import datetime as dt
import gzip

from davylamp.errors import PackError
from davylamp.updates.archive import ArchiveLimits, pack_archive, read_archive
from davylamp.updates.manifest import Manifest, digests

LIMITS = ArchiveLimits(packed=1 << 20, unpacked=1 << 20, file=1 << 19, files=64)
FILES = {"pack.yaml": b"name: toy\n", "toy/a.yaml": b"id: a\n", "lists/pools.tsv": b"# none\n"}
WHOLE = pack_archive(
    Manifest(
        format=1,
        name="toy",
        version="2026.11.28",
        number=1,
        min_engine="0.1.0",
        created=dt.datetime(2026, 11, 28, tzinfo=dt.UTC),
        expires=dt.datetime(2027, 11, 28, tzinfo=dt.UTC),
        files=digests(FILES),
    ),
    FILES,
)

SEEDS = (
    WHOLE,
    gzip.decompress(WHOLE),
    gzip.compress(bytes(1 << 21), mtime=0),
)


def fuzz_one(data: bytes) -> None:
    """Read the input as an archive, and as what an archive unpacks to."""
    for packed in (data, gzip.compress(data, 1, mtime=0)):
        try:
            manifest, files = read_archive(packed, LIMITS)
        except PackError:
            continue
        assert files.keys() == manifest.files.keys()
        for name in files:
            parts = name.split("/")
            assert name[0] != "/", name
            assert ".." not in parts, name
