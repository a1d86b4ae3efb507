"""The gateway's configuration: one typed tree, read from one YAML file.

Every key has a default that works; a key that does not exist, or has the wrong type, is refused
with its path. docs/configuration.md describes each.
"""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import yaml

from davylamp.errors import ConfigError

_MAX_FILE = 1 << 20

type ActionName = Literal["pass", "alert", "drop", "reject"]
type Count = Annotated[int, msgspec.Meta(ge=1)]
type Seconds = Annotated[float, msgspec.Meta(gt=0)]
type FormatName = Literal["eve", "ecs", "ocsf"]
type Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename=None):
    """Base of every section: immutable, no unknown keys."""


class SandboxConfig(Section, frozen=True, kw_only=True):
    """Whose traffic is inspected: what is forwarded from or to these interfaces and subnets."""

    interfaces: tuple[str, ...] = ()
    subnets: tuple[str, ...] = ()


class QueueConfig(Section, frozen=True, kw_only=True):
    """The kernel queues: one worker process each, numbered from ``first``.

    ``packets`` may wait in each. ``copy_bytes`` of each packet come to user space.
    """

    first: Annotated[int, msgspec.Meta(ge=0, le=65000)] = 40
    workers: Count = 2
    packets: Count = 8192
    copy_bytes: Count = 65531


class SshConfig(Section, frozen=True, kw_only=True):
    """Where SSH may go: these ports at these networks (none named: anywhere)."""

    ports: tuple[Port, ...] = (22,)
    networks: tuple[str, ...] = ()


class PolicyConfig(Section, frozen=True, kw_only=True):
    """What is done about what is seen; ``actions`` by category override the defaults."""

    actions: dict[str, ActionName] = {}
    dns: ActionName = "alert"
    ssh: SshConfig = SshConfig()
    nodes: tuple[str, ...] | None = None
    block_confidence: Annotated[int, msgspec.Meta(ge=0, le=100)] = 80
    block_seconds: Seconds = 3600.0
    trusted: tuple[str, ...] = ()


class InspectionConfig(Section, frozen=True, kw_only=True):
    """How much is looked at: ``depth`` in bytes of each direction, and the bounds on memory."""

    depth: Count = 16 * 1024
    flows: Count = 65_536
    held_bytes: Count = 256 * 1024 * 1024


class LineageConfig(Section, frozen=True, kw_only=True):
    """Where lineage lives: a Redis URL, or nothing for a private one under ``state_dir``."""

    redis: str = ""


class SyslogConfig(Section, frozen=True, kw_only=True):
    """A syslog receiver: ``udp://``, ``tcp://``, ``tls://`` or ``unix://``; none where empty.

    ``ca`` verifies it, ``certificate`` and ``key`` say who we are; PEM files.
    """

    address: str = ""
    format: FormatName = "eve"
    facility: str = "local0"
    enterprise: Count = 32473
    max_bytes: Annotated[int, msgspec.Meta(ge=2048, le=65000)] = 8192
    ca: str = ""
    certificate: str = ""
    key: str = ""


class WebhookConfig(Section, frozen=True, kw_only=True):
    """A webhook: an https URL, and the file with the secret that signs what is sent there."""

    url: str = ""
    secret_file: str = ""
    format: FormatName = "eve"
    batch: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    timeout_seconds: Seconds = 10.0
    spool_bytes: Count = 64 * 1024 * 1024
    ca: str = ""


class OtlpConfig(Section, frozen=True, kw_only=True):
    """An OpenTelemetry collector's OTLP/HTTP URL for logs, and the file with a token for it."""

    url: str = ""
    token_file: str = ""
    timeout_seconds: Seconds = 10.0
    spool_bytes: Count = 64 * 1024 * 1024
    ca: str = ""


class OutputConfig(Section, frozen=True, kw_only=True):
    """Where events go: a JSON lines file (``-`` is standard output), and the Redis stream.

    ``format`` is the file's.
    """

    file: str = ""
    format: FormatName = "eve"
    redis: bool = True
    console: bool = True
    spool_bytes: Count = 64 * 1024 * 1024
    stats_seconds: Seconds = 10.0
    syslog: SyslogConfig = SyslogConfig()
    webhook: WebhookConfig = WebhookConfig()
    otlp: OtlpConfig = OtlpConfig()


