"""``python -m davylamp.interception PORT FD PARENT FOLDER``: one mitmproxy worker process.

FD is its end of the socket pair to the gateway (see `records`), PARENT the gateway's process id,
FOLDER where the authority is. What it does is the addons' business: this only starts mitmdump the
way the gateway wants it, tied to the gateway's life.
"""

import resource
import ssl
import sys
from pathlib import Path

from davylamp.paths import ADDONS
from davylamp.workers.prctl import tie_to

_EXIT_CANNOT = 2
_IDLE_SECONDS = 7440
"""How long a connection may be silent: 2 h 4 min, the least that RFC 5382 REQ-5 has whoever stands
in the middle wait. mitmproxy's ten minutes end what a pool of database connections keeps."""


def main(arguments: list[str]) -> int:
    """Run the worker until SIGTERM, or until the gateway is gone."""
    port, descriptor, parent, folder = arguments
    if not tie_to(int(parent)):
        return _EXIT_CANNOT
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    from mitmproxy.tools.main import mitmdump  # noqa: PLC0415 - an extra, and half a second's work

    mitmdump(_words(int(port), int(descriptor), folder))
    return 0


def _words(port: int, descriptor: int, folder: str) -> list[str]:
    """Return mitmdump's command line."""
    options = {
        "davylamp_gateway": str(descriptor),
        "confdir": folder,
        # Who may come is the redirect's business; a sandbox may have a global address.
        "block_global": "false",
        "flow_detail": "0",
        "termlog_verbosity": "warn",
        "ssl_insecure": "false",
        "tcp_timeout": str(_IDLE_SECONDS),
        **_trusted(),
    }
    return [
        *("--mode", f"transparent@{port}"),
        *("-s", str(ADDONS / "davylamp_addon.py")),
        *(word for name, value in options.items() for word in ("--set", f"{name}={value}")),
    ]


def _trusted() -> dict[str, str]:
    """Return whom servers must be vouched for by: this host's own roots.

    So a site's own authority is trusted by the gateway once it is on the host, as by all else
    there; $SSL_CERT_FILE and $SSL_CERT_DIR mean what they mean to OpenSSL. Without either
    mitmproxy falls back to Mozilla's list.
    """
    found = ssl.get_default_verify_paths()
    if found.cafile:
        return {"ssl_verify_upstream_trusted_ca": found.cafile}
    if found.capath and any(Path(found.capath).iterdir()):
        return {"ssl_verify_upstream_trusted_confdir": found.capath}
    return {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
