"""The configuration: what it accepts, what it says to what it does not, and its documentation."""

import re
from pathlib import Path

import pytest

from davylamp.agent.config import AgentConfig
from davylamp.config import GatewayConfig, parse_config
from davylamp.errors import ConfigError
from davylamp.settings.keys import keys_of
from davylamp.settings.reference import renewed

_DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"

# name, text, part of the message
FAULTS = [
    ("nothing to watch", "mode: observe", "nothing to inspect"),
    ("unknown key", "sandboxes: {interfaces: [a]}\nmoed: observe", "unknown field `moed`"),
    ("wrong value", "sandboxes: {interfaces: [a]}\nmode: maybe", "$.mode"),
    ("out of range", "sandboxes: {interfaces: [a]}\nqueues: {workers: 0}", "$.queues.workers"),
    ("not YAML", "sandboxes: [", "not YAML"),
    ("not a tree", "- 1", "expected keys"),
]


@pytest.mark.parametrize(("name", "text", "message"), FAULTS)
def test_faults_are_named(name: str, text: str, message: str) -> None:
    """A configuration that cannot be used is refused with the key that is wrong."""
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    assert message in str(caught.value), name


def test_defaults_need_only_what_to_watch() -> None:
    """A training bridge is all that must be said."""
    config = parse_config("sandboxes: {interfaces: [br-train]}")
    assert config.mode == "enforce"
    assert config.exception_policy == "fail-closed"


def test_the_reference_is_current() -> None:
    """`davylamp config reference` would change nothing, and each key says what it means."""
    text = _DOCUMENT.read_text()
    assert renewed(text, GatewayConfig) == text
    unsaid = re.findall(r"^\| `([a-z0-9_.]+)` \|.*\|  \|$", text, re.MULTILINE)
    assert [key for key in unsaid if not key.startswith("actions.webhook.")] == []
    agent = text.split("## The agent")[1]
    assert [key.name for key in keys_of(AgentConfig) if f"| `{key.name}` |" not in agent] == []
