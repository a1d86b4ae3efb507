"""What the log of actions says, on a real Redis."""

from msgspec.structs import replace
from tests.actions.conftest import MakePlanned

from davylamp.actions.model import Record, Status
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
