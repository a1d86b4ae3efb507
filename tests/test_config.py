"""The configuration: what it accepts, what it says to what it does not, and its documentation."""

from pathlib import Path

import msgspec
import pytest

from davylamp.config import AgentConfig, GatewayConfig, parse_config
from davylamp.errors import ConfigError

_DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"

# name, text, part of the message
FAULTS = [
    ("nothing to watch", "mode: observe", "nothing to inspect"),
    ("unknown key", "sandboxes: {interfaces: [a]}\nmoed: observe", "unknown field `moed`"),
    ("wrong value", "sandboxes: {interfaces: [a]}\nmode: maybe", "$.mode"),
    ("out of range", "sandboxes: {interfaces: [a]}\nqueues: {workers: 0}", "$.queues.workers"),
    ("not YAML", "sandboxes: [", "not YAML"),
    ("not a tree", "- 1", "Expected `object`"),
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


def test_every_key_is_documented() -> None:
    """Each field of the configuration has its row in docs/configuration.md."""
    text = _DOCUMENT.read_text()
    gateway, agent = text.split("## The agent")
    missing = [key for key in _keys(GatewayConfig) if f"| `{key}` |" not in gateway]
    missing += [key for key in _keys(AgentConfig) if f"| `{key}` |" not in agent]
    assert missing == []


def _keys(kind: type, prefix: str = "") -> list[str]:
    keys: list[str] = []
    for field in msgspec.structs.fields(kind):
        name = f"{prefix}{field.name}"
        section = isinstance(field.type, type) and issubclass(field.type, msgspec.Struct)
        keys += _keys(field.type, f"{name}.") if section else [name]
    return keys
