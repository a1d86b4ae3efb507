"""How much an incident matters.

1. It starts from its gravest signature: severity 1 is high, 2 medium, 3 low, 4 info. A signature
   met with less than `SURE` confidence counts one level lower.
2. One level up if a packet that completed the evidence reached its receiver: a pool got something.
3. One level up if the same wallet, or the same destination for the third time, was in an earlier
   incident of this experiment: somebody, or a policy that is being trained, tries again.

It never leaves info to critical, and it never falls while an incident goes on.
"""

from davylamp.incidents.model import Incident, Level

SURE = 80
_OFTEN = 3
_LEVELS = tuple(Level)
_TOP = len(_LEVELS) - 1


def severity(incident: Incident) -> tuple[Level, tuple[str, ...]]:
    """Return the level that the rule gives, and why, in words."""
    base, why = max(
        (_of_signature(one.severity, one.confidence, one.signature) for one in incident.signatures),
        default=(0, "nothing matched"),
    )
    reasons = [why]
    if incident.delivered:
        base += 1
        reasons.append("a message reached its receiver")
    again = [
        one
        for one in incident.recurrence
        if one.kind == "wallet" or (one.kind == "destination" and one.times >= _OFTEN)
    ]
    if again:
        base += 1
        reasons.append(f"the same {again[0].kind} as before in this experiment")
    return _LEVELS[min(base, _TOP)], tuple(reasons)


def graver(one: Level, other: Level) -> Level:
    """Return the level that matters more."""
    return max(one, other, key=_LEVELS.index)


def _of_signature(severity: int, confidence: int, title: str) -> tuple[int, str]:
    level = max(_TOP - max(severity, 1), 0)
    doubt = "" if confidence >= SURE else ", not sure"
    level = max(level - bool(doubt), 0)
    return level, f"{title} (signature severity {severity}, confidence {confidence}{doubt})"
