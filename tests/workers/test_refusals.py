"""What a worker does where the kernel takes nothing: it goes on, counts, and spares the log."""

import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from davylamp.config import GatewayConfig, RulesConfig
from davylamp.decision import Block, Decision, Fate, NameBinding
from davylamp.flow import FlowKey, Proto
from davylamp.paths import SIGNATURES
from davylamp.pipeline import Vantage
from davylamp.signatures.memo import Memo
from davylamp.updates.loading import PackSource, load_source
from davylamp.workers import loop
from davylamp.workers.loop import Beginning, Worker
from davylamp.workers.orders import Brief

SUSPECT = Decision(Fate.ACCEPT, suspect=FlowKey(Proto.TCP, bytes(4), 1, b"\1\1\1\1", 2))
BINDING = Decision(Fate.ACCEPT, bindings=(NameBinding(bytes(4), b"\1\1\1\1", "a", 1.0),))


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """Make a worker whose table is nowhere, so that the kernel refuses every element."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for a raw socket")
    config = GatewayConfig(state_dir=str(tmp_path), rules=RulesConfig(table=f"none{os.getpid()}"))
    brief = Brief(config=config, pack=PackSource(path=str(SIGNATURES / "core")))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        begin = Beginning(brief, load_source(brief.pack).pack, Memo())
        made = Worker("queue-0", begin, theirs, Vantage.INLINE)
        yield made
        made.close()


def test_refusals_are_counted_and_told_once(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    """A sandbox that fills a set does not fill the log: the counter tells how often it was."""
    with caplog.at_level(logging.ERROR):
        for _ in range(200):
            worker.carry_out(SUSPECT, b"", 0.0)
            worker.bind(BINDING)
    assert worker.counters.kernel_refusals == 400
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info


def test_a_refusal_does_not_keep_the_next_step_from_being_taken(worker: Worker) -> None:
    """Where the set of blocks is full, a suspect is still named."""
    block = Block(Proto.TCP, bytes(4), b"\1\1\1\1", 2)
    worker.carry_out(replace(SUSPECT, block=block), b"", 0.0)
    assert (worker.counters.kernel_refusals, worker.counters.blocks) == (2, 0)


def test_refusals_are_told_again_later(
    worker: Worker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A set that is full does not keep a later refusal out of the log for good."""
    monkeypatch.setattr(loop, "_REFUSAL_SECONDS", 0.0)
    for _ in range(3):
        worker.carry_out(SUSPECT, b"", 0.0)
    assert [record.getMessage().partition("(")[2] for record in caplog.records] == [
        "1 so far)",
        "2 so far)",
        "3 so far)",
    ]
