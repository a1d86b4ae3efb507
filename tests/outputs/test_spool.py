"""The spool on a real file system, killed, damaged and overfull."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from davylamp.errors import ConfigError
from davylamp.outputs.spool import Spool


def oldest(spool: Spool) -> bytes | None:
    """Return the oldest line, None where there is none; it is what ``ack`` forgets next."""
    return next(iter(spool.peek(1)), None)


def drain(spool: Spool) -> list[bytes]:
    """Take everything there is."""
    lines = []
    while (line := oldest(spool)) is not None:
        lines.append(line)
        spool.ack()
    return lines


def lines(count: int, start: int = 0) -> list[bytes]:
    """Return distinct lines of 40 bytes."""
    return [b"%040d" % number for number in range(start, start + count)]


def fill(spool: Spool, added: list[bytes]) -> None:
    """Append every line."""
    for line in added:
        spool.append(line)


def test_peek_does_not_forget(tmp_path: Path) -> None:
    """A line is shown again and again until it is acknowledged."""
    with Spool(tmp_path) as spool:
        spool.append(b"one")
        spool.append(b"two")
        assert [oldest(spool), oldest(spool)] == [b"one", b"one"]
        spool.ack()
        spool.ack()
        assert oldest(spool) == b"two"


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    """The directory and every file in it are closed to others."""
    with Spool(tmp_path / "spool") as spool:
        spool.append(b"one")
        assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in (tmp_path / "spool").iterdir()} == {0o600}


def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """It is said in a line, like any other setting that does not work here."""
    (tmp_path / "spool").write_text("a file")
    with pytest.raises(ConfigError, match=r"cannot be written: .*; name another state_dir"):
        Spool(tmp_path / "spool")


def test_second_owner_is_refused(tmp_path: Path) -> None:
    """Two gateways cannot share a spool, and the second is told what to do."""
    with Spool(tmp_path), pytest.raises(ConfigError, match="give each its own"):
        Spool(tmp_path)
    Spool(tmp_path).close()


def test_a_closed_spool_writes_nowhere(tmp_path: Path) -> None:
    """An append that comes late is refused, whatever file has the spool's descriptors by now."""
    spool = Spool(tmp_path / "spool")
    spool.append(b"kept")
    assert oldest(spool) == b"kept"
    spool.close()
    others = [(tmp_path / f"other-{number}").open("w+b") for number in range(8)]
    with pytest.raises(OSError, match="closed"):
        spool.append(b"late")
    with pytest.raises(OSError, match="closed"):
        spool.peek(1)
    with pytest.raises(OSError, match="Bad file descriptor"):
        spool.ack()
    spool.close()
    for other in others:
        assert other.read() == b""
        other.close()
    with Spool(tmp_path / "spool") as again:
        assert drain(again) == [b"kept"]


def test_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    """What was acknowledged does not come again, and what was not does, in order."""
    with Spool(tmp_path, max_bytes=4000) as spool:
        fill(spool, lines(30))
        for _ in range(17):
            oldest(spool)
            spool.ack()
        oldest(spool)
    with Spool(tmp_path, max_bytes=4000) as spool:
        assert len(spool) == 13
        fill(spool, lines(5, start=30))
        assert drain(spool) == lines(18, start=17)
        assert len(spool) == 0


def test_handed_over_segments_leave_the_disk(tmp_path: Path) -> None:
    """Delivery frees the disk: at most the newest segment stays."""
    with Spool(tmp_path, max_bytes=8000) as spool:
        fill(spool, lines(100))
        assert len(list(tmp_path.glob("*.spool"))) > 3
        drain(spool)
        assert len(list(tmp_path.glob("*.spool"))) == 1


