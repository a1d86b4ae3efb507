"""An incident as one file that can be handed on: a zip whose manifest shows later editing.

``incident.json``, ``events.jsonl`` (each alert and resolution, as chained), ``lineage.json``,
``evidence.pcap`` and ``manifest.json``, which has the size and SHA-256 of each file and the digest
of each event. Who edits a file and the manifest with it is found out by the store, which has the
chain's digests and the manifests that were exported.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec

from davylamp import __version__
from davylamp.errors import ConfigError
from davylamp.events import Struct
from davylamp.incidents import chain
from davylamp.incidents.operations import Record
from davylamp.incidents.pcapfiles import Packets

FORMAT = "davylamp-incident-1"
MANIFEST, INCIDENT, EVENTS = "manifest.json", "incident.json", "events.jsonl"
LINEAGE, PCAP = "lineage.json", "evidence.pcap"
MAX_BYTES = 256 * 1024 * 1024
"""Bytes that the files of a bundle may have, unpacked."""

_RAW = "evidence.pcap holds raw bytes as they were sent: wallets, passwords and tokens among them"
_REDACTED = "secrets in the JSON files are masked; their first 6 and last 4 characters are kept"
_REBUILT = (
    "packets before a judged one were rebuilt from the reassembled stream: their boundaries, times "
    "and header fields but addresses, ports and sequence numbers are not those on the wire"
)


class FileEntry(Struct, frozen=True, kw_only=True):
    """One file of a bundle."""

    name: str
    size: int
    sha256: str


class ChainInfo(Struct, frozen=True, kw_only=True):
    """The chain over ``events.jsonl``: the digest of each event, and the last one."""

    head: str
    digests: tuple[str, ...] = ()


class Manifest(Struct, frozen=True, kw_only=True):
    """What is in a bundle, what is not, and how to tell that it is as it was made."""

    format: str
    incident_id: str
    exported_at: str
    davylamp: str
    files: tuple[FileEntry, ...]
    chain: ChainInfo
    packs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bundle:
    """The bytes of a zip, its manifest, and the manifest's SHA-256."""

    data: bytes
    manifest: Manifest
    digest: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What a bundle says of itself, and in words everything that is not as it was made."""

    manifest: Manifest
    digest: str
    faults: tuple[str, ...]


def make_bundle(
    record: Record, lineage: dict[str, Any] | None, packets: Packets | None, at: str
) -> Bundle:
    """Return the bundle of an incident; ``packets`` is None where none are wanted."""
    incident = record.incident
    files = {
        INCIDENT: _pretty(msgspec.to_builtins(incident)),
        EVENTS: b"".join(line + b"\n" for line in record.lines),
        LINEAGE: _pretty(lineage),
    }
    notes = [_REDACTED]
    missing: list[str] = []
    if packets is not None:
        files[PCAP] = packets.pcap
        notes += [_RAW, _REBUILT]
        missing += packets.missing
    else:
        missing.append(f"{PCAP}: left out when this was exported")
    if incident.alerts > incident.kept:
        missing.append(f"{EVENTS}: {incident.alerts - incident.kept} more alerts, counted only")
    manifest = Manifest(
        format=FORMAT,
        incident_id=incident.id,
        exported_at=at,
        davylamp=__version__,
        files=tuple(
            FileEntry(name=name, size=len(data), sha256=sha256(data).hexdigest())
            for name, data in files.items()
        ),
        chain=ChainInfo(head=incident.chain_head, digests=record.digests),
        packs=incident.packs,
        notes=tuple(notes),
        missing=tuple(missing),
    )
    told = _pretty(msgspec.to_builtins(manifest))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in {MANIFEST: told, **files}.items():
            made.writestr(name, data)
    return Bundle(out.getvalue(), manifest, sha256(told).hexdigest())


def check_bundle(data: bytes) -> Checked:
    """Hold a bundle against its manifest; raise ConfigError if it is no bundle at all."""
    names, files = _unpacked(data)
    told = files.pop(MANIFEST, None)
    if told is None:
        raise ConfigError(f"there is no {MANIFEST} in it; this is not a bundle of an incident")
    try:
        manifest = msgspec.json.decode(told, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{MANIFEST} cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise ConfigError(f"{MANIFEST}: format {manifest.format[:60]!r} is not known here")
    faults = [f"{name} is in it twice" for name in sorted({n for n in names if names.count(n) > 1})]
    entries = {one.name: one for one in manifest.files}
    faults += [f"{name} is not in the manifest" for name in files if name not in entries]
    for name, entry in entries.items():
        if name not in files:
            faults.append(f"{name} was taken out")
        elif sha256(files[name]).hexdigest() != entry.sha256:
            faults.append(f"{name} was changed")
    faults += _chain_faults(manifest, files)
    return Checked(manifest, sha256(told).hexdigest(), tuple(faults))


def store_faults(checked: Checked, digest: str, manifests: Sequence[str]) -> tuple[str, ...]:
    """Hold a bundle against what the store has: the chain's digest then, and the manifests."""
    faults: list[str] = []
    if checked.manifest.chain.digests and digest != checked.manifest.chain.head:
        faults.append(f"{EVENTS} does not end where the store's chain did")
    if checked.digest not in manifests:
        faults.append(f"{MANIFEST} is none that was exported (the last 16 are on record)")
    return tuple(faults)


def _chain_faults(manifest: Manifest, files: dict[str, bytes]) -> list[str]:
    told = manifest.chain
    last = told.digests[-1] if told.digests else chain.genesis(manifest.incident_id)
    faults = [] if last == told.head else [f"{MANIFEST}: the chain does not end in its head"]
    lines = files.get(EVENTS, b"").splitlines()
    for number, (found, digest) in enumerate(
        zip(chain.digests(manifest.incident_id, lines), told.digests, strict=False), 1
    ):
        if found != digest:
            # All that follow differ with it: the first one is where something was done.
            faults.append(f"{EVENTS}, line {number}: not the event that was recorded")
            break
    if len(lines) != len(told.digests):
        faults.append(f"{EVENTS} has {len(lines)} events, {len(told.digests)} were recorded")
    try:
        own = msgspec.json.decode(files.get(INCIDENT, b"{}"))
    except (msgspec.DecodeError, UnicodeDecodeError):
        own = None
    if not isinstance(own, dict) or own.get("chain_head") != told.head:
        faults.append(f"{INCIDENT} does not belong to this chain")
    return faults


def _unpacked(data: bytes) -> tuple[list[str], dict[str, bytes]]:
    """Return the names in a zip and what is in the files; raise ConfigError if it is unfit."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as opened:
            infos = opened.infolist()
            if sum(one.file_size for one in infos) > MAX_BYTES or len(infos) > 64:
                raise ConfigError("it is too large for a bundle of an incident")
            # What a member really unpacks to is held to its header's size by zipfile.
            return [one.filename for one in infos], {
                one.filename: opened.read(one) for one in infos
            }
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise ConfigError(f"it is not a whole zip file ({error}); export it again") from error
    except (OSError, zlib.error) as error:
        raise ConfigError(f"it is damaged ({error}); export it again") from error


def _pretty(tree: object) -> bytes:
    return json.dumps(tree, indent=2, ensure_ascii=False).encode() + b"\n"
