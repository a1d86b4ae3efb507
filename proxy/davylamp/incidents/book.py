"""Which incident an alert belongs to, as the gateway knows it when it publishes the alert.

The store has the last word (`davylamp.incidents.operations`): it knows what was open before the
gateway was restarted, and what other gateways opened.
"""

import hashlib
from collections import OrderedDict

import msgspec

from davylamp.events import AlertEvent
from davylamp.incidents.folding import subject_of
from davylamp.incidents.model import BOUNDS


class IncidentBook:
    """Gives every alert the id of the incident that it belongs to.

    Alerts of one subject fold into one incident while no more than ``window`` seconds pass between
    them. At most ``capacity`` incidents are remembered, longest idle forgotten first.
    """

    __slots__ = ("_capacity", "_open", "_window")

    def __init__(self, window: float = BOUNDS.window, capacity: int = 10_000) -> None:
        self._window = window
        self._capacity = capacity
        self._open: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def file(self, event: AlertEvent, now: float) -> AlertEvent:
        """Return the alert with its incident id; ``now`` is seconds since the epoch.

        Whose it is, `subject_of` says.
        """
        subject = subject_of(event)
        known = self._open.pop(subject, None)
        if known is not None and now - known[1] <= self._window:
            incident = known[0]
        else:
            digest = hashlib.sha256(f"{subject} {now:.6f} {event.flow_id}".encode())
            incident = f"inc-{digest.hexdigest()[:12]}"
        self._keep(subject, incident, now)
        return msgspec.structs.replace(event, incident_id=incident)

    def learn(self, subject: str, incident: str, now: float) -> None:
        """Note whose an incident turned out to be, unless they have one by now."""
        known = self._open.get(subject)
        if known is None or now - known[1] > self._window:
            self._keep(subject, incident, now)

    def _keep(self, subject: str, incident: str, now: float) -> None:
        self._open.pop(subject, None)
        self._open[subject] = (incident, now)
        while len(self._open) > self._capacity:
            self._open.popitem(last=False)
