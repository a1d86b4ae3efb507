"""Blocks, suspects and quarantines, written into nftables' sets in a fraction of a millisecond.

Why not the ``nft`` program: one call of it costs several milliseconds of fork and parse, and the
reconnect that a block is for comes sooner. One transaction here is one netlink ``send``.

An element that is there already keeps its old timeout when it is added again (kernels before
6.12), so each is written as add, delete, add: one transaction, during which packets still meet the
old element. Messages: Linux ``include/uapi/linux/netfilter/nf_tables.h``; how a concatenated key
is laid out (each part padded to four bytes): ``man 8 nft``, CONCATENATIONS, and libnftnl.
"""

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import batched
from typing import Self

from davylamp import netlink
from davylamp.decision import Block, Diversion, Endpoint, NameBinding
from davylamp.enforcement import quarantine
from davylamp.errors import KernelError
from davylamp.flow import FlowKey, Proto

_GET_TABLE = netlink.SUBSYSTEM_NFTABLES << 8 | 1
_ADD = netlink.SUBSYSTEM_NFTABLES << 8 | 12
_GET = netlink.SUBSYSTEM_NFTABLES << 8 | 13
_DELETE = netlink.SUBSYSTEM_NFTABLES << 8 | 14
_FAMILY_INET = 1

_TABLE_NAME = 1
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3
_ELEMENT = 1
_KEY, _TIMEOUT, _EXPIRATION = 1, 4, 5
_VALUE = 1

_BATCH = 64
"""Bindings in one transaction: 50 kB, of the 208 KiB that Linux lets a socket send at once."""


@dataclass(frozen=True, slots=True)
class Element:
    """A set's element as the kernel has it: its key's bytes, and the seconds left of it."""

    key: bytes
    seconds: float


@dataclass(frozen=True, slots=True)
class Blocked:
    """An endpoint that the kernel refuses, for ``seconds`` more."""

    block: Block
    seconds: float


