"""TLS as a client of ours speaks it: the peer is always verified."""

import ssl
from pathlib import Path

from davylamp.errors import ConfigError


def verifying(ca: str = "", certificate: str = "", key: str = "") -> ssl.SSLContext:
    """Return a client's TLS settings: the peer is verified, by ``ca`` or the system's authorities.

    ``certificate`` is what the client shows, with ``key`` where its file has none. All are PEM
    files. Raises ConfigError where one cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=ca or None)
        if certificate:
            context.load_cert_chain(certificate, key or None)
    except (OSError, ssl.SSLError) as error:
        named = ", ".join(str(Path(name)) for name in (ca, certificate, key) if name)
        raise ConfigError(f"cannot use {named}: {error}; PEM files are needed") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
