"""Whom a collector may post to."""

from __future__ import annotations

import pytest

from efsupervisor.core.collector.poster import Target, allowed_address, target
from efsupervisor.errors import Code, EfError


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a.example/x?y=1", Target("http", "a.example", 80, "/x?y=1")),
        ("https://a.example", Target("https", "a.example", 443, "/")),
        ("https://[2001:db8::1]:8443/z", Target("https", "2001:db8::1", 8443, "/z")),
    ],
)
def test_a_url_is_taken_apart(url: str, expected: Target) -> None:
    assert target(url) == expected


@pytest.mark.parametrize("url", ["", "a.example/x", "ftp://a.example/", "file:///etc/passwd", "http://", "http://user:word@a.example/", "http://[::1"])
def test_what_is_no_place_to_post_to_is_refused(url: str) -> None:
    with pytest.raises(EfError) as caught:
        target(url)
    assert caught.value.code is Code.CONFIG


PRIVATE = ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.7", "172.16.0.1", "169.254.169.254", "fe80::1%eth0", "0.0.0.0", "fd00::1", "::ffff:127.0.0.1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_refused_unless_listed(address: str) -> None:
    with pytest.raises(EfError) as caught:
        allowed_address("inner", [address], [])
    assert caught.value.code is Code.REFUSED
    assert "allow_private" in caught.value.message
    assert allowed_address("inner", [address], ["INNER"]) == address


def test_a_network_may_be_listed() -> None:
    assert allowed_address("x", ["10.1.2.3"], ["10.0.0.0/8"]) == "10.1.2.3"
    with pytest.raises(EfError):
        allowed_address("x", ["192.168.1.1"], ["10.0.0.0/8"])


def test_the_first_address_that_may_be_used_is_used() -> None:
    assert allowed_address("x", ["10.1.2.3", "93.184.216.34"], []) == "93.184.216.34"


def test_a_host_without_addresses_is_refused() -> None:
    with pytest.raises(EfError):
        allowed_address("x", [], [])
