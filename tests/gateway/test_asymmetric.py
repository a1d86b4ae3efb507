"""Answers that take another road than questions: what becomes of them, and that it is said."""

import json
import subprocess
import sys

import pytest
from tests.gateway.conftest import Build
from tests.gateway.world import WEB, World, wait_until

from davylamp.lab.topology import GATEWAY, OUTSIDE

pytestmark = pytest.mark.lab

_TRIES = 24
_TALK = """
import socket, sys
for _ in range(int(sys.argv[2])):
    try:
        with socket.create_connection((sys.argv[1], 80), 0.1) as made:
            made.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            made.settimeout(0.1)
            print(len(made.recv(1)))
    except TimeoutError:
        print("silent")
"""
_LISTEN = """
import socket, sys
with socket.create_connection((sys.argv[1], 80)) as made:
    made.sendall(b"GET /slow/8 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
    told = b""
    while some := made.recv(4096):
        told += some
        if told == some:
            print("begun", flush=True)
print(told.count(b"tick"), flush=True)
"""
_SCAN = """
import socket
for address, ports in (("203.0.113.20", range(9000, 9200)), ("203.0.113.99", range(80, 110))):
    for port in ports:
        made = socket.socket()
        made.setblocking(False)
        made.connect_ex((address, port))
"""
_HEALTH = ("-m", "davylamp", "health", "--json", "--url", "http://127.0.0.1:9465", "--state")
_HEALTHZ = """
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:9464/healthz", timeout=5).read().decode())
"""


def python(world: World, host: str, *words: str) -> str:
    """Run Python in a host; return what it prints."""
    done = world.lab.run(host, [sys.executable, *words], capture_output=True, text=True)
    return str(done.stdout)


def another_road(world: World, host: str, number: int) -> None:
    """Join a sandbox to the outside by a cable that goes round the gateway."""
    pid, net = world.lab.host(host).pid, f"10.99.{number}"
    # What a router must do as well, or it drops what comes by another way than it would send.
    lax = "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done"
    cable = f"ip link add by{number} type veth peer name by0 netns {pid}"
    for where, words in (
        (OUTSIDE, f"{cable}; ip addr add {net}.1/30 dev by{number}; ip link set by{number} up"),
        (host, f"ip addr add {net}.2/30 dev by0; ip link set by0 up"),
    ):
        assert world.lab.run(where, ["sh", "-ec", f"{words}; {lax}"]).returncode == 0


def problems(world: World) -> list[str]:
    """Return what ``davylamp health`` finds wrong."""
    told = python(world, GATEWAY, *_HEALTH, str(world.gateway.directory / "state"))
    return list(json.loads(told).get("problems", ()))


def test_asymmetric_routes_are_said(build: Build) -> None:
    """Scans, hosts that are down and flows from before are not taken for one; halves are, either.

    Enforcing, none of them carries a byte.
    """
    listen = {"metrics": "127.0.0.1:9464", "api": "127.0.0.1:9465"}
    world = build(start=False, **{name: {"listen": address} for name, address in listen.items()})
    world.web()
    words = [sys.executable, "-c", _LISTEN, WEB[4]]
    earlier = world.lab.popen("sandbox-3", words, stdout=subprocess.PIPE, text=True)
    assert earlier.stdout is not None
    assert earlier.stdout.readline() == "begun\n"
    world.gateway.start()
    python(world, "sandbox-3", "-c", _SCAN)
    assert python(world, "sandbox-3", "-c", _TALK, WEB[4], "3").split() == ["1"] * 3
    world.run("sandbox-3", "client", "download", f"http://{WEB[4]}/bytes/200000")
    told, _ = earlier.communicate(timeout=30)
    assert told == "80\n"
    counted = [world.counter(name) for name in ("joined", "unanswered", "unasked")]
    assert counted == [4, 0, 0]
    assert problems(world) == []

    for number, host in enumerate(("sandbox-1", "sandbox-2"), 1):
        another_road(world, host, number)
    back = f"ip route replace {world.lab.host('sandbox-1').ipv4} via 10.99.1.2"
    assert world.lab.run(OUTSIDE, back.split()).returncode == 0
    own = world.lab.host("sandbox-2").ipv4
    there = f"ip route replace {WEB[4]} via 10.99.2.1 src {own}"
    assert world.lab.run("sandbox-2", there.split()).returncode == 0
    for host in ("sandbox-1", "sandbox-2"):
        assert set(python(world, host, "-c", _TALK, WEB[4], str(_TRIES)).split()) == {"silent"}
    counted = [world.counter(name) for name in ("joined", "unanswered", "unasked")]
    assert counted == [4, _TRIES, _TRIES]

    told = f"no answer of {_TRIES} came by here, only the answer of {_TRIES} did"
    assert wait_until(lambda: told in str(problems(world)), pause=0.5)
    assert told in python(world, GATEWAY, "-c", _HEALTHZ)
    assert "asymmetric routes: of " in world.gateway.log()
