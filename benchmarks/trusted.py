"""A large TLS download from a trusted name: through plain routers and through a gateway.

    .venv/bin/python benchmarks/trusted.py [--rounds 5] [--megabytes 2048]

nginx serves a file over TLS in a lab of namespaces and curl fetches it: with plain forwarding; with
one rule that has the kernel track connections; with one that translates addresses, as the way out
of private ones does; and through the gateway (``intercept`` on, the name trusted), which by itself
only forwards, and once more where it translates as well. Each round takes them in another order;
after each change a first download, which fills caches, does not count. Each round gives a ratio;
the middle one is printed. That the file went straight is told by the server's own certificate.
"""

# ruff: noqa: INP001, T201 - a script, whose output is its purpose

import argparse
import os
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from arguments import at_least_one  # type: ignore[import-not-found] # beside this file

from davylamp.errors import KernelError
from davylamp.lab import Lab, LabSpec
from davylamp.lab.gateway import LabGateway
from davylamp.lab.programs.certs import Authority, Leaf
from davylamp.lab.topology import DNS_ADDRESSES, GATEWAY, OUTSIDE, SANDBOX_NETWORKS, SITES

_NAME = "www.example"
_TRACKS = """
table inet router {
  chain forward { type filter hook forward priority filter; ct state established accept; }
}
"""
_TRANSLATES = f"""
table ip router {{
  chain out {{
    type nat hook postrouting priority srcnat;
    ip saddr {SANDBOX_NETWORKS[0]} masquerade
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Way:
    """What stands between sandbox and server: rules of a router's, a gateway, or both."""

    name: str
    rules: str = ""
    gateway: bool = False


_WAYS = (
    Way("plain"),
    Way("conntrack", _TRACKS),
    Way("masquerade", _TRANSLATES),
    Way("gateway", gateway=True),
    Way("both", _TRANSLATES, gateway=True),
)
_RATIOS = (
    ("conntrack", "plain"),
    ("masquerade", "plain"),
    ("gateway", "plain"),
    ("both", "masquerade"),
)
_NGINX = """
daemon off; error_log stderr crit; pid {work}/nginx.pid; worker_processes 1;
events {{ }}
http {{
  access_log off; sendfile on;
  server {{
    listen {address}:443 ssl;
    ssl_certificate {leaf.chain}; ssl_certificate_key {leaf.key};
    ssl_protocols TLSv1.3;
    root {work}/www;
  }}
}}
"""


def main() -> int:
    """Measure and print; return 1 where the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=at_least_one, default=5)
    parser.add_argument("--megabytes", type=at_least_one, default=2048)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        Lab.create(LabSpec(f"trusted-{os.getpid()}", sandboxes=1)) as lab,
    ):
        work = Path(folder)
        work.chmod(0o755)
        site = Authority.create(work / "site")
        serve(lab, work, site.issue([_NAME]), arguments.megabytes << 20)
        rates = measure(lab, work, site, arguments.rounds, arguments.megabytes << 20)
    for number, found in enumerate(rates, 1):
        shown = "  ".join(f"{way} {8 * rate / 1e9:5.2f}" for way, rate in sorted(found.items()))
        print(f"round {number}, Gbit/s: {shown}")
    middle = {pair: _ratio(rates, *pair) for pair in _RATIOS}
    print("the target for the gateway is 0.90 of plain; both is the gateway that masquerades")
    return 0 if middle["gateway", "plain"] >= 0.9 else 1


def _ratio(rates: list[dict[str, float]], way: str, other: str) -> float:
    """Print how a way compares with another; return the middle of its ratios."""
    ratios = [found[way] / found[other] for found in rates]
    middle = statistics.median(ratios)
    print(f"{way}: {middle:.2f} of {other} ({min(ratios):.2f} - {max(ratios):.2f})")
    return middle


def serve(lab: Lab, work: Path, leaf: Leaf, size: int) -> None:
    """Start nginx with one large file; it ends with the lab."""
    www = work / "www"
    www.mkdir()
    with (www / "file").open("wb") as file:
        file.truncate(size)
    config = work / "nginx.conf"
    config.write_text(_NGINX.format(work=work, address=SITES[0], leaf=leaf))
    lab.popen(OUTSIDE, ["nginx", "-c", str(config)])


def measure(
    lab: Lab, work: Path, site: Authority, rounds: int, size: int
) -> list[dict[str, float]]:
    """Return bytes a second by way, round by round."""
    gateway = LabGateway(
        lab,
        work / "gateway",
        policy={"trusted": [_NAME]},
        intercept={"enabled": True, "resolvers": list(DNS_ADDRESSES)},
    )
    rates: list[dict[str, float]] = []
    for number in range(rounds):
        turn = number % len(_WAYS)
        found: dict[str, float] = {}
        for way in (*_WAYS[turn:], *_WAYS[:turn]):
            lab.run(GATEWAY, ["nft", "-f", "-"], input=way.rules, text=True, check=True)
            if way.gateway:
                gateway.start()
            fetch(lab, site, size)
            found[way.name] = fetch(lab, site, size)
            if way.gateway:
                gateway.stop()
            lab.run(GATEWAY, ["nft", "flush", "ruleset"], check=True)
        rates.append(found)
    return rates


def fetch(lab: Lab, site: Authority, size: int) -> float:
    """Download once; return bytes a second. Only the server's own certificate will do."""
    words = [
        "curl",
        "-sS",
        "-4",
        "--retry",
        "5",
        "--retry-connrefused",
        "--cacert",
        str(site.bundle),
    ]
    form = ["-o", "/dev/null", "-w", "%{size_download} %{speed_download}"]
    done = lab.run(
        "sandbox-1", [*words, *form, f"https://{_NAME}/file"], capture_output=True, text=True
    )
    got, rate = done.stdout.split()
    if done.returncode or int(got) != size:
        raise SystemExit(f"the download failed: {done.stderr.strip()}")
    return float(rate)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (KernelError, OSError) as error:
        sys.exit(f"trusted: {error}")
