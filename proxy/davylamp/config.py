"""The gateway's configuration: one typed tree, and what must hold of it as a whole.

Every key has a default that works; a key that does not exist, or has the wrong type, is refused
with its path. docs/configuration.md describes each.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from davylamp.errors import ConfigError, reason
from davylamp.settings.layer import Layer
from davylamp.settings.settle import Settled, settle
from davylamp.settings.yamlfile import read_yaml

type ActionName = Literal["pass", "alert", "drop", "reject"]
type ActionKind = Literal[
    "tag",
    "feedback",
    "quarantine",
    "docker-pause",
    "docker-stop",
    "docker-disconnect",
    "kubernetes-label",
    "kubernetes-delete",
    "webhook",
]
type Count = Annotated[int, msgspec.Meta(ge=1)]
type Seconds = Annotated[float, msgspec.Meta(gt=0)]
type FormatName = Literal["eve", "ecs", "ocsf"]
type Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
type ScopeName = Literal["read", "register", "act"]


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
    """What is done about what is seen; ``actions`` by category override the defaults.

    ``share`` tells other gateways over the same store whom this one blocks, and blocks whom they
    do; nothing in the ``share_except`` networks is told or taken.
    """

    actions: dict[str, ActionName] = {}
    dns: ActionName = "alert"
    ssh: SshConfig = SshConfig()
    nodes: tuple[str, ...] | None = None
    block_confidence: Annotated[int, msgspec.Meta(ge=0, le=100)] = 80
    block_seconds: Seconds = 3600.0
    trusted: tuple[str, ...] = ()
    share: bool = False
    share_except: tuple[str, ...] = ()


class InspectionConfig(Section, frozen=True, kw_only=True):
    """How much is looked at: ``depth`` in bytes of each direction, and the bounds on memory."""

    depth: Count = 16 * 1024
    flows: Count = 65_536
    held_bytes: Count = 256 * 1024 * 1024


type FactName = Literal[
    "run_id", "experiment_id", "rollout_id", "trajectory_id", "step", "traceparent"
]


class DockerConfig(Section, frozen=True, kw_only=True):
    """A Docker engine that tells which container has which address.

    ``networks`` are names or ids, all where none is named. ``labels`` gives, for a fact, the label
    to read it from instead of ours. ``clock_offset_seconds`` is added to the engine's times.
    """

    enabled: bool = False
    url: str = "unix:///var/run/docker.sock"
    networks: tuple[str, ...] = ()
    labels: dict[FactName, str] = {}
    clock_offset_seconds: float | Literal["auto"] = "auto"


class KubernetesConfig(Section, frozen=True, kw_only=True):
    """An API server that tells which pod has which address, and who vouches for us and for it.

    ``namespace`` and ``selector`` (of labels) are empty for all. ``labels`` gives, for a fact, the
    label or annotation to read it from instead of ours.
    """

    enabled: bool = False
    url: str = "https://kubernetes.default.svc"
    token_file: str = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path
    ca: str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
    namespace: str = ""
    selector: str = ""
    labels: dict[FactName, str] = {}


class RockConfig(Section, frozen=True, kw_only=True):
    """ROCK's Redis, for whose experiment a container of its is; beside what runs the containers."""

    enabled: bool = False
    url: str = "redis://127.0.0.1:6379"


class SourcesConfig(Section, frozen=True, kw_only=True):
    """What tells lineage, besides trainers, what runs."""

    docker: DockerConfig = DockerConfig()
    kubernetes: KubernetesConfig = KubernetesConfig()
    rock: RockConfig = RockConfig()


class LineageConfig(Section, frozen=True, kw_only=True):
    """Where lineage lives: a Redis URL, or nothing for a private one under ``state_dir``.

    For ``late_seconds`` after an alert, news of whose it is are told and put on its incident.
    """

    redis: str = ""
    late_seconds: Annotated[float, msgspec.Meta(ge=0)] = 60.0
    sources: SourcesConfig = SourcesConfig()


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


class ApiTlsConfig(Section, frozen=True, kw_only=True):
    """The API's own certificate; with ``client_ca`` every client must show one of that authority.

    ``clients`` says what a client may do without a token, by a name in its certificate.
    """

    certificate: str = ""
    key: str = ""
    client_ca: str = ""
    clients: dict[str, tuple[ScopeName, ...]] = {}


