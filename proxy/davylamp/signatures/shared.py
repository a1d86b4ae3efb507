"""Networks whose addresses many sites share, so that no address in them stands for a pool.

As the operators publish them (https://www.cloudflare.com/ips, https://api.fastly.com/public-ip-list,
https://ip-ranges.amazonaws.com/ip-ranges.json, service CLOUDFRONT; the large blocks). No list of
CDNs is complete: a curator still has to look who is behind an address.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

_CLOUDFLARE = (
    *("173.245.48.0/20", "103.21.244.0/22", "103.22.200.0/22", "103.31.4.0/22", "141.101.64.0/18"),
    *("108.162.192.0/18", "190.93.240.0/20", "188.114.96.0/20", "197.234.240.0/22"),
    *("198.41.128.0/17", "162.158.0.0/15", "104.16.0.0/13", "104.24.0.0/14", "172.64.0.0/13"),
    *("131.0.72.0/22", "2400:cb00::/32", "2606:4700::/32", "2803:f800::/32", "2405:b500::/32"),
    *("2405:8100::/32", "2a06:98c0::/29", "2c0f:f248::/32"),
)
_FASTLY = (
    *("23.235.32.0/20", "43.249.72.0/22", "103.244.50.0/24", "103.245.222.0/23"),
    *("103.245.224.0/24", "104.156.80.0/20", "140.248.64.0/18", "140.248.128.0/17"),
    *("146.75.0.0/17", "151.101.0.0/16", "157.52.64.0/18", "167.82.0.0/17", "167.82.128.0/20"),
    *("167.82.160.0/20", "167.82.224.0/20", "172.111.64.0/18", "185.31.16.0/22"),
    *("199.27.72.0/21", "199.232.0.0/16", "2a04:4e40::/32", "2a04:4e42::/32"),
)
_CLOUDFRONT = (
    *("13.32.0.0/15", "13.35.0.0/16", "52.84.0.0/15", "54.182.0.0/16", "54.192.0.0/16"),
    *("64.252.64.0/18", "70.132.0.0/18", "99.84.0.0/16", "143.204.0.0/16", "205.251.192.0/19"),
    *("216.137.32.0/19",),
)

_OWNERS: tuple[tuple[str, tuple[IPv4Network | IPv6Network, ...]], ...] = tuple(
    (owner, tuple(map(ip_network, networks)))
    for owner, networks in (
        ("Cloudflare's", _CLOUDFLARE),
        ("Fastly's", _FASTLY),
        ("CloudFront's", _CLOUDFRONT),
    )
)


def shared_by(address: IPv4Address | IPv6Address) -> str:
    """Return whose address it is, where many share it or nobody has it; else an empty string."""
    if address.is_loopback or address.is_multicast or address.is_unspecified:
        return "nobody's"
    for owner, networks in _OWNERS:
        if any(address in network for network in networks):
            return owner
    return ""
