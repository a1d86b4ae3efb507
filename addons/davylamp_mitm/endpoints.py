"""Whose flow it is, and inside what: from mitmproxy's connections to the core's flow key."""

import ipaddress

from mitmproxy.connection import Client, Server
from mitmproxy.proxy.mode_specs import RegularMode, Socks5Mode, UpstreamMode

from davylamp.flow import FlowKey, Proto

_UNKNOWN = (bytes(4), 0)


def flow_key(client: Client, server: Server | None) -> FlowKey:
    """Return the flow from a client to the server behind the proxy.

    A server that is known only by its name so far has the address 0.0.0.0.
    """
    proto = Proto.UDP if client.transport_protocol == "udp" else Proto.TCP
    return FlowKey(proto, *address_and_port(client.peername), *_server(server))


def outer_layers(client: Client, *, tunnelled: bool) -> tuple[str, ...]:
    """Return what stands around the bytes that mitmproxy shows, outermost first.

    ``tunnelled`` says that an HTTP proxy's client can have got here only by CONNECT.
    """
    layers: list[str] = [client.transport_protocol]
    in_tunnel = tunnelled or client.tls_established
    if isinstance(client.proxy_mode, Socks5Mode):
        layers.append("socks5")
    elif isinstance(client.proxy_mode, RegularMode | UpstreamMode) and in_tunnel:
        layers.append("http")
    if client.tls_established:
        layers.append("tls")
    return tuple(layers)


def server_name(server: Server | None) -> str:
    """Return a server's ``host:port`` as it was asked for, or nothing where it was an address."""
    if server is None or not server.address:
        return ""
    host, port = server.address[0], server.address[1]
    return "" if _address(host) else f"{host}:{port}"


def _server(server: Server | None) -> tuple[bytes, int]:
    if server is None:
        return _UNKNOWN
    if server.peername and server.via is None:
        return address_and_port(server.peername)
    return address_and_port(server.address)


def address_and_port(address: tuple[str, int] | None) -> tuple[bytes, int]:
    """Return an address packed, or zeros where it is none, and its port."""
    if not address:
        return _UNKNOWN
    return _address(address[0]) or bytes(4), address[1]


def _address(host: str) -> bytes:
    """Return an address packed, or nothing where the text is none; mapped IPv4 becomes IPv4."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return b""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).packed
