"""What can be told of a configuration before a kernel, a network or a store is touched.

Faults keep a gateway from starting. Cautions do not: they are what somebody should have decided,
and may have overlooked.
"""

import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from davylamp.api.listening import listening_of
from davylamp.attribution.endpoint import parse_url
from davylamp.config import GatewayConfig
from davylamp.enforcement.interfaces import absent
from davylamp.errors import ConfigError, PackError
from davylamp.metrics.server import parse_listen
from davylamp.response import action_policy_of, unshared_of
from davylamp.sinks import check_outputs, check_webhook
from davylamp.sources import sources_of
from davylamp.updates.loading import without_local
from davylamp.wiring import pack_of, policy_of, ruleset_of, steering_of

_SURE = 50
"""Below this confidence a signature's match is as likely as not something else."""


@dataclass(frozen=True, slots=True)
class Caution:
    """A setting that is allowed and may not be meant."""

    key: str
    said: str


def check(config: GatewayConfig) -> None:
    """Raise the ConfigError of the first fault; the signature pack is not looked at."""
    for step in _STEPS:
        step(config)


def faults(config: GatewayConfig) -> list[str]:
    """Return what keeps a gateway from starting with this, the signature pack included."""
    found: list[str] = []
    for step in (*_STEPS, pack_of):
        try:
            step(config)
        except (ConfigError, PackError) as error:
            found.append(str(error))
    return found


def cautions(config: GatewayConfig) -> list[Caution]:
    """Return what to think about once more."""
    return [one for rule in _CAUTIONS for one in rule(config)]


def _listening(config: GatewayConfig) -> None:
    if config.metrics.listen:
        parse_listen(config.metrics.listen)
    if config.api.listen:
        listening_of(config.api)


def _store(config: GatewayConfig) -> None:
    if config.lineage.redis:
        parse_url(config.lineage.redis)


def _outputs(config: GatewayConfig) -> None:
    check_outputs(config.outputs)
    if config.actions.webhook.url:
        check_webhook(config.actions.webhook, "actions.webhook")


_STEPS: tuple[Callable[[GatewayConfig], object], ...] = (
    ruleset_of,
    policy_of,
    steering_of,
    action_policy_of,
    unshared_of,
    sources_of,
    _listening,
    _store,
    _outputs,
)


def _enforcement(config: GatewayConfig) -> Iterator[Caution]:
    if config.mode == "observe":
        yield Caution("mode", "observe only reports: nothing is stopped")
    if config.exception_policy == "fail-open":
        said = "fail-open lets unjudged traffic out while no worker judges it"
        yield Caution("exception_policy", said)
    for category in ("mining", "pool", "tunnel"):
        action = config.policy.actions.get(category)
        if action in ("pass", "alert"):
            yield Caution("policy.actions", f"{category}: {action} stops none of it")
    if config.policy.dns == "pass":
        yield Caution("policy.dns", "questions for pools are not even reported")
    if config.policy.block_confidence < _SURE:
        said = f"signatures that are less than {_SURE} % sure may block honest work"
        yield Caution("policy.block_confidence", said)


def _sandboxes(config: GatewayConfig) -> Iterator[Caution]:
    for name in absent(config.sandboxes.interfaces):
        yield Caution("sandboxes.interfaces", f"there is no interface {name} here now")


def _packs(config: GatewayConfig) -> Iterator[Caution]:
    if said := without_local(config.pack.local):
        yield Caution("pack.local", said)


def _interception(config: GatewayConfig) -> Iterator[Caution]:
    if not config.intercept.enabled:
        if config.policy.trusted:
            yield Caution("policy.trusted", "counts only with intercept.enabled")
        return
    for name in config.policy.trusted:
        if "." not in name.strip(".*"):
            said = f"{name} trusts every name below it: nothing there is opened"
            yield Caution("policy.trusted", said)
    if config.intercept.foreign_dns == "pass":
        said = "sandboxes that ask other resolvers choose for themselves where a name leads"
        yield Caution("intercept.foreign_dns", said)
    if config.intercept.quic == "pass":
        yield Caution("intercept.quic", "QUIC cannot be opened: it goes past the workers")


def _told(config: GatewayConfig) -> Iterator[Caution]:
    outputs = config.outputs
    receivers = (outputs.syslog.address, outputs.webhook.url, outputs.otlp.url)
    if not (outputs.file or outputs.redis or outputs.console or any(receivers)):
        yield Caution("outputs", "events go nowhere: nobody is told of what is stopped")
    elif not outputs.redis:
        yield Caution("outputs.redis", "without the stream there are no incidents and no actions")
    address = urlsplit(outputs.syslog.address)
    if address.scheme in ("udp", "tcp") and not _is_here(address.hostname):
        said = f"{address.scheme} carries people's work over the network in the clear; use tls://"
        yield Caution("outputs.syslog.address", said)


def _clear_text(config: GatewayConfig) -> Iterator[Caution]:
    url = config.lineage.redis
    if url.startswith(("redis://", "redis+")) and not _is_here(_host(url)):
        said = "passwords and lineage cross the network in the clear; rediss is TLS"
        yield Caution("lineage.redis", said)
    if config.api.listen and config.api.cleartext:
        yield Caution("api.cleartext", "tokens cross the network in the clear unless you encrypt")
    docker = urlsplit(config.lineage.sources.docker.url)
    if config.lineage.sources.docker.enabled and docker.scheme == "tcp":
        said = "who reaches an engine over TCP is root on its host"
        yield Caution("lineage.sources.docker.url", said)


def _secrets(config: GatewayConfig) -> Iterator[Caution]:
    files = (
        ("outputs.webhook.secret_file", config.outputs.webhook.secret_file),
        ("outputs.otlp.token_file", config.outputs.otlp.token_file),
        ("actions.webhook.secret_file", config.actions.webhook.secret_file),
        ("api.token_file", config.api.token_file),
        ("api.read_token_file", config.api.read_token_file),
        ("api.register_token_file", config.api.register_token_file),
    )
    for key, file in files:
        if file and _mode(Path(file)) & (stat.S_IRWXG | stat.S_IRWXO) & ~stat.S_IXOTH:
            yield Caution(key, f"others than its owner can get at {file}; chmod 600 it")


_CAUTIONS: tuple[Callable[[GatewayConfig], Iterator[Caution]], ...] = (
    _enforcement,
    _sandboxes,
    _packs,
    _interception,
    _told,
    _clear_text,
    _secrets,
)


def _mode(file: Path) -> int:
    try:
        return stat.S_IMODE(file.stat().st_mode)
    except OSError:
        return 0


def _host(url: str) -> str:
    """Return the first host of a store's URL, which may have several."""
    return urlsplit(f"//{urlsplit(url).netloc.partition(',')[0]}").hostname or ""


def _is_here(host: str | None) -> bool:
    if host in ("localhost", "", None):
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
