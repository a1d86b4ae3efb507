"""Addresses as people write them: ``host:port``, ``[v6]:port``, pool URLs."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from davylamp.errors import ConfigError
from davylamp.wording import endpoint

# Schemes as XMRig and cgminer write them; True where the scheme itself asks for TLS.
_SCHEMES = {"stratum+tcp": False, "stratum+ssl": True, "stratum+tls": True, "tcp": False}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host name or address, a port, and whether its URL asks for TLS."""

    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        return endpoint(self.host, self.port)


def parse_endpoint(text: str) -> Endpoint:
    """Return ``host:port``, ``[v6]:port`` or ``stratum+tcp://…`` as an Endpoint.

    Raises ConfigError on anything else.
    """
    scheme, found, rest = text.partition("://")
    if not found:
        scheme, rest = "tcp", text
    if scheme not in _SCHEMES:
        raise ConfigError(f"{text}: write the scheme as one of {', '.join(_SCHEMES)}")
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None:
        raise ConfigError(f"{text}: write it as host:port, or [address]:port for IPv6")
    return Endpoint(host, port, _SCHEMES[scheme])
