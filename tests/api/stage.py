"""A morning's incidents in a real store: what the dashboard is shown with, and tested on."""

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from msgspec.structs import replace
from tests.api.conftest import Site
from tests.api.talk import an_alert, stats

from davylamp.attribution.model import Binding, Grade, ToolCall, lifecycle_id
from davylamp.events import (
    Action,
    ActionEvent,
    ActionInfo,
    AlertEvent,
    AlertInfo,
    EvidenceInfo,
    LineageInfo,
    MiningInfo,
    VerdictInfo,
    rfc3339,
)
from davylamp.incidents.operations import IncidentOperations

CHIEF = "inc-5f0c2a9be114"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
LOGIN = (
    b'{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"4' + b"8" * 94 + b'",'
    b'"pass":"x","agent":"XMRig/6.21.0","algo":["rx/0"]}}\n'
)


def pcap(path: Path, at: float, *payloads: bytes) -> str:
    """Write payloads of one TCP flow as a gateway keeps them; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 101)
    seq = 1000
    for payload in payloads:
        tcp = struct.pack("!HHIIBBHHH", 40112, 3333, seq, 5000, 5 << 4, 0x18, 65535, 0, 0) + payload
        ends = ip_address("10.0.0.7").packed + ip_address("198.51.100.9").packed
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0) + ends
        frame = ip + tcp
        out += struct.pack("<IIII", int(at), int(at % 1 * 1e6), len(frame), len(frame)) + frame
        seq += len(payload)
    path.write_bytes(out)
    return str(path)


@dataclass(frozen=True)
class Stage:
    """The site, and when the chief incident began."""

    site: Site
    at: float

    def record(self, *alerts: AlertEvent) -> None:
        """Put alerts on record and publish them, as a gateway does."""
        for alert in alerts:
            self.site.store.run(self.site.store.operations.record(alert))
            self.site.store.run(IncidentOperations().record(alert))
        self.site.publish(*alerts)


def played(site: Site, now: Callable[[], float] = time.time) -> Stage:
    """Put it all there."""
    at = now() - 95
    stage = Stage(site, at)
    operations = site.store.operations
    life = lifecycle_id("c0ffee123456", at - 400)
    site.store.run(
        operations.bind(
            Binding(
                ip="10.0.0.7",
                lifecycle_id=life,
                valid_from=at - 400,
                container="sandbox-7",
                container_id="c0ffee123456",
                image="rl-sandbox:2026.11",
                run_id="rlhf-12",
                experiment_id="exp-4",
                rollout_id="r-3",
                grade=Grade.BOUND,
                source="trainer",
            ),
            at,
        )
    )
    for tool, call_id, begins, lasts in (
        ("read_file", "call-7c0", -52, 9.0),
        ("bash", "call-7d4", -38, 21.0),
        ("bash", "call-8f2", -9, 34.0),
        ("python", "call-911", 31, 12.0),
    ):
        site.store.run(
            operations.put_call(
                ToolCall(
                    tool_call_id=call_id,
                    lifecycle_id=life,
                    started=at + begins,
                    ended=at + begins + lasts,
                    tool=tool,
                    step=41,
                    traceparent=f"00-{TRACE}-{SPAN}-01",
                )
            )
        )
    file = pcap(site.state / "evidence" / "queue-40" / "10.0.0.7_1.pcap", at, LOGIN)
    who = LineageInfo(
        grade="bound",
        container="sandbox-7",
        container_id="c0ffee123456",
        image="rl-sandbox:2026.11",
        run_id="rlhf-12",
        experiment_id="exp-4",
        rollout_id="r-3",
        trajectory_id="t-9",
        step=41,
        tool_call_id="call-8f2",
        tool="bash",
        traceparent=f"00-{TRACE}-{SPAN}-01",
        lifecycle_id=life,
        source="trainer",
    )
    chief = an_alert(CHIEF, at=at, flow_id=11, lineage=who, pcap_file=file)
    again = an_alert(CHIEF, at=at + 6, flow_id=12, lineage=who, dest_port=443, tls=None)
    other = an_alert(
        "inc-77aa01c3d2e4",
        at=at - 1500,
        flow_id=21,
        action=Action.ALERT,
        src_ip="10.0.0.12",
        dest_ip="203.0.113.40",
        lineage=LineageInfo(
            grade="stale",
            reason="the lineage store has not confirmed it since",
            container="sandbox-12",
            lifecycle_id="sandbox-12@1",
            run_id="rlhf-11",
            rollout_id="r-8",
        ),
        alert=AlertInfo(
            signature_id="stratum-v1-subscribe",
            rev=2,
            signature="Stratum subscription",
            category="mining",
            severity=2,
            confidence=85,
        ),
        mining=MiningInfo(dialect="stratum-v1", coin="BTC"),
        evidence=(
            EvidenceInfo(
                signature_id="stratum-v1-subscribe",
                direction="originator",
                offset=0,
                length=60,
                excerpt='{"id":1,"method":"mining.subscribe","params":["cpuminer/2.5"]}\\n',
            ),
        ),
        tls=None,
    )
    ssh = an_alert(
        "inc-0b1e55aa9920",
        at=at - 5200,
        flow_id=31,
        src_ip="10.0.0.31",
        dest_ip="203.0.113.77",
        dest_port=2222,
        lineage=LineageInfo(grade="unknown", reason="no container is known to have held it"),
        alert=AlertInfo(
            signature_id="ssh-elsewhere",
            rev=1,
            signature="SSH where policy does not allow it",
            category="tunnel",
            severity=3,
            confidence=95,
        ),
        verdict=VerdictInfo(action=Action.REJECT),
        mining=None,
        evidence=(),
        tls=None,
    )
    stage.record(ssh, other, chief, again)
    quarantined = ActionInfo(
        kind="quarantine",
        status="done",
        target="sandbox-7",
        outcome="everything from it is refused",
        gateway="gw-1",
    )
    done = ActionEvent(timestamp=rfc3339(at + 8), incident_id=CHIEF, action=quarantined)
    site.store.run(IncidentOperations().note(done))
    site.store.run(
        IncidentOperations().resolve("inc-0b1e55aa9920", "ada", "a backup job of ours", at)
    )
    _counted(site, at + 95)
    return stage


def _counted(site: Site, now: float) -> None:
    """Publish ten minutes of a worker's counters."""
    first = stats(at=now - 601, packets=0, bytes=0, flows=0, seconds=0.0)
    site.publish(first)
    packets = 0
    for step in range(1, 61):
        packets += 9000 + 5000 * ((step * 7) % 13) // 3
        site.publish(
            replace(
                stats(at=now - 601 + step * 10),
                packets=packets,
                bytes=packets * 890,
                flows=packets // 40,
                seconds=step * 10.0,
                counters={"cleared": packets // 41, "blocked": 3},
            )
        )