class MetricsConfig(Section, frozen=True, kw_only=True):
    """Where Prometheus may scrape: a loopback address and port; nowhere where empty."""

    listen: str = ""


class RulesConfig(Section, frozen=True, kw_only=True):
    """The kernel's part: the nftables table's name, and where in the mark our bits are."""

    table: str = "davylamp"
    mark_shift: Annotated[int, msgspec.Meta(ge=0, le=28)] = 24
    sample_group: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 40
    keep_on_exit: bool = False


class InterceptConfig(Section, frozen=True, kw_only=True):
    """TLS and HTTP opened by mitmproxy: so many workers, on ports that follow each other.

    ``resolvers`` are whose answers bind trusted names to addresses; ``foreign_dns`` is what becomes
    of questions to others. ``exempt`` networks are never led to the workers.
    """

    enabled: bool = False
    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    first_port: Annotated[int, msgspec.Meta(ge=1, le=65472)] = 19080
    ports: tuple[Port, ...] = (80, 443)
    exempt: tuple[str, ...] = ()
    resolvers: tuple[str, ...] = ()
    foreign_dns: Literal["refuse", "redirect", "pass"] = "refuse"
    quic: Literal["refuse", "pass"] = "refuse"
    binding_seconds: Seconds = 600.0
    opened_seconds: Seconds = 3600.0


class PackConfig(Section, frozen=True, kw_only=True):
    """Signature packs: where they are kept, where they come from, and how one is tried.

    ``root`` is the file that trust in the repository begins with; ``name`` the pack to follow.
    ``local`` is a folder of the site's own signatures. A new pack is tried on ``shadow_flows`` new
    flows beside the old one, for ``shadow_seconds`` at most, and returned from where it misbehaves
    within ``watch_seconds``: see docs/updates.md.
    """

    directory: str = ""
    repository: str = ""
    root: str = ""
    name: str = "core"
    local: str = ""
    shadow_flows: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 200
    shadow_seconds: Seconds = 20.0
    watch_seconds: Annotated[float, msgspec.Meta(ge=0)] = 300.0
    return_errors: Count = 10
    return_sandboxes: Count = 20


class GatewayConfig(Section, frozen=True, kw_only=True):
    """The whole."""

    mode: Literal["observe", "enforce"] = "enforce"
    exception_policy: Literal["fail-closed", "fail-open"] = "fail-closed"
    sandboxes: SandboxConfig = SandboxConfig()
    queues: QueueConfig = QueueConfig()
    policy: PolicyConfig = PolicyConfig()
    inspection: InspectionConfig = InspectionConfig()
    lineage: LineageConfig = LineageConfig()
    outputs: OutputConfig = OutputConfig()
    metrics: MetricsConfig = MetricsConfig()
    rules: RulesConfig = RulesConfig()
    intercept: InterceptConfig = InterceptConfig()
    pack: PackConfig = PackConfig()
    state_dir: str = ""
    signatures: str = ""


def parse_config(text: str, where: str = "configuration") -> GatewayConfig:
    """Read YAML text; raise ConfigError naming the key that is wrong and what it should be."""
    if len(text) > _MAX_FILE:
        raise ConfigError(f"{where}: larger than {_MAX_FILE} bytes; this is not a configuration")
    try:
        tree = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{where}: not YAML: {error}") from error
    try:
        config = msgspec.convert(tree or {}, GatewayConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}; see docs/configuration.md") from error
    if not config.sandboxes.interfaces and not config.sandboxes.subnets:
        raise ConfigError(
            f"{where}: nothing to inspect; name the training bridge under sandboxes.interfaces "
            "or the training network under sandboxes.subnets"
        )
    _check_interception(config, where)
    return config


def _check_interception(config: GatewayConfig, where: str) -> None:
    if config.policy.trusted and config.intercept.enabled and not config.intercept.resolvers:
        raise ConfigError(
            f"{where}: policy.trusted is known by the answers of your resolvers only; "
            "name them under intercept.resolvers"
        )


def load_config(path: Path) -> GatewayConfig:
    """Read a configuration file; raise ConfigError when it cannot be read or used."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}; name a YAML file with --config") from error
    return parse_config(text, str(path))
