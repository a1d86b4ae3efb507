"""Alerts of one subject get one incident's id while they keep coming."""

import msgspec
import pytest
from tests.incidents.conftest import MakeAlert

from davylamp.events import AlertEvent, LineageInfo
from davylamp.incidents.book import IncidentBook


@pytest.fixture
def alert(make_alert: MakeAlert) -> AlertEvent:
    """Return an alert without lineage."""
    return make_alert("", lineage=None)


def test_alerts_of_one_address_are_one_incident(alert: AlertEvent) -> None:
    """While no longer than the window passes between two."""
    book = IncidentBook(window=100.0)
    first = book.file(alert, 1000.0).incident_id
    assert first.startswith("inc-")
    assert book.file(alert, 1099.0).incident_id == first
    assert book.file(alert, 1199.0).incident_id == first
    assert book.file(alert, 1300.0).incident_id != first


def test_a_container_is_one_incident_whatever_its_address(alert: AlertEvent) -> None:
    """Where lineage names the lifecycle, that is the subject; a reused address is not."""
    book = IncidentBook()
    owned = [
        msgspec.structs.replace(
            alert, src_ip=ip, lineage=LineageInfo(grade="bound", lifecycle_id=lifecycle)
        )
        for ip, lifecycle in (("10.0.0.1", "a"), ("10.0.0.2", "a"), ("10.0.0.1", "b"))
    ]
    ids = [book.file(one, 1000.0).incident_id for one in owned]
    assert ids[0] == ids[1] != ids[2]


def test_no_more_incidents_are_remembered_than_may_be(alert: AlertEvent) -> None:
    """The longest idle is forgotten, so its next alert opens a new one."""
    book = IncidentBook(capacity=2)
    first = book.file(alert, 1.0).incident_id
    for number in range(2):
        book.file(msgspec.structs.replace(alert, src_ip=f"10.0.0.{number}"), 2.0)
    assert book.file(alert, 3.0).incident_id != first
