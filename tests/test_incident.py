"""Alerts: their shape, their redaction, their number; and whose wallet."""

import msgspec
from tests.streams import LOGIN, POOL_NAME, SSH_CLIENT, client_hello, core_pack

from davylamp.events import Action, AlertEvent, decode, encode
from davylamp.flow import Direction, FlowKey, Proto
from davylamp.fusion import Suspicion
from davylamp.incident import Reporter, Sighting, flow_id
from davylamp.inspection.finding import AppProto, Finding
from davylamp.inspection.inspector import Inspector
from davylamp.policy import Mode, Policy
from davylamp.signatures.model import SignatureId

KEY = FlowKey(Proto.TCP, bytes((10, 88, 0, 5)), 40_000, bytes((203, 0, 113, 9)), 3333)
BEGIN, NOW = 1_600_000_000.0, 1_600_000_033.25
WALLET = "4" + "8" * 94


def inspected(said: bytes) -> tuple[tuple[Finding, ...], Sighting]:
    """Return what is found in an originator's bytes, and the flow it was met on."""
    inspector = Inspector(core_pack())
    found = inspector.receive(Direction.ORIGINATOR, said, NOW)
    return found, Sighting(KEY, BEGIN, NOW, inspector.app_proto, inspector.hello)


def reported(said: bytes, policy: Policy | None = None) -> tuple[AlertEvent, ...]:
    """Return the alerts on an originator's bytes."""
    reporter = Reporter(policy or Policy(), "2026.1", 32)
    return reporter.report(*inspected(said), Suspicion())[0]


def one(alerts: tuple[AlertEvent, ...], identity: str) -> AlertEvent:
    """Return the alert of one signature."""
    [alert] = [alert for alert in alerts if alert.alert.signature_id == identity]
    return alert


def test_an_alert_says_what_who_and_why() -> None:
    """Every member that EVE readers and people look for is there, and only those that mean."""
    alert = one(reported(b"hello\n" + LOGIN), "cryptonote-login")
    assert alert.timestamp == "2020-09-13T12:27:13.250000+00:00"
    assert alert.flow_start == "2020-09-13T12:26:40.000000+00:00"
    assert (alert.src_ip, alert.src_port) == ("10.88.0.5", 40_000)
    assert (alert.dest_ip, alert.dest_port, alert.proto) == ("203.0.113.9", 3333, "TCP")
    assert alert.community_id == KEY.community_id()
    assert (alert.app_proto, alert.pack) == ("cryptonote", "2026.1")
    assert (alert.alert.category, alert.alert.severity) == ("mining", 1)
    assert alert.alert.technique == "T1496.001"
    assert alert.verdict.action is Action.REJECT
    assert alert.verdict.mode == "enforce"
    assert alert.mining is not None
    assert (alert.mining.dialect, alert.mining.coin) == ("cryptonote", "XMR")
    assert (alert.mining.role, alert.mining.layers) == ("miner", ("tcp",))
    [evidence] = alert.evidence
    assert (evidence.direction, evidence.offset) == ("originator", 6)
    assert evidence.length == len(LOGIN.strip())
    assert alert.tls is None
    assert alert.incident_id == ""
    members = msgspec.json.decode(encode(alert))
    assert members["event_type"] == "alert"
    assert not {"tls", "lineage", "incident_id", "pcap_file"} & members.keys()
    assert decode(encode(alert)) == alert


def test_evidence_shows_the_protocol_and_hides_the_wallet() -> None:
    """What may be stored is enough to believe the alert, and not enough to pay it."""
    text = encode(one(reported(LOGIN), "cryptonote-login")).decode()
    assert "login" in text
    assert "XMRig/6.21.0" in text
    assert WALLET not in text
    assert WALLET[10:40] not in text


def test_a_pools_name_shows_its_hello() -> None:
    """TLS facts come with the alert that a name caused."""
    alert = one(reported(client_hello(POOL_NAME)), "pool-name-tls-sni")
    assert alert.app_proto == "tls"
    assert alert.tls is not None
    assert (alert.tls.sni, alert.tls.version) == (POOL_NAME, "TLS 1.2")
    assert alert.tls.ja4.startswith("t12d")
    assert alert.evidence[0].excerpt == POOL_NAME
    assert alert.mining is not None
    assert alert.mining.coin == "XMR"


def test_a_tunnel_is_not_mining() -> None:
    """Only what mines has the mining member."""
    alert = one(reported(SSH_CLIENT), "ssh-banner-unexpected")
    assert (alert.app_proto, alert.mining) == ("ssh", None)


def test_what_policy_passes_is_not_told() -> None:
    """An allowed SSH flow makes no alert, but a verdict."""
    found, sighting = inspected(SSH_CLIENT)
    key = FlowKey(KEY.proto, KEY.orig_addr, KEY.orig_port, KEY.resp_addr, 22)
    told = Sighting(key, sighting.begin, sighting.now, AppProto.SSH)
    alerts, verdict = Reporter(Policy(), "", 32).report(found, told, Suspicion())
    assert alerts == ()
    assert verdict.action is Action.PASS


def test_a_signature_is_told_once_a_flow_and_judged_each_time() -> None:
    """What was told before is not told again, but still decides the packet."""
    reporter, seen = Reporter(Policy(), "", 32), Suspicion()
    first, verdict = reporter.report(*inspected(LOGIN), seen)
    again, second = reporter.report(*inspected(LOGIN), seen)
    assert first
    assert again == ()
    assert verdict.blocks
    assert second.blocks
    assert SignatureId("cryptonote-login") in seen.reported


def test_alerts_on_a_flow_are_bounded() -> None:
    """A flow cannot write more alerts than it may."""
    reporter, seen = Reporter(Policy(mode=Mode.OBSERVE), "", 1), Suspicion()
    for said in (LOGIN, SSH_CLIENT, client_hello(POOL_NAME)):
        reporter.report(*inspected(said), seen)
    assert len(seen.reported) == 1


def test_a_flow_id_names_one_connection() -> None:
    """Another beginning is another flow, and every JSON reader holds the number exactly."""
    one_id, other_id = flow_id(KEY.community_id(), BEGIN), flow_id(KEY.community_id(), NOW)
    assert one_id != other_id
    assert one_id == flow_id(KEY.community_id(), BEGIN)
    assert 0 <= one_id < 2**53