def test_bound_holds_and_what_is_lost_is_counted(tmp_path: Path) -> None:
    """An overfull spool keeps its oldest and its newest lines and counts the rest."""
    with Spool(tmp_path, max_bytes=4000) as spool:
        for line in lines(1000):
            spool.append(line)
            assert sum(path.stat().st_size for path in tmp_path.glob("*.spool")) <= 4000
        kept = drain(spool)
        assert len(kept) + spool.dropped == 1000
        assert kept == sorted(kept)
        assert kept[0] == lines(1)[0]
        assert kept[-40:] == lines(40, start=960)


def test_line_larger_than_a_segment_is_counted_not_kept(tmp_path: Path) -> None:
    """One enormous line cannot push everything else out."""
    with Spool(tmp_path, max_bytes=4000) as spool:
        spool.append(b"small")
        spool.append(b"x" * 600)
        assert (drain(spool), spool.dropped) == ([b"small"], 1)


@pytest.mark.parametrize("cut", range(1, 51))
def test_torn_tail_is_tolerated(tmp_path: Path, cut: int) -> None:
    """A file cut anywhere in its last record loses that record and nothing else."""
    with Spool(tmp_path) as spool:
        fill(spool, lines(3))
    [segment] = tmp_path.glob("*.spool")
    os.truncate(segment, segment.stat().st_size - cut)
    with Spool(tmp_path) as spool:
        fill(spool, lines(1, start=3))
        assert drain(spool) == [*lines(2), *lines(1, start=3)]


@settings(max_examples=200, deadline=None)
@given(offset=st.integers(0, 199), value=st.integers(0, 255))
def test_damage_never_passes_for_a_line(
    tmp_path_factory: pytest.TempPathFactory, offset: int, value: int
) -> None:
    """A byte altered on disk costs the records it touches; what comes out was put in."""
    directory = tmp_path_factory.mktemp("spool")
    with Spool(directory) as spool:
        fill(spool, lines(4))
    [segment] = directory.glob("*.spool")
    data = bytearray(segment.read_bytes())
    data[offset] = value
    segment.write_bytes(data)
    with Spool(directory) as spool:
        out = drain(spool)
    assert [line for line in out if line not in lines(4)] == []
    assert len(out) >= 2


@pytest.mark.parametrize(
    "content", [b"", b"x y", b"-1 -1", b"1 -5", b"1 999", b"5", b"9" * 40 + b" 0"]
)
def test_damaged_position_repeats_rather_than_loses(tmp_path: Path, content: bytes) -> None:
    """Without a position that can be believed, everything on disk is handed over again."""
    with Spool(tmp_path) as spool:
        fill(spool, lines(3))
    (tmp_path / "position").write_bytes(content)
    with Spool(tmp_path) as spool:
        assert drain(spool) == lines(3)


def test_killed_process_loses_nothing(tmp_path: Path) -> None:
    """Every line whose append returned is there after SIGKILL, and none is out of order."""
    program = textwrap.dedent("""
        import sys
        from pathlib import Path
        from davylamp.outputs.spool import Spool
        spool = Spool(Path(sys.argv[1]), max_bytes=1 << 20)
        for number in range(10**9):
            spool.append(b"%d" % number)
            if number % 3 == 0 and spool.peek(1):
                spool.ack()
            print(number, flush=True)
    """)
    for _ in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            for _ in range(200):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
            said = 200 + sum(line.endswith(b"\n") for line in process.stdout)
        with Spool(tmp_path, max_bytes=1 << 20) as spool:
            left = [int(line) for line in drain(spool)]
        # The child acknowledged the oldest third of what it wrote; the rest is all here.
        assert left[-1] >= said - 1
        assert left == list(range(left[0], left[-1] + 1))
        assert left[0] <= said // 3 + 1


