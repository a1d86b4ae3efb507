"""Bundles: what is in them, and that whatever is done to one shows and is named."""

import io
import json
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from tests.incidents.conftest import MakeAlert

from davylamp.attribution.store import Store
from davylamp.errors import ConfigError
from davylamp.incidents import bundle as bundles
from davylamp.incidents import chain
from davylamp.incidents.bundle import Bundle, check_bundle, make_bundle, store_faults
from davylamp.incidents.operations import IncidentOperations
from davylamp.incidents.pcapfiles import Packets, joined

OPERATIONS = IncidentOperations()
PACKETS = Packets(b"\xd4\xc3\xb2\xa1 packets", 1)

type Files = dict[str, bytes]


@pytest.fixture
def bundle(store: Store, make_alert: MakeAlert) -> Bundle:
    """Give a bundle of an incident with three alerts, as exported."""
    for flow in range(1, 4):
        store.run(OPERATIONS.record(make_alert(flow_id=flow, at=1e9 + flow)))
    record = store.run(OPERATIONS.look_up("inc-1"))
    assert record is not None
    made = make_bundle(record, {"container": "c-run-1"}, PACKETS, "2026-01-01T00:00:00+00:00")
    store.run(OPERATIONS.exported("inc-1", made.digest))
    return made


def unpacked(data: bytes) -> Files:
    """Return the files of a zip."""
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def packed(files: Files) -> bytes:
    """Return a zip of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, data in files.items():
            made.writestr(name, data)
    return out.getvalue()


def faults(store: Store, data: bytes) -> tuple[str, ...]:
    """Return what a bundle, held against itself and the store, is found to be."""
    checked = check_bundle(data)
    length = len(checked.manifest.chain.digests)
    return checked.faults + store_faults(checked, *store.run(OPERATIONS.witness("inc-1", length)))


def test_a_bundle_is_whole_as_exported(store: Store, bundle: Bundle) -> None:
    """Also after more was added to the incident, and it says what it holds."""
    assert faults(store, bundle.data) == ()
    store.run(OPERATIONS.resolve("inc-1", "ada", "", 1e9 + 99))
    assert faults(store, bundle.data) == ()
    files = unpacked(bundle.data)
    assert set(files) == {
        "manifest.json", "incident.json", "events.jsonl", "lineage.json", "evidence.pcap"
    }  # fmt: skip
    assert bundle.manifest.packs == ("2026.1",)
    assert any("raw bytes" in note for note in bundle.manifest.notes)


def test_packets_may_be_left_out(store: Store, bundle: Bundle) -> None:
    """Then the bundle says so, and nothing of raw bytes."""
    record = store.run(OPERATIONS.look_up("inc-1"))
    assert record is not None
    made = make_bundle(record, None, None, "2026-01-01T00:00:00+00:00")
    assert "evidence.pcap" not in unpacked(made.data)
    assert any("left out" in one for one in made.manifest.missing)
    assert not any("raw bytes" in note for note in made.manifest.notes)
    assert check_bundle(made.data).faults == ()


def drop_line(files: Files) -> None:
    """Leave an event out."""
    first, _, rest = files["events.jsonl"].partition(b"\n")
    files["events.jsonl"] = first + b"\n" + rest.partition(b"\n")[2]


def swap_lines(files: Files) -> None:
    """Change the order of events."""
    one, two, three = files["events.jsonl"].splitlines()
    files["events.jsonl"] = b"\n".join((two, one, three)) + b"\n"


def replaced(name: str, old: bytes, new: bytes) -> Callable[[Files], None]:
    """Return what puts other words in a file."""

    def edit(files: Files) -> None:
        assert old in files[name]
        files[name] = files[name].replace(old, new)

    return edit


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (replaced("incident.json", b"high", b"low"), "incident.json was changed"),
        (replaced("lineage.json", b"run-1", b"run-2"), "lineage.json was changed"),
        (replaced("evidence.pcap", b"packets", b"Packets"), "evidence.pcap was changed"),
        (
            replaced("events.jsonl", b'"flow_id":2', b'"flow_id":7'),
            "events.jsonl, line 2: not the event that was recorded",
        ),
        (drop_line, "events.jsonl has 2 events, 3 were recorded"),
        (swap_lines, "events.jsonl, line 1: not the event that was recorded"),
        (lambda files: files.pop("evidence.pcap"), "evidence.pcap was taken out"),
        (lambda files: files.update(extra=b""), "extra is not in the manifest"),
        (
            replaced("manifest.json", b'"davylamp"', b'"Davylamp"'),
            "",  # no manifest any more
        ),
    ],
)
def test_what_was_edited_is_named(
    bundle: Bundle, edit: Callable[[Files], None], expected: str
) -> None:
    """Each file, each event, what was taken out and what was put in: by the bundle alone."""
    files = unpacked(bundle.data)
    edit(files)
    if expected:
        assert expected in check_bundle(packed(files)).faults
    else:
        with pytest.raises(ConfigError, match=r"manifest\.json cannot be read"):
            check_bundle(packed(files))


def test_who_edits_the_manifest_too_is_found_out_by_the_store(store: Store, bundle: Bundle) -> None:
    """Every digest made anew: the file agrees with itself, but not with what is on record."""
    files = unpacked(bundle.data)
    old = bundle.manifest.chain.head
    files["events.jsonl"] = files["events.jsonl"].replace(b"c-run-1", b"c-run-9")
    digests = chain.digests("inc-1", files["events.jsonl"].splitlines())
    files["incident.json"] = files["incident.json"].replace(old.encode(), digests[-1].encode())
    told = json.loads(files["manifest.json"])
    told["chain"] = {"head": digests[-1], "digests": digests}
    for entry in told["files"]:
        entry["sha256"] = sha256(files[entry["name"]]).hexdigest()
    files["manifest.json"] = json.dumps(told).encode()
    forged = packed(files)
    assert check_bundle(forged).faults == ()
    assert faults(store, forged) == (
        "events.jsonl does not end where the store's chain did",
        "manifest.json is none that was exported (the last 16 are on record)",
    )


@pytest.mark.parametrize("data", [b"", b"PK\x05\x06", b"no zip", packed({"a": b"b"})])
def test_what_is_no_bundle_is_refused(data: bytes) -> None:
    """With words, and no trace."""
    with pytest.raises(ConfigError):
        check_bundle(data)


def test_any_byte_of_a_bundle_that_is_not_as_it_was_shows(bundle: Bundle) -> None:
    """One bit turned anywhere in the files' bytes: refused, or named; never passed over."""
    files = unpacked(bundle.data)
    for name in ("incident.json", "events.jsonl", "lineage.json", "evidence.pcap"):
        for at in range(0, len(files[name]), 37):
            damaged = bytearray(files[name])
            damaged[at] ^= 0x04
            assert check_bundle(packed({**files, name: bytes(damaged)})).faults


def test_a_bundle_is_read_within_bounds(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zip that unpacks to more than a bundle may have is refused before it is unpacked."""
    monkeypatch.setattr(bundles, "MAX_BYTES", 100)
    with pytest.raises(ConfigError, match="too large"):
        check_bundle(bundle.data)


def test_only_capture_files_of_an_evidence_folder_are_taken_in(tmp_path: Path) -> None:
    """A path in the store that somebody planted brings no other file into a bundle."""
    folder = tmp_path / "evidence" / "queue-40"
    folder.mkdir(parents=True)
    secret = tmp_path / "secret.pcap"
    secret.write_bytes(b"secret")
    (folder / "link.pcap").symlink_to(secret)
    (folder / "text.pcap").write_bytes(b"secret")
    paths = [str(secret), str(folder / "link.pcap"), str(folder / "text.pcap"), "/nowhere.pcap"]
    found = joined(paths)
    assert b"secret" not in found.pcap
    assert (found.count, len(found.missing)) == (0, 4)
