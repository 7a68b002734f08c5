import pytest

from app.core.network_addresses import is_public, may_be_public, network_of

OURS = [
    *(
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
    ),
    *("100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1"),
    *("2002:7f00:1::1", "2002:a00:1::", "2001:db8::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "100::1"),
]
THE_WORLDS = ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]


@pytest.mark.parametrize("address", OURS)
def test_internal_address_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", THE_WORLDS)
def test_public_address_is_public(address: str) -> None:
    assert is_public(address)


DISGUISED = ["localhost", "LOCALHOST.", "my.localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "10.0.0.1.", "0"]


@pytest.mark.parametrize("host", [*DISGUISED, *OURS])
def test_internal_host_is_recognised_without_resolving(host: str) -> None:
    assert not may_be_public(host)


@pytest.mark.parametrize("host", ["example.com", "localhost.example.com", "1e100.net", *THE_WORLDS])
def test_other_host_names_may_be_public(host: str) -> None:
    assert may_be_public(host)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1:ffff::7", "2001:db8:0:1::/64"),
        ("2001:db8:0:1::%eth0", "2001:db8:0:1::/64"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_network_of_a_client_is_what_limits_count(address: str, network: str) -> None:
    assert network_of(address) == network
