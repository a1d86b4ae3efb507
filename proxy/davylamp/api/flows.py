"""The flows that were judged last, in a bounded ring, each as it stands now."""

from collections import OrderedDict
from itertools import islice

from msgspec.structs import replace

from davylamp.api.model import FlowRecord
from davylamp.events import Action, AlertEvent, TlsEvent

CAPACITY = 1000
_SIGNATURES = 16
_GRAVITY = {Action.PASS: 0, Action.ALERT: 1, Action.DROP: 2, Action.REJECT: 3}
DIVERTED, REFUSED = "divert", "refused"
"""What became of a flow that was led another way, or whose client refused our certificate."""


class FlowRing:
    """The last ``capacity`` flows with a finding or a diversion; a flow's alerts make one record.

    Flows judged clean are only counted, by their workers: they are the most by far, and the kernel
    has them.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._flows: OrderedDict[int, FlowRecord] = OrderedDict()

    def __len__(self) -> int:
        return len(self._flows)

    def take(self, event: AlertEvent | TlsEvent) -> FlowRecord:
        """Take in what was found, and return the flow as it stands now."""
        known = self._flows.pop(event.flow_id, None)
        record = _of_alert(event, known) if isinstance(event, AlertEvent) else _of_tls(event, known)
        self._flows[event.flow_id] = record
        while len(self._flows) > self._capacity:
            self._flows.popitem(last=False)
        return record

    def newest(self, count: int) -> tuple[FlowRecord, ...]:
        """Return so many, the one judged last first."""
        return tuple(islice(reversed(self._flows.values()), count))


def _of_alert(event: AlertEvent, known: FlowRecord | None) -> FlowRecord:
    fresh = replace(
        _bare(event),
        action=event.verdict.action.value,
        what=event.alert.signature,
        app_proto=event.app_proto,
        signatures=(event.alert.signature_id,),
        incident_id=event.incident_id,
        delivered=event.verdict.delivered,
        lineage=event.lineage,
    )
    if known is None:
        return fresh
    graver = known if _gravity(known.action) > _gravity(fresh.action) else fresh
    named = dict.fromkeys((*known.signatures, *fresh.signatures))
    return replace(
        fresh,
        action=graver.action,
        what=graver.what,
        name=fresh.name or known.name,
        signatures=tuple(islice(named, _SIGNATURES)),
        delivered=fresh.delivered or known.delivered,
    )


def _of_tls(event: TlsEvent, known: FlowRecord | None) -> FlowRecord:
    if known is not None:
        return replace(known, at=event.timestamp)
    return replace(
        _bare(event),
        action=REFUSED if event.refusal else DIVERTED,
        what=event.refusal or event.diversion,
        app_proto=event.app_proto,
    )


def _bare(event: AlertEvent | TlsEvent) -> FlowRecord:
    return FlowRecord(
        flow_id=event.flow_id,
        community_id=event.community_id,
        at=event.timestamp,
        opened=event.flow_start,
        src_ip=event.src_ip,
        src_port=event.src_port,
        dest_ip=event.dest_ip,
        dest_port=event.dest_port,
        proto=event.proto,
        action="",
        what="",
        name=event.tls.sni if event.tls else "",
    )


def _gravity(action: str) -> int:
    return _GRAVITY.get(Action(action), 0) if action in set(Action) else 0
