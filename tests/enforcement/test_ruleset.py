"""The ruleset's text says what its settings ask for, and settings that cannot be are refused."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from davylamp.enforcement.queueing import iptables_rules
from davylamp.enforcement.ruleset import COUNTERS, nft_text, removal_text
from davylamp.enforcement.spec import (
    ExceptionPolicy,
    Features,
    Rate,
    RulesetSpec,
    SteeringSpec,
)
from davylamp.errors import ConfigError
from davylamp.marks import MarkField

SPEC = RulesetSpec(sandbox_interfaces=("br-train",))
EVERYTHING = Features()
OPEN = replace(SPEC, exception_policy=ExceptionPolicy.FAIL_OPEN)


def rules(text: str, chain: str) -> list[str]:
    """Return the rules of one chain."""
    found = re.search(rf"  chain {chain} {{\n(.*?)  }}\n", text, re.DOTALL)
    assert found is not None, f"no chain {chain}"
    return [line.strip() for line in found[1].splitlines()]


@pytest.mark.parametrize(
    ("spec", "features", "statement"),
    [
        (SPEC, EVERYTHING, "queue to 0"),
        (replace(SPEC, queues=4, first_queue=8), EVERYTHING, "queue to 8-11"),
        (OPEN, EVERYTHING, "queue flags bypass to 0"),
        (OPEN, Features(native_queue=False), "meta mark set meta mark | 0x01000000 accept"),
    ],
)
def test_queue_statement(spec: RulesetSpec, features: Features, statement: str) -> None:
    """Queues, bypass and the fallback's mark end the chain that queues."""
    assert rules(nft_text(spec, features), "enqueue")[-1] == statement


@pytest.mark.parametrize(
    ("spec", "tail"),
    [
        (SPEC, ["NFQUEUE", "--queue-num", "0"]),
        (replace(SPEC, queues=4, first_queue=8), ["NFQUEUE", "--queue-balance", "8:11"]),
        (OPEN, ["NFQUEUE", "--queue-num", "0", "--queue-bypass"]),
    ],
)
def test_iptables_rules(spec: RulesetSpec, tail: list[str]) -> None:
    """The fallback's rules have our comment and the same queues; what was cleared may go by."""
    chains = iptables_rules(spec)
    recalled, unjudged = (list(rule) for rule in chains["FORWARD"])
    assert [list(*chains[name]) for name in ("INPUT", "OUTPUT")] == [unjudged] * 2
    assert unjudged[-len(tail) :] == tail
    assert recalled[-1] == "--queue-bypass"
    assert recalled[-4:-1] == tail[:3]
    assert all("davylamp:davylamp" in rule for rule in (recalled, unjudged))
    assert "0x1000000/0x1000000" in unjudged
    assert "0x9000000/0xf000000" in recalled


def test_nothing_is_touched_but_our_table() -> None:
    """The text names one table, which it replaces, and the commands appended come after it."""
    text = nft_text(SPEC, EVERYTHING, ["add element inet davylamp blocked4 { x }"])
    assert text.startswith(removal_text(SPEC))
    assert text.endswith("}\nadd element inet davylamp blocked4 { x }\n")
    assert set(re.findall(r"table inet (\w+)", text)) == {"davylamp"}
    assert "flush" not in text


def test_scope_names_both_ends_of_both_families() -> None:
    """Interfaces and subnets are matched coming and going, on the way in and after the verdict."""
    spec = RulesetSpec(("br-*",), ("10.0.0.0/9", "10.128.0.0/9", "fd00::/64"))
    text = nft_text(spec, EVERYTHING)
    for chain, target in (("forward", "judge"), ("after", "save")):
        found = [rule for rule in rules(text, chain) if rule.endswith(f"goto {target}")]
        assert found == [
            f'iifname {{ "br-*" }} goto {target}',
            f'oifname {{ "br-*" }} goto {target}',
            f"ip saddr {{ 10.0.0.0/8 }} goto {target}",
            f"ip daddr {{ 10.0.0.0/8 }} goto {target}",
            f"ip6 saddr {{ fd00::/64 }} goto {target}",
            f"ip6 daddr {{ fd00::/64 }} goto {target}",
        ]


def test_marks_stay_in_their_field() -> None:
    """Every constant that is written to a mark lies in the four bits that were configured."""
    field = MarkField(shift=4)
    spec = replace(SPEC, marks=field, steering=SteeringSpec(8443), drop_invalid=True)
    text = nft_text(spec, Features(native_queue=False))
    assert {int(number, 16) for number in re.findall(r"mark & (0x\w+)", text)} == {
        field.mask,
        field.mask ^ field.queue,
        field.others,
    }
    written = {int(number, 16) for number in re.findall(r"\| (0x\w+)", text)}
    marks = field.queue, field.cleared, field.trusted, field.triggered, field.opening
    assert written == set(marks)


@pytest.mark.parametrize("lacking", ["inner_header", "flow_limits", "random"])
def test_a_lesser_kernel_gets_no_rule_it_cannot_read(lacking: str) -> None:
    """Rules that need a feature are left out with it, and every goto still has its chain."""
    text = nft_text(SPEC, replace(EVERYTHING, **{lacking: False}))
    assert ("@ih" in text) == (lacking != "inner_header")
    assert ("ct id" in text) == (lacking != "flow_limits")
    assert ("numgen" in text) == (lacking != "random")
    assert set(re.findall(r"(?:goto|jump) (\w+)", text)) <= set(re.findall(r"chain (\w+)", text))
    assert set(re.findall(r"counter name (\w+)", text)) <= set(COUNTERS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sandbox_interfaces": ()}, "at least one"),
        ({"sandbox_interfaces": ('x"; flush ruleset; #',)}, "network interface"),
        ({"sandbox_interfaces": ("a-name-far-too-long",)}, "network interface"),
        ({"sandbox_subnets": ("10.0.0.1/8",)}, "host bits"),
        ({"sandbox_subnets": ("example.org",)}, "sandbox subnet"),
        ({"table": "a b"}, "nft table"),
        ({"queues": 0}, "queues"),
        ({"first_queue": 65535, "queues": 2}, "queues"),
        ({"sample_group": 70000}, "NFLOG"),
        ({"sample_after": 0}, "sample_after"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, object], message: str) -> None:
    """What nft would not accept, or would take for something else, is a configuration error."""
    with pytest.raises(ConfigError, match=message):
        replace(SPEC, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("shift", [-1, 29])
def test_a_mark_field_must_fit(shift: int) -> None:
    """The four bits lie within the 32 of a mark."""
    with pytest.raises(ConfigError, match="0 to 28"):
        MarkField(shift)


def test_a_rate_is_positive() -> None:
    """A rate of nothing would switch a duty off unasked."""
    with pytest.raises(ConfigError, match="both must be"):
        Rate(0, 1)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20))
def test_no_name_reaches_nft_unchecked(name: str) -> None:
    """An interface's name either is refused or holds nothing that nft reads as syntax."""
    try:
        spec = RulesetSpec(sandbox_interfaces=(name,))
    except ConfigError:
        return
    assert f'iifname {{ "{name}" }} goto judge' in nft_text(spec, EVERYTHING)
    assert not set(name) & set('"\\;{}\n ')