def test_full_disk_raises_and_heals(tmp_path: Path) -> None:
    """A record that the disk cuts short is taken back, and the next one is whole."""
    program = textwrap.dedent("""
        import json, resource, signal, sys
        from pathlib import Path
        from davylamp.outputs.spool import Spool
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        spool = Spool(Path(sys.argv[1]))
        spool.append(b"a" * 40)
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (70, hard))
        try:
            spool.append(b"b" * 40)
        except OSError as error:
            refused = str(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        spool.append(b"c" * 40)
        out = []
        while lines := spool.peek(1):
            out.append(lines[0].decode()[:1])
            spool.ack()
        print(json.dumps([refused, out, spool.damaged]))
    """)
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, check=True
    )
    refused, out, damaged = json.loads(done.stdout)
    assert "full" in refused
    assert (out, damaged) == (["a", "c"], 0)


class SpoolMachine(RuleBasedStateMachine):
    """Any order of append, peek, ack and restart behaves as a list would, within the bound."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(mkdtemp(prefix="dl-spool-"))
        self.spool = Spool(self.directory, max_bytes=1 << 16)
        self.model: list[bytes] = []
        self.shown = False

    @rule(line=st.binary(max_size=60).map(lambda raw: raw.replace(b"\n", b"")))
    def append(self, line: bytes) -> None:
        """Append to both."""
        self.spool.append(line)
        self.model.append(line)

    @rule()
    def peek(self) -> None:
        """Both show the same."""
        assert oldest(self.spool) == (self.model[0] if self.model else None)
        self.shown = bool(self.model)

    @precondition(lambda self: self.shown)
    @rule()
    def ack(self) -> None:
        """Both forget what was shown."""
        self.spool.ack()
        self.model.pop(0)
        self.shown = False

    @rule()
    def restart(self) -> None:
        """Close and open again."""
        self.spool.close()
        self.spool = Spool(self.directory, max_bytes=1 << 16)
        self.shown = False

    @invariant()
    def counted(self) -> None:
        """Both hold as many lines."""
        assert len(self.spool) == len(self.model)

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.spool.close()
        rmtree(self.directory)


TestSpoolMachine = SpoolMachine.TestCase
TestSpoolMachine.settings = settings(max_examples=50, deadline=None)


def test_several_are_forgotten_together(tmp_path: Path) -> None:
    """What peek showed, ack forgets at once, also for the next start."""
    with Spool(tmp_path) as spool:
        for number in range(5):
            spool.append(b"line %d" % number)
        assert spool.peek(3) == [b"line 0", b"line 1", b"line 2"]
        assert len(spool) == 5
        spool.ack()
        assert len(spool) == 2
        spool.ack()
        assert spool.peek(9) == [b"line 3", b"line 4"]
    with Spool(tmp_path) as spool:
        assert spool.peek(9, max_bytes=1) == [b"line 3"]
        spool.ack()
        assert oldest(spool) == b"line 4"
        spool.ack()
        assert (spool.peek(9), len(spool)) == ([], 0)


def test_a_damaged_record_ends_a_batch_and_is_counted_once(tmp_path: Path) -> None:
    """Whole records around a damaged one are shown, each once, however often one looks."""
    with Spool(tmp_path) as spool:
        for number in range(5):
            spool.append(b"line %d" % number)
    [segment] = tmp_path.glob("*.spool")
    segment.write_bytes(segment.read_bytes().replace(b"line 2", b"lime 2"))
    with Spool(tmp_path) as spool:
        assert spool.peek(9) == spool.peek(9) == [b"line 0", b"line 1"]
        spool.ack()
        assert spool.peek(9) == spool.peek(9) == [b"line 3", b"line 4"]
        assert (spool.damaged, len(spool)) == (1, 2)
        spool.ack()
        assert (oldest(spool), len(spool)) == (None, 0)


def test_a_batch_does_not_cross_segments(tmp_path: Path) -> None:
    """Over many segments every line comes once and in order, in batches of one segment each."""
    lines = [b"line %03d" % number for number in range(100)]
    with Spool(tmp_path, max_bytes=8 * 18 * 20) as spool:
        for line in lines:
            spool.append(line)
        found: list[bytes] = []
        while batch := spool.peek(7):
            found += batch
            spool.ack()
        assert found == lines
        assert len(spool) == 0
