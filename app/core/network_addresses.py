"""Which addresses are out in the world, and which are the server's own network in one disguise or another."""

import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
PROTOCOLS = ipaddress.IPv4Network("192.0.0.0/24")
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(text: str) -> bool:
    """False for private, loopback, link-local, shared, multicast, reserved and unspecified addresses."""
    address = unwrap(ipaddress.ip_address(text.partition("%")[0]))
    hidden = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
    if isinstance(address, ipaddress.IPv4Address):
        hidden = hidden or address in PROTOCOLS
    else:
        hidden = hidden or address.is_site_local or address.teredo is not None
    return address.is_global and not hidden


def may_be_public(host: str) -> bool:
    """What can be seen without asking anybody; a name that is no address may lead anywhere."""
    host = host.rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return is_public(_as_resolvers_read(host))
    except ValueError:
        return True


def _as_resolvers_read(host: str) -> str:
    """`2130706433` and `0x7f.1` are 127.0.0.1 to whoever connects."""
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return host


def unwrap(address: Address) -> Address:
    """The IPv4 address that an IPv6 address of a translator or a tunnel leads to."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
