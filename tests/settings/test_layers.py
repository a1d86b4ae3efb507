"""Layers of a configuration: who wins, how words are read, and what is said of faults."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from davylamp.config import GatewayConfig, parse_config, settled
from davylamp.errors import ConfigError
from davylamp.settings.layer import Layer
from davylamp.settings.shown import shown
from davylamp.settings.words import from_environment, from_flags
from davylamp.settings.yamlfile import read_yaml

FILE = """\
sandboxes:
  interfaces: [br-train]
queues:
  workers: 2
  packets: 100
policy:
  actions: {mining: drop, pool: alert}
"""


def file(text: str = FILE) -> Layer:
    """Return a file's layer."""
    return read_yaml(text, "f.yaml")


def environment(**variables: str) -> Layer:
    """Return a layer of variables."""
    return from_environment(
        {f"DAVYLAMP_{name}": text for name, text in variables.items()}, GatewayConfig
    )


def flags(*words: str) -> Layer:
    """Return a layer of ``--set`` flags."""
    return from_flags(words, GatewayConfig)


def test_later_layers_win_and_say_where() -> None:
    """Defaults yield to the file, that to the environment, that to flags, key by key."""
    layers = (
        file(),
        environment(QUEUES__WORKERS="3", POLICY__ACTIONS__POOL="reject", POLICY__DNS="drop"),
        flags("queues.workers=4", "sandboxes.subnets=10.0.0.0/8, 10.1.0.0/16"),
    )
    found = settled(layers)
    config = found.config
    assert (config.queues.first, config.queues.packets, config.queues.workers) == (40, 100, 4)
    assert config.policy.actions == {"mining": "drop", "pool": "reject"}
    assert config.sandboxes.subnets == ("10.0.0.0/8", "10.1.0.0/16")
    origins = {one.key: one.origin for one in shown(config, found.origins)}
    assert origins["queues.first"] == "default"
    assert origins["queues.packets"] == "f.yaml:5:3"
    assert origins["queues.workers"] == "--set queues.workers"
    assert origins["policy.dns"] == "environment variable DAVYLAMP_POLICY__DNS"
    assert origins["sandboxes.interfaces"] == "f.yaml:2:3"


# word, key's value
WORDS = [
    ("outputs.redis=false", "outputs.redis", False),
    ("outputs.file=1234", "outputs.file", "1234"),
    ("outputs.file=no", "outputs.file", "no"),
    ("policy.block_seconds=1.5", "policy.block_seconds", 1.5),
    ("policy.ssh.ports=22,2222", "policy.ssh.ports", [22, 2222]),
    ("policy.ssh.ports=[22]", "policy.ssh.ports", [22]),
    ("policy.trusted=", "policy.trusted", []),
    ("policy.nodes=10.0.0.0/8", "policy.nodes", ["10.0.0.0/8"]),
    ("policy.nodes=null", "policy.nodes", None),
    ("api.tls.clients={a.example: [read]}", "api.tls.clients", {"a.example": ["read"]}),
    ("api.hosts=gateway,g.example", "api.hosts", ["gateway", "g.example"]),
    (
        "lineage.sources.docker.clock_offset_seconds=auto",
        "lineage.sources.docker.clock_offset_seconds",
        "auto",
    ),
]


@pytest.mark.parametrize(("word", "key", "value"), WORDS)
def test_words_are_read_by_type(word: str, key: str, value: object) -> None:
    """A word becomes what its key's type is, and text stays text whatever it looks like."""
    found = settled((file(), flags(word)))
    assert {one.key: one.value for one in shown(found.config, found.origins)}[key] == value


# layers on top of the file, what the message must say
FAULTS = [
    (file("sandboxes: {interfaces: [a]}\nqueues:\n  workers: 0"), "f.yaml:3:3: Expected `int`"),
    (file("sandboxes: {interfaces: [a]}\npolicy:\n  trusted: [1]"), "f.yaml:3:3: "),
    (file("a:\n  b: 1\nmoed: x"), "f.yaml:"),
    (file("policy: {actions: {mining: maybe}}"), "`reject`"),
    (environment(QUEUES__WORKERS="many"), "environment variable DAVYLAMP_QUEUES__WORKERS: "),
    (flags("mode=maybe"), "--set mode: Invalid enum value 'maybe' - at `$.mode` (`enforce`"),
    (flags("api.tls.clients={a: [root]}"), "--set api.tls.clients: "),
]


