"""A large TLS download from a trusted name: plain, with conntrack alone, and through a gateway.

    .venv/bin/python benchmarks/trusted.py [--rounds 5] [--megabytes 2048]

nginx serves a file over TLS in a lab of namespaces and curl fetches it: with plain forwarding, with
one rule that has the kernel track connections, as any NAT does, and with the gateway (``intercept``
on, the name trusted), each round in another order. After each change a first download, which fills
caches, does not count. Each round gives a ratio to plain; the middle one is printed. That the file
went straight is told by the server's own certificate.
"""

# ruff: noqa: INP001, T201 - a script, whose output is its purpose

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from arguments import at_least_one  # type: ignore[import-not-found] # beside this file

from davylamp.errors import KernelError
from davylamp.lab import Lab, LabSpec
from davylamp.lab.gateway import LabGateway
from davylamp.lab.programs.certs import Authority, Leaf
from davylamp.lab.topology import DNS_ADDRESSES, GATEWAY, OUTSIDE, SITES

_NAME = "www.example"
_WAYS = ("plain", "conntrack", "gateway")
_CONNTRACK = """
table inet conntrack {
  chain forward { type filter hook forward priority filter; ct state established accept; }
}
"""
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
        shown = "  ".join(f"{way} {8 * found[way] / 1e9:5.2f}" for way in _WAYS)
        print(f"round {number}, Gbit/s: {shown}")
    middle = {way: _ratio(rates, way) for way in _WAYS[1:]}
    print("the target for the gateway is 0.90 of plain")
    return 0 if middle["gateway"] >= 0.9 else 1


def _ratio(rates: list[dict[str, float]], way: str) -> float:
    """Print how a way compares with plain forwarding; return the middle of its ratios."""
    ratios = [found[way] / found["plain"] for found in rates]
    middle = statistics.median(ratios)
    print(f"{way}: {middle:.2f} of plain ({min(ratios):.2f} - {max(ratios):.2f})")
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
            if way == "gateway":
                gateway.start()
            elif way == "conntrack":
                lab.run(GATEWAY, ["nft", "-f", "-"], input=_CONNTRACK, text=True, check=True)
            fetch(lab, site, size)
            found[way] = fetch(lab, site, size)
            if way == "gateway":
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
