"""One run: vectors and near misses crossed on several processors, then the captures."""

import multiprocessing
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path

from davylamp.accuracy.calibration import calibrate
from davylamp.accuracy.corpora import Corpus, FileFigures, Label, figures
from davylamp.accuracy.cost import Cost, Flow, flows_of_captures, flows_of_examples, measure
from davylamp.accuracy.crossing import Tally, cross
from davylamp.accuracy.examples import Example, examples
from davylamp.accuracy.figures import Report
from davylamp.accuracy.judge import Judge
from davylamp.accuracy.quotations import quotations
from davylamp.policy import Policy
from davylamp.signatures.disk import load_directory, load_vectors
from davylamp.signatures.pack import Pack

type Say = Callable[[str], None]


def run(  # noqa: PLR0913 - all that a run depends on
    signatures: Path,
    vectors: Path,
    corpora: Sequence[Corpus],
    *,
    jobs: int,
    say: Say,
    notes: tuple[str, ...] = (),
) -> Report:
    """Measure a pack by its vectors and by captures; raise PackError if it cannot be used."""
    pack = load_directory(signatures)
    given = [*examples(pack, load_vectors(vectors))]
    given += quotations(tuple(given))
    say(f"{len(given):,} vectors and near misses in every layer and form")
    tally = _crossed(signatures, given, jobs)
    found: dict[Label, tuple[FileFigures, ...]] = dict.fromkeys(Label, ())
    for corpus in corpora:
        say(f"captures of {corpus.label} traffic in {corpus.path}")
        found[corpus.label] += figures(corpus, signatures, jobs)
    say("what a benign flow costs")
    return Report(
        pack=f"{pack.name} {pack.version}, {len(pack.signatures)} signatures",
        tally=tally,
        captures=found,
        calibration=calibrate(pack, found, tally),
        cost=_cost(pack, given, corpora),
        machine=f"{os.cpu_count()} CPUs, CPython {platform.python_version()}",
        notes=notes,
    )


def _crossed(signatures: Path, given: Sequence[Example], jobs: int) -> Tally:
    """Cross all examples, each ``jobs``-th of them in a process of its own."""
    parts = [(signatures, given[number::jobs]) for number in range(jobs)]
    if jobs == 1:
        return _cross(*parts[0])
    tally = Tally()
    with multiprocessing.get_context("forkserver").Pool(jobs) as pool:
        for part in pool.starmap(_cross, parts, chunksize=1):
            tally.add(part)
    return tally


def _cross(signatures: Path, given: Sequence[Example]) -> Tally:
    pack = load_directory(signatures)
    return cross(Judge(pack, Policy()), given)


def _cost(pack: Pack, given: Sequence[Example], corpora: Sequence[Corpus]) -> Cost:
    flows: tuple[Flow, ...] = ()
    for corpus in corpora:
        if corpus.label is Label.BENIGN:
            flows += flows_of_captures(corpus.path)
    if flows:
        return measure(pack, "TCP flows of the captures", flows)
    near = [one for one in given if one.signature is None and not one.is_document]
    return measure(pack, "near misses, for want of captures", flows_of_examples(near))
