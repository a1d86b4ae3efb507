"""Which networks are on the training bridges, by their own addresses."""

import fnmatch
import json
import socket
from collections.abc import Sequence
from ipaddress import ip_interface

from davylamp.enforcement.programs import run


def networks_on(interfaces: Sequence[str]) -> tuple[str, ...]:
    """Return the networks of the addresses that interfaces carry; names may end in ``*``.

    Link-local ones are left out. Raises KernelError where ``ip`` cannot be used.
    """
    found: dict[str, None] = {}
    for one in json.loads(run(("ip", "-json", "address", "show"))):
        if not any(fnmatch.fnmatchcase(one["ifname"], pattern) for pattern in interfaces):
            continue
        for address in one["addr_info"]:
            at = ip_interface(f"{address['local']}/{address['prefixlen']}")
            if not at.is_link_local:
                found[str(at.network)] = None
    return tuple(found)


def absent(interfaces: Sequence[str]) -> tuple[str, ...]:
    """Return those that this network namespace does not have now; names may end in ``*``."""
    there = [name for _, name in socket.if_nameindex()]
    return tuple(name for name in interfaces if not fnmatch.filter(there, name))
