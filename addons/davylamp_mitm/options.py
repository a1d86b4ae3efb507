"""The options, in mitmproxy's own style (``--set davylamp_mode=observe``), and what they mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
import yaml
from mitmproxy.addonmanager import Loader

from davylamp.config import GatewayConfig, PolicyConfig
from davylamp.enforcement.spec import ExceptionPolicy
from davylamp.errors import ConfigError
from davylamp.incidents.place import state_folder, wallet_key
from davylamp.policy import Mode, Policy
from davylamp.signatures.pack import Pack
from davylamp.steering import TrustedNames
from davylamp.updates.loading import PackSource, load_to_begin
from davylamp.wiring import policy_of, source_of

_MAX_POLICY = 1 << 20


class Options(Protocol):
    """What mitmproxy's options hold for us once `add_options` was called."""

    davylamp_mode: str
    davylamp_exception_policy: str
    davylamp_pack: str
    davylamp_policy: str
    davylamp_pass: Sequence[str]
    davylamp_events: str
    davylamp_redis: str
    davylamp_gateway: int


@dataclass(frozen=True, slots=True)
class Settings:
    """What the options ask for: the TLS of ``trusted`` names is not opened.

    Wallets are marked with ``wallet_key``, as the gateway's other workers do.
    """

    pack: Pack
    policy: Policy
    exception_policy: ExceptionPolicy
    trusted: TrustedNames
    wallet_key: bytes = b""

    @property
    def fails_closed(self) -> bool:
        """Whether a flow that could not be judged is stopped."""
        enforcing = self.policy.mode is Mode.ENFORCE
        return enforcing and self.exception_policy is ExceptionPolicy.FAIL_CLOSED


def add_options(loader: Loader) -> None:
    """Make the options known to mitmproxy."""
    loader.add_option(
        "davylamp_mode", str, "enforce", "Stop mining, or only report it.", ("observe", "enforce")
    )
    loader.add_option(
        "davylamp_exception_policy",
        str,
        "fail-closed",
        "What becomes of a flow whose inspection failed: stopped, or passed and logged.",
        ("fail-closed", "fail-open"),
    )
    loader.add_option(
        "davylamp_pack", str, "", "Folder of a signature pack, instead of the core pack."
    )
    loader.add_option(
        "davylamp_policy",
        str,
        "",
        "YAML file with what the gateway's configuration has under `policy`.",
    )
    loader.add_option(
        "davylamp_pass",
        Sequence[str],
        [],
        "Names whose TLS, and that of names below them, is passed on unopened.",
    )
    loader.add_option(
        "davylamp_events",
        str,
        "",
        "File that events are appended to as EVE JSON lines; - is standard output.",
    )
    loader.add_option("davylamp_redis", str, "", "URL of the Redis that lineage is read from.")
    loader.add_option(
        "davylamp_gateway", int, 0, "File descriptor that leads to the gateway, which sets it."
    )


def read_settings(options: Options) -> Settings:
    """Load what the options name; raise ConfigError or PackError saying what to change."""
    policy = _read_policy(options.davylamp_policy)
    trusted = (*policy.trusted, *options.davylamp_pass)
    config = GatewayConfig(
        mode=Mode(options.davylamp_mode).value,
        exception_policy=ExceptionPolicy(options.davylamp_exception_policy).value,
        policy=msgspec.structs.replace(policy, trusted=trusted),
        signatures=options.davylamp_pack,
    )
    return settings_of(config, source_of(config))


def settings_of(config: GatewayConfig, source: PackSource) -> Settings:
    """Return what a gateway's configuration means here; raise as above."""
    return Settings(
        load_to_begin(source),
        policy_of(config),
        ExceptionPolicy(config.exception_policy),
        TrustedNames(config.policy.trusted),
        wallet_key(state_folder(config)),
    )


def _read_policy(name: str) -> PolicyConfig:
    if not name:
        return PolicyConfig()
    try:
        text = Path(name).read_text(encoding="utf-8")
        if len(text) > _MAX_POLICY:
            raise ConfigError(f"{name}: larger than {_MAX_POLICY} bytes; this is not a policy")
        return msgspec.convert(yaml.safe_load(text) or {}, PolicyConfig)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"davylamp_policy: {name}: {error}; name a YAML file") from error
    except msgspec.ValidationError as error:
        raise ConfigError(f"davylamp_policy: {name}: {error}") from error
