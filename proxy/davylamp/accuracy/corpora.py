"""Capture files of real traffic: whether the mining in them is told, and nothing else."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from davylamp.accuracy.judge import MINING
from davylamp.capture.tracefile import find_traces
from davylamp.errors import ConfigError
from davylamp.events import AlertEvent
from davylamp.replay.observe import observers
from davylamp.replay.onefile import Done
from davylamp.replay.workers import replay_files
from davylamp.signatures.model import SignatureId


class Label(StrEnum):
    """What a folder of captures holds: mining, ordinary traffic, or what only resembles mining."""

    MINING = "mining"
    BENIGN = "benign"
    NEAR = "near"


@dataclass(frozen=True, slots=True)
class Corpus:
    """A capture file, or a folder of them."""

    label: Label
    path: Path


@dataclass(frozen=True, slots=True)
class Met:
    """A flow of a file, and a signature about mining that was told of it."""

    flow: int
    signature: SignatureId
    confidence: int


@dataclass(frozen=True, slots=True)
class FileFigures:
    """What one capture file held.

    ``told`` counts its flows with an alert of mining; ``signatures`` are those alerts' ids and
    ``others`` the ids of all other alerts, a flow and signature once.
    """

    name: str
    packets: int
    flows: int
    told: int
    dialects: tuple[str, ...]
    signatures: tuple[str, ...]
    others: tuple[str, ...]
    met: tuple[Met, ...] = ()


def parse_corpus(text: str) -> Corpus:
    """Read ``LABEL=PATH``; raise ConfigError saying what to write instead."""
    label, equals, path = text.partition("=")
    if not equals or label not in set(Label):
        raise ConfigError(f"{text!r} is no corpus; write mining=PATH, benign=PATH or near=PATH")
    if not Path(path).exists():
        raise ConfigError(f"{path}: no such file or folder; give one that holds captures")
    return Corpus(Label(label), Path(path))


def reference_corpora(folder: Path) -> tuple[Corpus, ...]:
    """Return what a folder with subfolders named by label holds; nothing if it is absent."""
    return tuple(Corpus(label, folder / label) for label in Label if (folder / label).is_dir())


def figures(corpus: Corpus, signatures: Path, jobs: int) -> tuple[FileFigures, ...]:
    """Replay a corpus, ``jobs`` files at once; return one entry a file, in their order."""
    paths = list(find_traces(corpus.path))
    return tuple(_by_file(corpus.path, paths, signatures, jobs))


def _by_file(
    root: Path, paths: Sequence[Path], signatures: Path, jobs: int
) -> Iterator[FileFigures]:
    alerts: list[AlertEvent] = []
    for index, message in replay_files(paths, partial(observers, signatures), jobs):
        match message:
            case AlertEvent():
                alerts.append(message)
            case Done():
                path = paths[index]
                name = path.relative_to(root).as_posix() if path != root else path.name
                yield _file(name, message, alerts)
                alerts = []
            case _:
                pass


def _file(name: str, done: Done, alerts: Iterable[AlertEvent]) -> FileFigures:
    mining = [alert for alert in alerts if alert.alert.category in MINING]
    others = [alert for alert in alerts if alert.alert.category not in MINING]
    return FileFigures(
        name,
        packets=done.packets,
        flows=done.flows,
        told=len({alert.flow_id for alert in mining}),
        dialects=tuple(sorted({alert.mining.dialect for alert in mining if alert.mining})),
        signatures=tuple(alert.alert.signature_id for alert in mining),
        others=tuple(alert.alert.signature_id for alert in others),
        met=tuple(
            Met(one.flow_id, SignatureId(one.alert.signature_id), one.alert.confidence)
            for one in mining
        ),
    )
