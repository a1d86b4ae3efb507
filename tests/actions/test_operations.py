"""What the log of actions says, on a real Redis."""

from msgspec.structs import replace
from tests.actions.conftest import MakePlanned

from davylamp.actions.model import Kind, Record, Status
from davylamp.actions.operations import ActionOperations
from davylamp.attribution.server import EmbeddedRedis
from davylamp.attribution.store import Store

OPERATIONS = ActionOperations()


def test_a_command_whose_answer_was_lost_has_the_same_answer_again(
    server: EmbeddedRedis, planned: MakePlanned
) -> None:
    """Who claimed or changed a record has done so however often it asks; nobody else has."""
    record = Record(planned=planned(), status=Status.RUNNING, gateway="gw-1", at=1e9)
    done = replace(record, status=Status.DONE)
    with Store(server.url) as store:
        for _ in range(2):
            assert store.run(OPERATIONS.claim(record, 2e9))
        assert not store.run(OPERATIONS.claim(replace(record, gateway="gw-2"), 2e9))
        assert not store.run(OPERATIONS.claim(replace(record, at=1e9 + 1), 2e9))
        for _ in range(2):
            assert store.run(OPERATIONS.change(record, done))
        assert not store.run(OPERATIONS.change(record, replace(record, status=Status.FAILED)))
        assert not store.run(OPERATIONS.claim(record, 2e9))


def test_what_names_more_candidates_is_begun_again(
    server: EmbeddedRedis, planned: MakePlanned
) -> None:
    """By any gateway, also while the other is at it; not by a dry run, nor after a release."""

    def record(gateway: str, *candidates: str, status: Status = Status.RUNNING) -> Record:
        what = planned(Kind.FEEDBACK, candidates=candidates)
        return Record(planned=what, status=status, gateway=gateway, at=1e9)

    few, more = record("gw-1", "a", "b"), record("gw-2", "a", "b", "c")
    with Store(server.url) as store:
        assert store.run(OPERATIONS.claim(few, 2e9))
        assert not store.run(OPERATIONS.claim(record("gw-2", "a", "b"), 2e9))
        dry = record("gw-3", "a", "b", "c", status=Status.WOULD)
        assert not store.run(OPERATIONS.claim(dry, 2e9))
        assert store.run(OPERATIONS.claim(more, 2e9))
        assert not store.run(OPERATIONS.claim(few, 2e9))
        assert store.run(OPERATIONS.listing()) == [more]
        for status in (Status.UNDOING, Status.UNDONE):
            assert store.run(OPERATIONS.change(more, replace(more, status=status)))
            assert not store.run(OPERATIONS.claim(record("gw-1", "a", "b", "c", "d"), 2e9))
            assert store.run(OPERATIONS.change(replace(more, status=status), more))
