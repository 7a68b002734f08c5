"""Tells public addresses from those of the server's own network, in any notation."""

import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
PROTOCOLS = ipaddress.IPv4Network("192.0.0.0/24")
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(text: str) -> bool:
    """False for private, loopback, link-local, shared, multicast, reserved and unspecified addresses."""
    address = embedded_ipv4(ipaddress.ip_address(text.partition("%")[0]))
    internal = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
    if isinstance(address, ipaddress.IPv4Address):
        internal = internal or address in PROTOCOLS
    else:
        internal = internal or address.is_site_local or address.teredo is not None
    return address.is_global and not internal


def network_of(text: str) -> str:
    """What a limit counts as one client: an IPv4 address, or an IPv6 /64, of which a client has every address."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text
    if isinstance(address, ipaddress.IPv6Address):
        return str(address.ipv4_mapped or ipaddress.IPv6Network((address, 64), strict=False))
    return str(address)


def may_be_public(host: str) -> bool:
    """Checks without resolving the name. True for host names, which may resolve to any address."""
    host = host.rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return is_public(_normalize_ipv4(host))
    except ValueError:
        return True


def _normalize_ipv4(host: str) -> str:
    """Resolvers read `2130706433` and `0x7f.1` as 127.0.0.1."""
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return host


def embedded_ipv4(address: Address) -> Address:
    """The IPv4 address inside an IPv6 address of NAT64, 6to4 or IPv4 mapping; otherwise the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
