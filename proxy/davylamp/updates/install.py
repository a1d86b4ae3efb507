"""From an archive's bytes to a pack in force, one step after the other; any of them may refuse.

Read, engine, compile, examples, time, keep, decide. Nothing that is in force is touched before the
last step, and that one is atomic (`store`). Where a gateway runs, the last step is a question to
it: it tries the pack beside the live one and answers.
"""

import hashlib
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from davylamp.errors import PackError
from davylamp.signatures.pack import Pack
from davylamp.updates.archive import read_archive
from davylamp.updates.engine import Engine
from davylamp.updates.loading import PackSource, compile_files, load_source
from davylamp.updates.manifest import Manifest
from davylamp.updates.proving import Proof, TimeBudget, prove
from davylamp.updates.state import Candidate, Outcome, Selection, State, Step
from davylamp.updates.store import Lock, Store

GATEWAY_LOCK = "gateway.lock"
_INSTALL_LOCK = "install.lock"
_CHANGE_LOCK = "change.lock"
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Examined:
    """A pack that passed every test but the traffic's."""

    manifest: Manifest
    packed: bytes
    pack: Pack
    proof: Proof


def examine(
    store: Store, packed: bytes, engine: Engine | None = None, budget: TimeBudget | None = None
) -> Examined:
    """Read, compile and prove an archive; raise PackError at the first thing that is wrong."""
    engine = engine or Engine()
    store.fault(Step.FETCHED)
    manifest, files = read_archive(packed)
    store.fault(Step.READ)
    manifest.check_engine(engine.version, engine.features)
    loaded = compile_files(manifest, files, PackSource(path=""))
    pack = loaded.pack
    if (pack.name, pack.version) != (manifest.name, manifest.version):
        raise PackError(
            f"pack.yaml says {pack.name} {pack.version} and the manifest "
            f"{manifest.name} {manifest.version}; publish it again"
        )
    store.fault(Step.COMPILED)
    proof = prove(pack, loaded.vectors, budget=budget)
    store.fault(Step.PROVED)
    return Examined(manifest, packed, pack, proof)


@dataclass(frozen=True, slots=True)
class Installed:
    """What puts a pack in force here, and the pack as it is here: with the site's own files."""

    selection: Selection
    pack: Pack


def install(store: Store, examined: Examined) -> Installed:
    """Keep an examined pack beside the others, and compile it as it would be in force here.

    What the site enabled and disabled stays so. Raises PackError where the pack is older than one
    that was here, or its files do not go together with the site's own.
    """
    manifest = examined.manifest
    state = store.state()
    check_not_older(state, manifest.name, manifest.number)
    selection = Selection(
        pack=manifest.identity,
        sha256=hashlib.sha256(examined.packed).hexdigest(),
        disabled=state.in_force.disabled,
        enabled=state.in_force.enabled,
    )
    store.add(manifest.identity, examined.packed)
    return Installed(selection, load_source(store.source(selection)).pack)


def check_offered(manifest: Manifest, name: str, number: int) -> None:
    """Raise PackError where an archive is not the pack that the repository said it was."""
    if (manifest.name, manifest.number) != (name, number):
        raise PackError(
            f"the repository offers {name}-{number}, and the archive is {manifest.identity}; "
            "have it published again by davylamp pack repo publish"
        )


def check_not_older(state: State, name: str, number: int) -> None:
    """Raise PackError where a repository offers less than was here once."""
    highest = state.highest.get(name, 0)
    if number < highest:
        raise PackError(
            f"{name}-{number} is older than {name}-{highest}, which was here: a rollback; "
            "to go back on purpose: davylamp pack rollback"
        )


@contextmanager
def changing(store: Store) -> Iterator[None]:
    """Be the only one who changes what is in force here; raise PackError where another does.

    What one decides by the state must hold until it is done, or each undoes what the other did.
    Held only while nothing is waited for but the gateway.
    """
    with _alone(store, _CHANGE_LOCK, "another change of these packs runs; try again"):
        yield


@contextmanager
def updating(store: Store) -> Iterator[None]:
    """Be the only one who fetches; raise PackError where another does.

    However slow a server is, what is in force can be changed meanwhile.
    """
    with _alone(store, _INSTALL_LOCK, "another update runs; try again later"):
        yield


def _alone(store: Store, name: str, otherwise: str) -> Lock:
    lock = store.lock(name, wait=False)
    if lock is None:
        raise PackError(f"{store.folder}: {otherwise}")
    return lock


def decide(  # noqa: PLR0913 - what is asked, and how
    store: Store,
    selection: Selection,
    reason: str,
    *,
    shadow_flows: int = 0,
    probation: bool = True,
    wait_seconds: float = 120.0,
) -> Outcome:
    """Put a selection in force: at once where no gateway runs, else by asking it.

    Raises PackError where the gateway does not answer in time. What was asked is withdrawn then,
    as it is when this is interrupted: the old pack stays in force.
    """
    token = secrets.token_hex(8)
    lock = store.lock(GATEWAY_LOCK, wait=False)
    if lock is not None:
        with lock:
            store.change(lambda state: state.accept(selection, token, reason))
        return Outcome(token=token, accepted=True, reason="in force from the next start")
    candidate = Candidate(
        selection=selection,
        token=token,
        reason=reason,
        shadow_flows=shadow_flows,
        probation=probation,
    )
    store.change(lambda state: msgspec.structs.replace(state, candidate=candidate))
    try:
        _wait_decided(store, candidate, time.monotonic() + wait_seconds)
    finally:
        state = store.state()
        if state.candidate == candidate:
            state = store.change(lambda state: state.withdraw(candidate))
    if state.outcome is not None and state.outcome.token == token:
        return state.outcome
    raise PackError(
        f"the gateway has not answered for {wait_seconds:g} s; see its log; "
        "the old pack is in force"
    )


def _wait_decided(store: Store, candidate: Candidate, deadline: float) -> None:
    while time.monotonic() < deadline and store.state().candidate == candidate:
        time.sleep(_POLL_SECONDS)