class ApiConfig(Section, frozen=True, kw_only=True):
    """Where the API and the dashboard are: an address and port; nowhere where empty.

    ``hosts`` are the names, beside addresses, that it may be asked for by. The token files are
    made under ``state_dir`` where none are named.
    """

    listen: str = ""
    cleartext: bool = False
    hosts: tuple[str, ...] = ()
    token_file: str = ""
    read_token_file: str = ""
    register_token_file: str = ""
    tls: ApiTlsConfig = ApiTlsConfig()


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


class WhenConfig(Section, frozen=True, kw_only=True):
    """Which incidents: at least this grave, whose container is at least this sure.

    ``categories`` are of signatures that matched, any of them; without one, all are meant.
    """

    severity_at_least: Literal["info", "low", "medium", "high", "critical"] = "info"
    grade_at_least: Literal["bound", "token", "observed", "declared"] = "observed"
    categories: tuple[str, ...] = ()


class IncidentRule(Section, frozen=True, kw_only=True):
    """What to do about which incidents."""

    when: WhenConfig = WhenConfig()
    do: tuple[ActionKind, ...] = ()


class DockerActionConfig(Section, frozen=True, kw_only=True):
    """The engine whose containers are acted on; where empty, the one that lineage follows."""

    url: str = ""


class KubernetesActionConfig(Section, frozen=True, kw_only=True):
    """The API server whose pods are acted on, and the files with a token for it and its authority.

    ``label`` is what a pod in quarantine gets; a NetworkPolicy selects it.
    """

    url: str = ""
    token_file: str = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path
    ca: str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
    label: str = "davylamp.quarantine"


class ActionConfig(Section, frozen=True, kw_only=True):
    """What is done about incidents (docs/actions.md); ``on_incident`` are the rules, all of them.

    ``in_observe`` has a gateway act that stops nothing. Each attempt may take ``timeout_seconds``.
    """

    on_incident: tuple[IncidentRule, ...] = (IncidentRule(do=("tag", "feedback")),)
    dry_run: bool = False
    in_observe: bool = False
    quarantine_seconds: Seconds = 3600.0
    timeout_seconds: Seconds = 10.0
    attempts: Annotated[int, msgspec.Meta(ge=1, le=20)] = 5
    docker: DockerActionConfig = DockerActionConfig()
    kubernetes: KubernetesActionConfig = KubernetesActionConfig()
    webhook: WebhookConfig = WebhookConfig()


class GatewayConfig(Section, frozen=True, kw_only=True):
    """The whole."""

    name: str = ""
    mode: Literal["observe", "enforce"] = "enforce"
    exception_policy: Literal["fail-closed", "fail-open"] = "fail-closed"
    sandboxes: SandboxConfig = SandboxConfig()
    queues: QueueConfig = QueueConfig()
    policy: PolicyConfig = PolicyConfig()
    inspection: InspectionConfig = InspectionConfig()
    lineage: LineageConfig = LineageConfig()
    outputs: OutputConfig = OutputConfig()
    metrics: MetricsConfig = MetricsConfig()
    api: ApiConfig = ApiConfig()
    rules: RulesConfig = RulesConfig()
    intercept: InterceptConfig = InterceptConfig()
    pack: PackConfig = PackConfig()
    actions: ActionConfig = ActionConfig()
    state_dir: str = ""
    signatures: str = ""


def parse_config(text: str, where: str = "configuration") -> GatewayConfig:
    """Read YAML text; raise ConfigError naming the key that is wrong and what it should be."""
    return settled((read_yaml(text, where),)).config


def settled(layers: Sequence[Layer]) -> Settled[GatewayConfig]:
    """Make one configuration of its layers, the last of which has the last word.

    Raises ConfigError with the place of what is wrong.
    """
    found = settle(layers, GatewayConfig)
    config, origins = found.config, found.origins
    if not config.sandboxes.interfaces and not config.sandboxes.subnets:
        raise ConfigError(
            f"{origins.near(('sandboxes',)) or 'no configuration'}: nothing to inspect; name the "
            "training bridge under sandboxes.interfaces "
            "or the training network under sandboxes.subnets"
        )
    if config.policy.trusted and config.intercept.enabled and not config.intercept.resolvers:
        raise ConfigError(
            f"{origins.near(('policy', 'trusted'))}: policy.trusted is known by the answers "
            "of your resolvers only; name them under intercept.resolvers"
        )
    return found


def yaml_layer(path: Path) -> Layer:
    """Read a configuration file; raise ConfigError when it cannot be read or is no YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {reason(error)}; name a YAML file with --config") from error
    return read_yaml(text, str(path))