class KernelSets:
    """The sets of one gateway's table. One socket; not for two threads at once.

    Every method raises KernelError where the kernel refuses, as it does when the table is gone.
    """

    def __init__(self, table: str) -> None:
        self._table = table
        self._socket = netlink.NetfilterSocket()

    def stand(self) -> bool:
        """Tell whether the table is there at all."""
        question = netlink.message(
            _GET_TABLE,
            netlink.REQUEST | netlink.ACK,
            netlink.text(_TABLE_NAME, self._table),
            family=_FAMILY_INET,
            sequence=self._socket.next_sequence(),
        )
        failure = self._socket.transact(question)
        if failure and failure != errno.ENOENT:
            raise KernelError(f"cannot ask for nft table inet {self._table}: {_why(failure)}")
        return not failure

    def block(self, block: Block, seconds: float) -> None:
        """Refuse an endpoint from now on for that long, whether or not it was refused already."""
        name = _blocked_set(block.orig_addr)
        self._transact(self._renew(name, (_block_key(block),), seconds), "block an endpoint")

    def unblock(self, block: Block) -> bool:
        """Refuse an endpoint no longer; return False if it was not refused."""
        return self._remove(_blocked_set(block.orig_addr), _block_key(block), "unblock an endpoint")

    def refuse(self, endpoint: Endpoint, seconds: float) -> None:
        """Refuse an endpoint to every sandbox from now on for that long."""
        name, key = _endpoint_of(endpoint)
        self._transact(self._renew(name, (key,), seconds), "refuse an endpoint")

    def admit(self, endpoint: Endpoint) -> bool:
        """Refuse an endpoint to all no longer; return False if it was not refused."""
        return self._remove(*_endpoint_of(endpoint), "admit an endpoint")

    def refused(self) -> dict[Endpoint, float]:
        """Return every endpoint that is refused to all, with the seconds left of it."""
        elements = (one for name in ("endpoints4", "endpoints6") for one in self.elements(name))
        found = ((endpoint_of(one), one.seconds) for one in elements)
        return {endpoint: seconds for endpoint, seconds in found if endpoint is not None}

    def confine(self, address: bytes, seconds: float) -> None:
        """Put an address in quarantine for that long; the chain that drops must be there, too."""
        self._transact(self._renew(_quarantine_of(address), (address,), seconds), "quarantine")

    def free(self, address: bytes) -> bool:
        """Take an address out of quarantine; return False if it was not in it."""
        return self._remove(_quarantine_of(address), address, "end a quarantine")

    def confined(self) -> dict[bytes, float]:
        """Return every address in quarantine, with the seconds left of it."""
        elements = (one for name in quarantine.SETS for one in self.elements(name))
        return {one.key: one.seconds for one in elements}

    def suspect(self, key: FlowKey, seconds: float) -> None:
        """Queue a flow's packets in both directions for that long, cleared or not."""
        name = "suspects4" if len(key.orig_addr) == 4 else "suspects6"
        keys = (_flow_key(key), _flow_key(key.reversed()))
        self._transact(self._renew(name, keys, seconds), "mark a flow as suspect")

    def bind(self, bindings: Iterable[NameBinding]) -> None:
        """Let sandboxes reach what trusted names were answered with, for the time of each.

        Where many are refused, some may have been let in before.
        """
        for some in batched(bindings, _BATCH):
            messages = tuple(message for one in some for message in self._binding(one))
            self._transact(messages, "bind a trusted name")

    def bound(self, orig_addr: bytes, resp_addr: bytes, name: str) -> bool:
        """Tell whether a name was bound to an address for a sandbox, or for all, and still is."""
        set_name = "bound4" if len(orig_addr) == 4 else "bound6"
        keys = (asker + resp_addr + name_mark(name) for asker in (orig_addr, bytes(len(orig_addr))))
        questions = (self._message(_GET, set_name, (_element(key),)) for key in keys)
        return not all(map(self._socket.transact, questions))

    def divert(self, diversion: Diversion, seconds: float) -> None:
        """Lead a sandbox's next connections to an endpoint to the proxies, for that long."""
        name = "opened4" if len(diversion.orig_addr) == 4 else "opened6"
        port = diversion.resp_port.to_bytes(2, "big") + b"\0\0"
        key = diversion.orig_addr + diversion.resp_addr + port
        self._transact(self._renew(name, (key,), seconds), "divert an endpoint")

    def blocked(self) -> list[Blocked]:
        """Return every endpoint that is refused now."""
        elements = (one for name in ("blocked4", "blocked6") for one in self.elements(name))
        return [found for found in map(blocked_of, elements) if found is not None]

    def close(self) -> None:
        """Close the socket; the elements stay until their timeouts end."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _binding(self, one: NameBinding) -> tuple[bytes, ...]:
        version = 4 if len(one.orig_addr) == 4 else 6
        ends = one.orig_addr + one.resp_addr
        own = any(one.orig_addr)
        name, key = ("trusted", ends) if own else ("shared", one.resp_addr)
        return (
            *self._renew(f"{name}{version}", (key,), one.seconds),
            *self._renew(f"bound{version}", (ends + name_mark(one.name),), one.seconds),
        )

    def _remove(self, name: str, key: bytes, what: str) -> bool:
        deletion = self._message(_DELETE, name, (_element(key),))
        return self._transact((deletion,), what, tolerate=errno.ENOENT)

    def _renew(self, name: str, keys: Iterable[bytes], seconds: float) -> tuple[bytes, ...]:
        timeout = netlink.u64(_TIMEOUT, max(1, round(seconds * 1000)))
        timed = tuple(_element(key, timeout) for key in keys)
        return (
            self._message(_ADD, name, timed, netlink.ACK | netlink.CREATE),
            self._message(_DELETE, name, tuple(_element(key) for key in keys)),
            self._message(_ADD, name, timed, netlink.ACK | netlink.CREATE),
        )

    def _message(self, kind: int, name: str, elements: tuple[bytes, ...], flags: int = 0) -> bytes:
        return netlink.message(
            kind,
            netlink.REQUEST | (flags or netlink.ACK),
            netlink.text(_LIST_TABLE, self._table),
            netlink.text(_LIST_SET, name),
            *((netlink.nested(_LIST_ELEMENTS, *elements),) if elements else ()),
            family=_FAMILY_INET,
            sequence=self._socket.next_sequence(),
        )

    def _transact(self, members: tuple[bytes, ...], what: str, tolerate: int = 0) -> bool:
        begin, end = (
            netlink.message(kind, netlink.REQUEST, resource=netlink.SUBSYSTEM_NFTABLES)
            for kind in (netlink.BATCH_BEGIN, netlink.BATCH_END)
        )
        failure = self._socket.transact(b"".join((begin, *members, end)))
        if failure and failure != tolerate:
            raise KernelError(f"cannot {what} in nft table inet {self._table}: {_why(failure)}")
        return not failure

    def elements(self, name: str) -> list[Element]:
        """Return what a set holds now."""
        request = self._message(_GET, name, (), netlink.DUMP)
        return [found for body in self._socket.dump(request) for found in parse_elements(body)]


def parse_elements(body: bytes) -> Iterator[Element]:
    """Yield the elements in one NEWSETELEM message, given from its nfgenmsg on."""
    for members in netlink.attributes(body, netlink.GENERIC_HEADER, len(body)):
        if members.kind == _LIST_ELEMENTS:
            for element in netlink.attributes(body, members.start, members.end):
                yield _parse_element(body, element)


def _parse_element(body: bytes, element: netlink.Attribute) -> Element:
    key, milliseconds = b"", 0
    for kind, start, end in netlink.attributes(body, element.start, element.end):
        if kind == _KEY:
            for value in netlink.attributes(body, start, end):
                if value.kind == _VALUE:
                    key = body[value.start : value.end]
        elif kind == _EXPIRATION or (kind == _TIMEOUT and not milliseconds):
            milliseconds = int.from_bytes(body[start:end], "big")
    return Element(key, milliseconds / 1000)


def blocked_of(element: Element) -> Blocked | None:
    """Return the endpoint that an element of a block set names; None where it names none."""
    key = element.key
    size = (len(key) - 8) // 2
    if size not in (4, 16) or key[2 * size] not in tuple(Proto):
        return None
    block = Block(
        proto=Proto(key[2 * size]),
        orig_addr=key[:size],
        resp_addr=key[size : 2 * size],
        resp_port=int.from_bytes(key[2 * size + 4 : 2 * size + 6], "big"),
    )
    return Blocked(block, element.seconds)


def endpoint_of(element: Element) -> Endpoint | None:
    """Return the endpoint that is refused to all by an element; None where it names none."""
    key = element.key
    size = len(key) - 8
    if size not in (4, 16) or key[size] not in tuple(Proto):
        return None
    port = int.from_bytes(key[size + 4 : size + 6], "big")
    return Endpoint(Proto(key[size]), key[:size], port)


def _element(key: bytes, *more: bytes) -> bytes:
    return netlink.nested(_ELEMENT, netlink.nested(_KEY, netlink.attribute(_VALUE, key)), *more)


def name_mark(name: str) -> bytes:
    """Return the number that stands for a name in the kernel's sets, as its 32 bits lie there.

    Two names may share one. That helps nobody: the name asked for must be a trusted one besides,
    and whoever could choose it would choose the one that was bound.
    """
    return hashlib.blake2s(name.encode(), digest_size=4).digest()


def _blocked_set(address: bytes) -> str:
    return "blocked4" if len(address) == 4 else "blocked6"


def _quarantine_of(address: bytes) -> str:
    return quarantine.SETS[len(address) == 16]


def _endpoint_of(endpoint: Endpoint) -> tuple[str, bytes]:
    """Return the set of endpoints refused to all, and an endpoint's key in it."""
    name = "endpoints4" if len(endpoint.address) == 4 else "endpoints6"
    return name, _endpoint_key(endpoint)


def _endpoint_key(endpoint: Endpoint) -> bytes:
    port = endpoint.port.to_bytes(2, "big")
    return b"".join((endpoint.address, bytes((endpoint.proto, 0, 0, 0)), port, b"\0\0"))


def _block_key(block: Block) -> bytes:
    return block.orig_addr + _endpoint_key(block.endpoint)


def _flow_key(key: FlowKey) -> bytes:
    ports = (port.to_bytes(2, "big") + b"\0\0" for port in (key.orig_port, key.resp_port))
    return b"".join((key.orig_addr, key.resp_addr, *ports))


def _why(failure: int) -> str:
    match failure:
        case errno.ENOENT:
            return "the table is gone; the gateway puts it back"
        case errno.ENFILE:
            return "the set is full"
        case errno.EPERM:
            return "not permitted; run as root or with CAP_NET_ADMIN in this network namespace"
        case _:
            return os.strerror(failure)
