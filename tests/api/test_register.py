"""Lineage told over HTTP is the lineage that the Python client tells."""

import time
from typing import Any

from tests.api.conftest import Site
from tests.api.talk import ask, wait_until

ROOT = "/api/v1/lineage"
TOKEN = "register.token"


def told(site: Site, what: str, body: Any) -> Any:
    """Report something; return what it is answered, which must be well."""
    answer = ask(site, "POST", f"{ROOT}/{what}", body, token=TOKEN)
    assert answer.status == 200, answer
    return answer.json


def test_a_rollout_is_told_twice_and_is_one(site: Site) -> None:
    """Bind, begin, end and release, each said twice, answer the same and leave one of each."""
    bind = {
        "ip": "::ffff:10.0.0.7",
        "container": "sandbox-7",
        "run_id": "rlhf-12",
        "step": 3,
        "labels": {"davylamp.rollout_id": "r-3", "team": "x"},
        "valid_from": 1e9,
    }
    binding = told(site, "bind", bind)["binding"]
    assert told(site, "bind", bind)["binding"] == binding
    assert (binding["ip"], binding["rollout_id"], binding["grade"]) == ("10.0.0.7", "r-3", "bound")
    begin = {"container": "sandbox-7", "tool_call_id": "call-1", "tool": "bash", "step": 4}
    call = told(site, "tool-calls/begin", begin)["call"]
    assert told(site, "tool-calls/begin", begin)["call"] == call
    assert call["lifecycle_id"] == binding["lifecycle_id"]
    assert "ended" not in call
    end = {"ip": "10.0.0.7", "tool_call_id": "call-1"}
    ended = told(site, "tool-calls/end", end)["call"]
    assert told(site, "tool-calls/end", end)["call"] == ended
    assert ended["ended"] >= call["started"] == ended["started"]
    released = told(site, "release", {"container": "sandbox-7"})
    assert released["released"] == 1
    assert released["bindings"][0]["valid_to"] > 1e9
    assert told(site, "release", {"container": "sandbox-7"})["released"] == 0
    record = site.store.run(site.store.operations.look_up("sandbox-7"))
    assert record is not None
    assert (len(record.bindings), len(record.calls)) == (1, 1)


def test_many_are_told_at_once(site: Site) -> None:
    """A batch is carried out in order, and what is unfit of it is answered for itself."""
    reports: list[dict[str, Any]] = [
        {"do": "bind", "ip": "10.0.0.1", "container": "a"},
        {"do": "begin", "container": "a", "tool_call_id": "t"},
        {"do": "bind", "ip": "nonsense", "container": "b"},
        {"do": "begin", "container": "nobody", "tool_call_id": "t"},
        {"do": "end", "container": "a", "tool_call_id": "never-begun"},
        {"do": "end", "container": "a", "tool_call_id": "whole", "started": 1e9, "ended": 1},
        {"do": "release"},
        {"do": "release", "ip": "10.0.0.1"},
    ]
    # The whole interval was before anybody held the address: its first lifecycle is meant.
    answers = told(site, "batch", {"reports": reports})["answers"]
    assert [one["did"] for one in answers] == [
        "bind",
        "call",
        "nothing",
        "nothing",
        "nothing",
        "call",
        "nothing",
        "release",
    ]
    assert [one.get("status") for one in answers] == [None, None, 422, 409, 409, None, 422, None]
    assert answers[5]["call"]["ended"] == answers[5]["call"]["started"] == 1e9
    many = {"reports": [{"do": "release", "ip": "10.0.0.1"}] * 257}
    assert ask(site, "POST", f"{ROOT}/batch", many, token=TOKEN).status == 422


# what, body, status
UNFIT: list[tuple[str, dict[str, Any], int]] = [
    ("bind", {"ip": "10.0.0.300", "container": "x"}, 422),
    ("bind", {"ip": "10.0.0.3"}, 422),
    ("bind", {"ip": "10.0.0.3", "container": "x" * 513}, 422),
    ("bind", {"ip": "10.0.0.3", "container": "a\u0000b"}, 422),
    ("bind", {"ip": "10.0.0.3", "container": "x", "grade": "stale"}, 422),
    ("bind", {"ip": "10.0.0.3", "container": "x", "serial": 3}, 422),
    ("bind", {"ip": "10.0.0.3", "container": "x", "valid_from": -1}, 422),
    ("bind", {"ip": "10.0.0.3", "container": "x", "step": 2**60}, 422),
    ("bind", {"ip": "10.0.0.3", "container": "x", "labels": {str(n): "" for n in range(65)}}, 422),
    ("release", {}, 422),
    ("tool-calls/begin", {"tool_call_id": "x"}, 422),
    ("tool-calls/begin", {"container": "x", "tool_call_id": ""}, 422),
    ("tool-calls/begin", {"container": "nobody", "tool_call_id": "x"}, 409),
    ("tool-calls/begin", {"ip": "nonsense", "tool_call_id": "x"}, 422),
]


def test_what_is_unfit_is_refused(site: Site) -> None:
    """The same is refused as by the Python client, and nothing of it is stored."""
    for what, body, status in UNFIT:
        answer = ask(site, "POST", f"{ROOT}/{what}", body, token=TOKEN)
        assert answer.status == status, (what, body, answer)
    assert ask(site, "GET", ROOT).json == {"bindings": []}


def test_an_alert_is_put_down_to_what_was_told(site: Site) -> None:
    """The gateway's own snapshot knows a tool call as soon as it was told over HTTP."""
    told(site, "bind", {"ip": "10.0.0.9", "container": "box", "run_id": "r"})
    told(site, "tool-calls/begin", {"container": "box", "tool_call_id": "t-1", "tool": "bash"})
    now = time.time()

    def named() -> str:
        found = site.table.attribute("10.0.0.9", now).info()
        return f"{found.container} {found.run_id} {found.tool_call_id}"

    assert wait_until(lambda: named() == "box r t-1"), named()
