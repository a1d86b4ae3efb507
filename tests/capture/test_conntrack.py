"""A real kernel's connection tracking, followed and outrun."""

import json
import sys

import pytest

from davylamp.lab import Lab

pytestmark = pytest.mark.lab

INNER = {4: "172.17.0.2", 6: "fd00:17::2"}
PREPARE = f"""
ip address add {INNER[4]}/32 dev eth0
ip address add {INNER[6]}/128 dev eth0 nodad preferred_lft 0
nft add table inet t
nft add chain inet t post '{{ type nat hook postrouting priority 100; }}'
nft add rule inet t post ip saddr {INNER[4]} masquerade
nft add rule inet t post ip6 saddr {INNER[6]} masquerade
nft add chain inet t out '{{ type filter hook output priority 0; }}'
nft add rule inet t out ct state new accept
"""
SCRIPT = """
import json, socket, sys, time
from ipaddress import ip_address
from davylamp import netlink
from davylamp.capture import conntrack, conntrack_wire

def send(family, inner, there, ports):
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.bind((inner, 4000))
        for port in ports:
            sender.sendto(b"", (there, port))

def words(one):
    return [one.proto, *(f"{ip_address(packed)} {port}" for packed, port in one[2:5])]

walked = []
walk = conntrack_wire._walked
conntrack_wire._walked = lambda *given: walked.append(1) or walk(*given)
v4, v6 = sys.argv[1:]
with conntrack.ConntrackEvents() as events:
    send(socket.AF_INET, v4, "203.0.113.10", [1])
    begun, more = events.receive(10)
    plain = not walked
    send(socket.AF_INET6, v6, "2001:db8::10", [2])
    begun += events.receive(10)[0]
    listed = list(conntrack.table())
    flush = netlink.message(conntrack_wire.DELETE, netlink.REQUEST | netlink.ACK)
    assert netlink.NetfilterSocket().transact(flush) == 0
    ended = events.receive(10)[0]
with conntrack.ConntrackEvents(receive_bytes=4096) as events:
    send(socket.AF_INET, v4, "203.0.113.10", range(1, 1000))
    heard = 0
    more = True
    while more:
        found, more = events.receive(16)
        heard += len(found)
    there = sum(1 for _ in conntrack.table())
print(json.dumps({
    "begun": [words(one) for one in begun], "plain": plain,
    "listed": sorted(words(one) for one in listed),
    "same": sorted(one.number for one in begun) == sorted(one.number for one in ended),
    "ended": [one.ended for one in ended],
    "heard": heard, "overruns": events.overruns, "there": there,
}))
"""


def test_the_kernel_is_understood_and_its_overruns_are_known(lab: Lab) -> None:
    """Begins, the table and ends agree, for both families; what was lost is counted, and listed."""
    lab.run("sandbox-1", ["sh", "-ec", PREPARE], check=True)
    words = [sys.executable, "-c", SCRIPT, *INNER.values()]
    done = lab.run("sandbox-1", words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    flows = [
        ["udp", f"{INNER[4]} 4000", "10.90.0.11 4000", "203.0.113.10 1"],
        ["udp", f"{INNER[6]} 4000", "fd00:90::11 4000", "2001:db8::10 2"],
    ]
    assert said["begun"] == flows
    assert said["plain"], "the kernel's own layout was not read at once"
    assert said["listed"] == sorted(flows)
    assert (said["ended"], said["same"]) == ([True, True], True)
    assert said["overruns"] > 0
    assert said["heard"] < said["there"] == 999
