"""An alert to begin with: each room says only what its own is to have."""

from typing import Any

from davylamp.events import Action, AlertEvent, AlertInfo, VerdictInfo, rfc3339


def signature(name: str = "cryptonote-login", **changes: Any) -> AlertInfo:
    """Return what an alert says of the signature that matched; ``changes`` replace members."""
    fields: dict[str, Any] = {
        "signature_id": name,
        "rev": 1,
        "signature": "CryptoNote login",
        "category": "mining",
        "severity": 1,
        "confidence": 100,
    }
    return AlertInfo(**(fields | changes))


def an_alert(at: float = 1e9, **changes: Any) -> AlertEvent:
    """Return an alert on a login to a pool that was refused; ``changes`` replace members.

    ``at`` is when its flow began, in seconds since the epoch.
    """
    fields: dict[str, Any] = {
        "timestamp": rfc3339(at),
        "flow_id": 1,
        "flow_start": rfc3339(at),
        "community_id": "1:x",
        "src_ip": "10.0.0.7",
        "src_port": 40000,
        "dest_ip": "198.51.100.9",
        "dest_port": 3333,
        "proto": "TCP",
        "alert": signature(),
        "verdict": VerdictInfo(action=Action.REJECT),
    }
    return AlertEvent(**(fields | changes))
