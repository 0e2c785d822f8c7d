"""Where webhooks may go."""

import pytest

from dayshift.domain.addresses import checked_target, is_public, target_of

PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:a9fe:a9fe",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "100::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "172.32.0.1",
    "2606:4700::1111",
    "2a00:1450:4001::1",
    "64:ff9b::8.8.8.8",
    "::ffff:8.8.8.8",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_of_the_public_internet_is_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_is_public(address):
    assert is_public(address)


def test_a_url_is_taken_apart():
    target = target_of("HTTPS://Receiver.example:8443/a/b?c=d")
    assert (target.scheme, target.host, target.port, target.path) == ("https", "receiver.example", 8443, "/a/b?c=d")
    assert target.authority == "receiver.example:8443"
    assert target_of("https://receiver.example?x").path == "/?x"
    assert target_of("https://[2606:4700::1111]/").authority == "[2606:4700::1111]"


@pytest.mark.parametrize(
    "url", ["", "https://", "//x", "https://a b/", "https://[::1", "https://[x]/", "https://a:/b:c@d/"]
)
def test_what_is_no_url_says_nothing_of_itself(url):
    with pytest.raises(ValueError, match="must") as raised:
        target_of(url)
    assert not url or url not in str(raised.value)


def test_a_setting_lets_private_and_plain_ones_through():
    for url in ("http://127.0.0.1:9/", "https://10.0.0.1/", "http://receiver.internal/"):
        assert checked_target(url, allow_private=True).host
        with pytest.raises(ValueError, match=r"webhooks\.allow_private"):
            checked_target(url, allow_private=False)
