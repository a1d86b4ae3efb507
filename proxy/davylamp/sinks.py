"""The sinks that a configuration asks for."""

import sys
from pathlib import Path

import rich.console

from davylamp.config import OtlpConfig, OutputConfig, SyslogConfig, WebhookConfig
from davylamp.errors import ConfigError, reason
from davylamp.events import ActionEvent, AlertEvent, LineageEvent, PackEvent, TlsEvent
from davylamp.outputs.console import ConsoleSink
from davylamp.outputs.http import HttpPost, checked_url
from davylamp.outputs.jsonl import JsonLinesFile, JsonLinesStream
from davylamp.outputs.otlp import ANSWER_BYTES, BATCH, Otlp, checked_token
from davylamp.outputs.redis_stream import Take, redis_stream
from davylamp.outputs.renderings.render import Format, renderer
from davylamp.outputs.select import Only
from davylamp.outputs.sink import Sink
from davylamp.outputs.spool import Spool
from davylamp.outputs.spooled import Pace, SpooledSink
from davylamp.outputs.syslog import (
    SyslogSink,
    Transport,
    facility_number,
    parse_address,
)
from davylamp.outputs.webhook import Webhook, checked_secret
from davylamp.tls import verifying

_TOLD = (AlertEvent, TlsEvent, LineageEvent, ActionEvent, PackEvent)
"""What receivers elsewhere are told of."""


def sinks_of(config: OutputConfig, spool: Path, take: Take) -> dict[str, Sink]:
    """Return the sinks by name, from within a running loop.

    ``spool`` is the folder of what waits for Redis, ``take`` hands a line to it. Raises
    ConfigError where one cannot be what is asked.
    """
    sinks: dict[str, Sink] = {}
    if config.console:
        sinks["console"] = Only(ConsoleSink(rich.console.Console()), AlertEvent, ActionEvent)
    if config.file:
        sinks["file"] = _file_of(config)
    if config.redis:
        stream = redis_stream(Spool(spool, max_bytes=config.spool_bytes), take)
        stream.start()
        sinks["redis"] = Only(stream, AlertEvent, LineageEvent, ActionEvent)
    if config.syslog.address:
        sinks["syslog"] = Only(_syslog_of(config.syslog), *_TOLD)
    if config.webhook.url:
        folder = spool.with_name(f"{spool.name}-webhook")
        webhook = webhook_of(config.webhook, folder, "outputs.webhook")
        sinks["webhook"] = Only(webhook, *_TOLD)
    if config.otlp.url:
        otlp = _otlp_of(config.otlp, spool.with_name(f"{spool.name}-otlp"))
        sinks["otlp"] = Only(otlp, *_TOLD)
    return sinks


def check_outputs(config: OutputConfig) -> None:
    """Raise ConfigError where a sink cannot be what is asked, and open nothing."""
    if config.syslog.address:
        syslog = config.syslog
        facility_number(syslog.facility)
        if parse_address(syslog.address).transport is Transport.TLS:
            verifying(syslog.ca, syslog.certificate, syslog.key)
    if config.webhook.url:
        check_webhook(config.webhook, "outputs.webhook")
    if config.otlp.url:
        checked_url(config.otlp.url, "outputs.otlp.url")
        verifying(config.otlp.ca)
        _token_of(config.otlp)


async def try_file(config: OutputConfig) -> None:
    """Raise ConfigError where the events' file cannot be opened; nothing is written to it."""
    if config.file and config.file != "-":
        await _file_of(config).close()


def check_webhook(config: WebhookConfig, key: str) -> None:
    """Raise ConfigError naming what is wrong under ``key``."""
    _secret_of(config, key)
    checked_url(config.url, f"{key}.url")
    verifying(config.ca)


def _file_of(config: OutputConfig) -> Sink:
    render = renderer(Format(config.format))
    if config.file == "-":
        return JsonLinesStream(sys.stdout.buffer, render=render)
    return JsonLinesFile(Path(config.file), render=render)


def _syslog_of(config: SyslogConfig) -> Sink:
    address = parse_address(config.address)
    secure = address.transport is Transport.TLS
    return SyslogSink(
        address,
        renderer(Format(config.format)),
        facility=facility_number(config.facility),
        enterprise=config.enterprise,
        limit=config.max_bytes,
        tls=verifying(config.ca, config.certificate, config.key) if secure else None,
    )


def webhook_of(config: WebhookConfig, folder: Path, key: str) -> Sink:
    """Return a webhook that spools to a folder; raise ConfigError naming what is under ``key``."""
    secret = _secret_of(config, key)
    url = checked_url(config.url, f"{key}.url")
    post = HttpPost(url, verifying(config.ca), config.timeout_seconds)
    webhook = Webhook(post, secret, renderer(Format(config.format)))
    sink = SpooledSink(
        "the webhook",
        Spool(folder, max_bytes=config.spool_bytes),
        webhook.deliver,
        pace=Pace(batch=config.batch),
        release=post.close,
    )
    sink.start()
    return sink


def _otlp_of(config: OtlpConfig, folder: Path) -> Sink:
    token = _token_of(config)
    url = checked_url(config.url, "outputs.otlp.url")
    post = HttpPost(url, verifying(config.ca), config.timeout_seconds, answer_bytes=ANSWER_BYTES)
    sink = SpooledSink(
        "the collector",
        Spool(folder, max_bytes=config.spool_bytes),
        Otlp(post, token).deliver,
        pace=Pace(batch=BATCH),
        release=post.close,
    )
    sink.start()
    return sink


def _secret_of(config: WebhookConfig, key: str) -> bytes:
    return checked_secret(_read(config.secret_file, f"{key}.secret_file"), config.secret_file)


def _token_of(config: OtlpConfig) -> str:
    if not config.token_file:
        return ""
    return checked_token(_read(config.token_file, "outputs.otlp.token_file"), config.token_file)


def _read(path: str, key: str) -> bytes:
    """Return a file's bytes; raise ConfigError naming the key that named it."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{key}: {path}: {reason(error)}; name another file") from error
