r"""SOCKS 4, 4a and 5, either direction: what a client asks for, and where the tunnel begins.

Strategy: each direction is parsed from its first byte as if its sender never waited, because a
client may send greeting, credentials, request and the first tunnelled bytes in one segment. The
result says at which offset of the direction's stream the tunnel begins and hands over what came
of it. Nothing is decided by what the other direction said, so either may be missing.

Client, version 5                             goes to
    05 n, n methods                           version 5 again, or credentials
    01 len user len password                  request (RFC 1929; the password is not kept)
    01 01 00 ...                              malformed: GSS-API (RFC 1961) wraps what follows
    05 command rsv type address port          tunnel
Client, version 4
    04 command port address user 00           tunnel
    the same with address 0.0.0.x, host 00    tunnel (4a)

Server, version 5
    05 ff                                     refused
    05 00, 05 02 then 01 00                   reply (a status other than 00: refused)
    05 reply rsv type address port            tunnel if the reply is 00, else refused
Server, version 4
    00 5a..5d port address                    tunnel if 5a, else refused

A BIND (command 2) is answered twice: the second reply is then the first thing in the tunnel.
A UDP ASSOCIATE (command 3) has no tunnel on this connection.

Sources: RFC 1928 sections 3, 4 and 6; RFC 1929 section 2; RFC 1961 section 3; "SOCKS: A protocol
for TCP proxy across firewalls" and "SOCKS 4A" (Ying-Da Lee); commands f0 and f1 are Tor's
(socks-extensions.txt). The reserved byte is not looked at: some servers do not either.
"""

import msgspec

from davylamp.flow import format_address
from davylamp.inspection.wire.prefix import Parsed, PrefixReader
from davylamp.inspection.wire.reader import Cursor, Malformed, printable

MAX_TEXT = 512
"""Bytes in a SOCKS4 user id or host; the longest name in DNS has 255."""

CONNECT, BIND, UDP_ASSOCIATE = 1, 2, 3

_COMMANDS = frozenset({CONNECT, BIND, UDP_ASSOCIATE, 0xF0, 0xF1})
_NO_AUTHENTICATION, _USER_PASSWORD, _NO_ACCEPTABLE = 0, 2, 0xFF
_GRANTED_4 = 0x5A
_DOMAIN = 3
_ADDRESS_SIZE = {1: 4, 4: 16}


class SocksRequest(msgspec.Struct, frozen=True):
    """What a client asked its proxy for; the bytes from ``tunnel`` on are the tunnel's.

    ``version`` is 4 or 5 and ``command`` as on the wire (1 is CONNECT). ``host`` is a lower-case
    name without trailing dot, or an address as text; ``is_name`` tells which. ``user`` is the
    SOCKS4 user id or the RFC 1929 user name. ``rest`` is what came of the tunnel yet.
    """

    version: int
    command: int
    host: str
    port: int
    is_name: bool
    user: str
    tunnel: int
    rest: bytes


class SocksReply(msgspec.Struct, frozen=True):
    """The proxy's last word before the tunnel; ``granted`` says whether there is one.

    ``code`` is the reply's (5: 0 to 8; 4: 0x5a to 0x5d), the refused method's (255) or the
    authentication status. ``host`` and ``port`` are those the proxy bound, "" and 0 if unsaid.
    """

    version: int
    code: int
    granted: bool
    host: str
    port: int
    tunnel: int
    rest: bytes


class SocksClientReader(PrefixReader[SocksRequest]):
    """Reads a client's direction up to the end of its request."""

    __slots__ = ()
    LIMIT = 2048

    def parse(self, data: bytes) -> Parsed[SocksRequest]:
        """Read the stream's first bytes."""
        if data[0] == 4:
            return _request_4(data)
        if data[0] == 5:
            return _greeting(data)
        return Malformed("not a SOCKS version", 0, data)


class SocksServerReader(PrefixReader[SocksReply]):
    """Reads a proxy's direction up to the end of its reply."""

    __slots__ = ()
    LIMIT = 512

    def parse(self, data: bytes) -> Parsed[SocksReply]:
        """Read the stream's first bytes."""
        if data[0] == 0:
            return _reply_4(data)
        if data[0] == 5:
            return _selection(data)
        return Malformed("not a SOCKS reply", 0, data)


def _request_4(data: bytes) -> Parsed[SocksRequest]:
    if len(data) > 1 and data[1] not in (CONNECT, BIND):
        return Malformed("not a SOCKS command", 0, data)
    if len(data) < 9:
        return 9 if len(data) > 1 else 2
    port, address = int.from_bytes(data[2:4], "big"), data[4:8]
    user = _text_4(data, 8)
    if not isinstance(user, bytes):
        return user
    end = 9 + len(user)
    host, is_name = format_address(address), False
    if not any(address[:3]) and address[3]:
        name = _text_4(data, end)
        if not isinstance(name, bytes):
            return name
        if not name:
            return Malformed("no host in a SOCKS4a request", 0, data)
        host, is_name, end = _name(name), True, end + len(name) + 1
    return SocksRequest(4, data[1], host, port, is_name, printable(user[:255]), end, data[end:])


