"""Where the API may be listened for, and under which certificate."""

import ssl
from dataclasses import dataclass

from davylamp.config import ApiConfig
from davylamp.errors import ConfigError
from davylamp.metrics.server import read_listen


@dataclass(frozen=True, slots=True)
class Listening:
    """An address and port, and TLS where there is any."""

    host: str
    port: int
    tls: ssl.SSLContext | None


def listening_of(config: ApiConfig) -> Listening:
    """Return where to listen; raise ConfigError where that is unfit, or would be unsafe."""
    read = read_listen(config.listen)
    if read is None:
        raise ConfigError(
            f"api.listen is {config.listen!r}; write an address and a port, as 127.0.0.1:9465"
        )
    address, port = read
    tls = _tls_of(config)
    if tls is None and not address.is_loopback and not config.cleartext:
        raise ConfigError(
            f"api.listen {config.listen} can be reached from other hosts, and tokens would go over "
            "the network in the clear: name api.tls.certificate, or say api.cleartext: true where "
            "something else encrypts it"
        )
    return Listening(str(address), port, tls)


def _tls_of(config: ApiConfig) -> ssl.SSLContext | None:
    tls = config.tls
    if not tls.certificate:
        if tls.client_ca or tls.key:
            raise ConfigError("api.tls needs a certificate of its own: name api.tls.certificate")
        return None
    if tls.clients and not tls.client_ca:
        raise ConfigError("api.tls.clients needs api.tls.client_ca, which vouches for them")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key or None)
        if tls.client_ca:
            context.load_verify_locations(cafile=tls.client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        named = ", ".join(one for one in (tls.certificate, tls.key, tls.client_ca) if one)
        raise ConfigError(f"api.tls: cannot use {named}: {error}; PEM files are needed") from error
    return context
