"""Requests as plain HTTP clients make them, and alerts to fill a store with."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from email.message import Message
from typing import Any, NamedTuple

from tests import alerts
from tests.api.conftest import Site

from davylamp.events import (
    Action,
    AlertEvent,
    EvidenceInfo,
    LineageInfo,
    MiningInfo,
    StatsEvent,
    TlsInfo,
    VerdictInfo,
    rfc3339,
)

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


def ask(
    site: Site,
    method: str,
    path: str,
    body: Any = None,
    *,
    token: str | None = "token",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Ask once; ``body`` is JSON unless it is bytes, ``token`` a file's name."""
    sent = dict(headers or {})
    if token is not None:
        sent = {**site.headers(token), **sent}
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    if data is not None:
        sent.setdefault("Content-Type", "application/json")
    request = urllib.request.Request(site.url + path, data, sent, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())


def wait_until(true: Callable[[], object], seconds: float = 10.0) -> bool:
    """Wait until ``true()`` is; say whether it came to be within the time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def an_alert(
    incident: str = "inc-1",
    *,
    at: float | None = None,
    flow_id: int = 1,
    run: str = "rlhf-12",
    container: str = "sandbox-7",
    action: Action = Action.REJECT,
    lineage: LineageInfo | None = None,
    **changes: Any,
) -> AlertEvent:
    """Return an alert: a login to a pool, stopped, in a tool call that is known."""
    who = lineage or LineageInfo(
        grade="bound",
        container=container,
        container_id="c0ffee123456",
        image="trainer:1",
        lifecycle_id=f"{container}@1",
        run_id=run,
        experiment_id="exp-4",
        rollout_id="r-3",
        trajectory_id="t-9",
        step=41,
        tool_call_id="call-8f2",
        tool="bash",
        traceparent=f"00-{TRACE}-{SPAN}-01",
        source="trainer",
    )
    fields: dict[str, Any] = {
        "flow_id": flow_id,
        "community_id": f"1:{flow_id}",
        "src_port": 40000 + flow_id % 1000,
        "app_proto": "cryptonote",
        "verdict": VerdictInfo(action=action, delivered=action is Action.ALERT),
        "mining": MiningInfo(
            dialect="cryptonote", coin="XMR", wallet="488888***8888", wallet_digest="w1"
        ),
        "evidence": (
            EvidenceInfo(
                signature_id="cryptonote-login",
                direction="originator",
                offset=0,
                length=96,
                excerpt='{"id":1,"method":"login","params":{"login":"488888***8888"}}\\n',
            ),
        ),
        "tls": TlsInfo(sni="pool.example"),
        "incident_id": incident,
        "pack": "core 2026.1",
        "lineage": who,
    }
    return alerts.an_alert(time.time() if at is None else at, **(fields | changes))


def stats(worker: str = "queue-40", at: float | None = None, **changes: Any) -> StatsEvent:
    """Return a worker's counters."""
    fields: dict[str, Any] = {
        "timestamp": rfc3339(time.time() if at is None else at),
        "packets": 1000,
        "bytes": 800_000,
        "flows": 40,
        "alerts": 1,
        "seconds": 30.0,
        "worker": worker,
        "counters": {"cleared": 37, "blocked": 1},
    }
    return StatsEvent(**(fields | changes))