def _text_4(data: bytes, at: int) -> Parsed[bytes]:
    """Return the bytes from an offset to the next NUL."""
    end = data.find(b"\0", at, at + MAX_TEXT + 1)
    if end >= 0:
        return data[at:end]
    if len(data) - at > MAX_TEXT:
        return Malformed("SOCKS4 text too long", 0, data)
    return len(data) + 1


def _greeting(data: bytes) -> Parsed[SocksRequest]:
    if len(data) < 2:
        return 2
    at = 2 + data[1]
    if not data[1]:
        return Malformed("no SOCKS method offered", 0, data)
    if len(data) <= at:
        return at + 1
    if data[at] == 1:
        return _credentials(data, at)
    return _request_5(data, at, "")


def _credentials(data: bytes, at: int) -> Parsed[SocksRequest]:
    if len(data) < at + 3:
        return at + 3
    if data[at + 1 : at + 3] == b"\x01\x00":
        return Malformed("GSS-API hides the request", 0, data)
    password = at + 2 + data[at + 1]
    if len(data) <= password:
        return password + 1
    end = password + 1 + data[password]
    if len(data) <= end:
        return end + 1
    return _request_5(data, end, printable(data[at + 2 : password]))


def _request_5(data: bytes, at: int, user: str) -> Parsed[SocksRequest]:
    if data[at] != 5:
        return Malformed("not a SOCKS5 request", 0, data)
    if len(data) > at + 1 and data[at + 1] not in _COMMANDS:
        return Malformed("not a SOCKS command", 0, data)
    if len(data) < at + 5:
        return at + 5 if len(data) > at + 1 else at + 2
    address = _address(data, at + 3)
    if not isinstance(address, tuple):
        return address
    host, port, is_name, end = address
    return SocksRequest(5, data[at + 1], host, port, is_name, user, end, data[end:])


def _reply_4(data: bytes) -> Parsed[SocksReply]:
    if len(data) > 1 and data[1] not in range(_GRANTED_4, _GRANTED_4 + 4):
        return Malformed("not a SOCKS4 reply", 0, data)
    if len(data) < 8:
        return 8 if len(data) > 1 else 2
    host, port = format_address(data[4:8]), int.from_bytes(data[2:4], "big")
    return SocksReply(4, data[1], data[1] == _GRANTED_4, host, port, 8, data[8:])


def _selection(data: bytes) -> Parsed[SocksReply]:
    if len(data) < 2:
        return 2
    if data[1] == _NO_ACCEPTABLE:
        return SocksReply(5, _NO_ACCEPTABLE, False, "", 0, 2, data[2:])
    if data[1] == _NO_AUTHENTICATION:
        return _reply_5(data, 2)
    if data[1] == _USER_PASSWORD:
        return _status(data)
    return Malformed("SOCKS authentication that we do not read", 0, data)


def _status(data: bytes) -> Parsed[SocksReply]:
    if len(data) < 4:
        return 4
    if data[2] not in (1, 5):  # servers that write 5 exist, and clients that do not look
        return Malformed("not a SOCKS authentication status", 0, data)
    if data[3]:
        return SocksReply(5, data[3], False, "", 0, 4, data[4:])
    return _reply_5(data, 4)


def _reply_5(data: bytes, at: int) -> Parsed[SocksReply]:
    if len(data) > at and data[at] != 5:
        return Malformed("not a SOCKS5 reply", 0, data)
    if len(data) < at + 5:
        return at + 5 if len(data) > at else at + 1
    address = _address(data, at + 3)
    if not isinstance(address, tuple):
        return address
    code = data[at + 1]
    host, port, _, end = address
    return SocksReply(5, code, not code, host, port, end, data[end:])


def _address(data: bytes, at: int) -> tuple[str, int, bool, int] | Malformed | int:
    """Read type, address and port: host, port, whether it is a name, and where it ends.

    There are at least two bytes at the offset.
    """
    cursor, kind = Cursor(data, at + 1), data[at]
    if kind != _DOMAIN and kind not in _ADDRESS_SIZE:
        return Malformed("not a SOCKS address type", 0, data)
    size = cursor.u8() if kind == _DOMAIN else _ADDRESS_SIZE[kind]
    if cursor.left < size + 2:
        return cursor.at + size + 2
    raw = cursor.take(size)
    host = _name(raw) if kind == _DOMAIN else format_address(raw)
    return host, cursor.u16(), kind == _DOMAIN, cursor.at


def _name(raw: bytes) -> str:
    return printable(raw[:255]).lower().removesuffix(".")