@pytest.mark.parametrize(("layer", "said"), FAULTS)
def test_a_fault_is_told_with_its_place(layer: Layer, said: str) -> None:
    """What has the wrong type is refused with the place that says it, whichever layer that is."""
    with pytest.raises(ConfigError) as caught:
        settled((file(), layer))
    assert said in str(caught.value)


BOMB = "a0: &a0 [1]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 8)
)
UNREADABLE = [
    ("a: 1\nb: 2\na: 3", r"f.yaml:3:1: 'a' stands here for the second time"),
    ("a: [1\nb: 2", r"f.yaml:\d+:\d+: not YAML"),
    ("on: 1", r"f.yaml:1:1: the key True is no text"),
    ("- 1", r"f.yaml:1:1: expected keys"),
    ("a: &a [*a]", r"f.yaml"),
    ("&a {b: *a}", r"f.yaml"),
    ("x: " + "[" * 5000, r"f.yaml"),
    (BOMB, r"more than a configuration can hold"),
    ("#" * (1 << 21), r"larger than"),
    ("a: \0", r"f.yaml"),
]


@pytest.mark.parametrize(("text", "said"), UNREADABLE)
def test_no_text_does_worse_than_be_refused(text: str, said: str) -> None:
    """Broken, endless and overgrown documents end as a message with the place, and at once."""
    with pytest.raises(ConfigError, match=said):
        read_yaml(text, "f.yaml")


def test_merge_keys_may_be_overridden() -> None:
    """YAML's `<<` gives values that the mapping may say again."""
    text = "base: &b {x: 1, y: 2}\nmine: {<<: *b, x: 3}"
    assert read_yaml(text, "f").values["mine"] == {"x": 3, "y": 2}


@given(st.text(max_size=60))
def test_any_text_is_a_layer_or_refused(text: str) -> None:
    """Whatever a file holds, nothing but ConfigError comes of it."""
    with contextlib.suppress(ConfigError):
        parse_config(text)


def test_only_variables_that_are_keys_count() -> None:
    """Variables of other programs are left alone; a level that is wrong is refused."""
    assert environment(STATE="/x", LINEAGE_URL="redis://h", PORT="tcp://1.2.3.4:1").values == {}
    assert environment(STATE_DIR="/x", MODE="observe").values == {
        "state_dir": "/x",
        "mode": "observe",
    }
    with pytest.raises(ConfigError, match=r"DAVYLAMP_QUEUE__WORKERS: queue\.workers is no key"):
        environment(QUEUE__WORKERS="1")
    with pytest.raises(ConfigError, match=r"policy\.ssh is a section"):
        flags("policy.ssh={}")
    with pytest.raises(ConfigError, match=r"--set queues\.workers: write"):
        flags("queues.workers")


def test_secrets_are_not_shown() -> None:
    """Passwords in URLs are masked wherever they stand, and nothing else is."""
    words = (
        "lineage.redis=redis+sentinel://user:hunter2@h1:26379,h2/s?sentinel_password=hunter3&db=1",
        "outputs.webhook.url=https://hooks.example/a?token=hunter4&b=1",
        "outputs.webhook.secret_file=/etc/secret",
    )
    found = settled((file(), flags(*words)))
    values = {one.key: one.value for one in shown(found.config, found.origins)}
    assert "hunter" not in str(values)
    assert values["lineage.redis"] == (
        "redis+sentinel://user:***@h1:26379,h2/s?sentinel_password=***&db=1"
    )
    assert values["outputs.webhook.url"] == "https://hooks.example/a?token=***&b=1"
    assert values["outputs.webhook.secret_file"] == "/etc/secret"
    assert values["lineage.sources.docker.url"] == "unix:///var/run/docker.sock"
