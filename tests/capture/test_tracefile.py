"""Capture files are recognised by content, inflated, found in folders; the real ones all read."""

import gzip
import os
import struct
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.capture.bytesource import ByteSource
from davylamp.capture.tracefile import Trace, find_traces
from davylamp.errors import CaptureError

PACKET = b"\x45" + bytes(range(1, 40))
HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 101)
RECORD = struct.pack("<IIII", 1, 0, len(PACKET), len(PACKET)) + PACKET
CORPORA = Path(__file__).parents[3] / "shared" / "corpora"


def read(path: Path) -> tuple[int, str]:
    """Read what can be read; return how many packets and the error's text, if any."""
    count = 0
    try:
        with Trace(path) as trace:
            for _ in trace:
                count += 1
    except CaptureError as error:
        return count, str(error)
    return count, ""


def test_gzip(tmp_path: Path) -> None:
    """A gzip file reads as what is in it, in one member or several, padded or not."""
    path = tmp_path / "a.pcap"
    path.write_bytes(gzip.compress(HEADER + RECORD) + gzip.compress(RECORD * 5000) + bytes(512))
    assert read(path) == (5001, "")


def test_gzip_cut_off(tmp_path: Path) -> None:
    """A gzip file that ends early gives what it held, then its own error."""
    path = tmp_path / "a.pcap.gz"
    noise = b"".join(RECORD[:-32] + os.urandom(32) for _ in range(2000))
    whole = gzip.compress(HEADER + noise)
    path.write_bytes(whole[: len(whole) // 2])
    count, error = read(path)
    assert 500 < count < 1500
    assert f"{path}: at inflated byte " in error
    assert "cut off" in error


def test_gzip_damaged(tmp_path: Path) -> None:
    """Damaged gzip data is named as such, after what came before it was read."""
    path = tmp_path / "a.pcap.gz"
    noise = b"".join(RECORD[:-32] + os.urandom(32) for _ in range(4000))
    whole = bytearray(gzip.compress(HEADER + noise))
    middle = len(whole) // 2
    whole[middle : middle + 2000] = bytes(2000)
    path.write_bytes(whole)
    count, error = read(path)
    assert 500 < count < 4000
    assert str(path) in error


def test_not_gzip_after_gzip(tmp_path: Path) -> None:
    """Bytes of another kind behind a gzip member are an error after the member was read."""
    path = tmp_path / "a.pcap.gz"
    path.write_bytes(gzip.compress(HEADER + RECORD) + b"other")
    count, error = read(path)
    assert count == 1
    assert "not gzip follow" in error


def test_inflation_is_bounded(tmp_path: Path) -> None:
    """A file that inflates past the limit stops there, a piece at a time in memory."""
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(8 * 1024 * 1024)))
    with ByteSource(path, max_inflated=1024 * 1024) as source:
        assert len(source.refill(b"", 1)) <= 512 * 1024
        with pytest.raises(CaptureError, match="inflates to more than 1048576 bytes"):
            source.refill(b"", 4 * 1024 * 1024)


NOT_CAPTURES = [
    ("empty", b"", "is empty"),
    ("text", b"# Corpora", "neither pcap nor pcapng (it begins with 23 20 43 6f)"),
    ("two bytes", b"\xd4\xc3", "neither pcap nor pcapng"),
    ("gzip of text", gzip.compress(b"hello"), "neither pcap nor pcapng"),
    ("gzip of nothing", gzip.compress(b""), "is empty"),
    ("two bytes of gzip", b"\x1f\x8b", "cut off"),
]


@pytest.mark.parametrize(
    ("content", "message"), [row[1:] for row in NOT_CAPTURES], ids=[row[0] for row in NOT_CAPTURES]
)
def test_not_a_capture(tmp_path: Path, content: bytes, message: str) -> None:
    """What is no capture is refused by name."""
    path = tmp_path / "x.pcap"
    path.write_bytes(content)
    count, error = read(path)
    assert count == 0
    assert error.startswith(str(path))
    assert message in error


def test_unreadable(tmp_path: Path) -> None:
    """A missing file or a folder is refused by name and reason."""
    missing = tmp_path / "missing.pcap"
    assert read(missing) == (0, f"{missing}: cannot be opened: No such file or directory")
    assert "directory" in read(tmp_path)[1]


def test_pipe(tmp_path: Path) -> None:
    """A named pipe is read as its writer writes, so a running tcpdump can feed it."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    got_first = threading.Event()

    def write() -> None:
        with path.open("wb", buffering=0) as pipe:
            pipe.write(HEADER + RECORD + RECORD[:20])
            assert got_first.wait(30)
            pipe.write(RECORD[20:])

    writer = threading.Thread(target=write)
    writer.start()
    with Trace(path) as trace:
        packets = iter(trace)
        assert next(packets) == (1.0, PACKET)
        got_first.set()
        assert list(packets) == [(1.0, PACKET)]
    writer.join()


def test_consumed(tmp_path: Path) -> None:
    """Progress counts bytes of the file on disk, also when it inflates to more."""
    path = tmp_path / "a.pcap.gz"
    path.write_bytes(gzip.compress(HEADER + RECORD * 1000))
    with Trace(path) as trace:
        assert sum(1 for _ in trace) == 1000
        assert trace.consumed == path.stat().st_size


def test_find_traces(tmp_path: Path) -> None:
    """A folder gives its captures in name order, by name or by content; a file gives itself."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "trace").write_bytes(HEADER)
    (tmp_path / "b" / "zipped").write_bytes(gzip.compress(HEADER))
    (tmp_path / "b" / "notes.gz").write_bytes(gzip.compress(b"notes"))
    (tmp_path / "b" / "broken.gz").write_bytes(b"\x1f\x8bxxxxxxxxxxxxx")
    (tmp_path / "a.PCAP").write_bytes(b"damaged")
    (tmp_path / "README.md").write_text("text")
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe.pcap")
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    found = [path.relative_to(tmp_path).as_posix() for path in find_traces(tmp_path)]
    assert found == ["a.PCAP", "b/trace", "b/zipped"]
    assert list(find_traces(tmp_path / "README.md")) == [tmp_path / "README.md"]
    assert list(find_traces(tmp_path / "none")) == [tmp_path / "none"]


@given(st.binary(max_size=200), st.booleans())
@settings(max_examples=200, deadline=None)
def test_hostile_bytes(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, zipped: bool
) -> None:
    """Any file at all reads or raises CaptureError."""
    path = tmp_path_factory.getbasetemp() / "hostile"
    path.write_bytes(b"\x1f\x8b\x08" + content if zipped else content)
    read(path)


DAMAGED = {
    "fuzz-2021-10-13.pcap": "at byte 237: a record header is cut off",
    "bug-1450-04__tls_DER-incomplete-header.pcap": "at byte 5035: a record claims 4325376 bytes",
    "bug-6875-01__fuzz.pcap": "at byte 228: a record claims 1409179648 bytes",
    "http-mime-truncated__input.pcap": "at byte 2715459: a record header is cut off",
}


@pytest.mark.corpora
@pytest.mark.skipif(not CORPORA.is_dir(), reason="the corpora are not beside the checkout")
def test_corpora() -> None:
    """Every real capture reads to its end, but for the four known to be damaged."""
    errors = {}
    counts = {}
    for path in find_traces(CORPORA):
        counts[path.name], error = read(path)
        if error:
            errors[path.name] = error
    assert len(counts) > 1000
    assert errors.keys() == DAMAGED.keys()
    for name, message in DAMAGED.items():
        assert message in errors[name]
    assert counts["http-mime-truncated__input.pcap"] == 2696
