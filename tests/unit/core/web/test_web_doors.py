"""Which Host and which Origin: pure rules."""

from __future__ import annotations

import pytest

from efsupervisor.conf.schema import WebSpec
from efsupervisor.core.web import doors

KNOWN = doors.known_hosts(WebSpec(hosts=["Flows.example.org"]))


@pytest.mark.parametrize(
    "header", ["127.0.0.1", "127.0.0.1:8642", "localhost", "LOCALHOST:1", "localhost.", "[::1]", "[::1]:8642", "flows.EXAMPLE.org:443"]
)
def test_our_own_names_are_known_with_any_port(header: str) -> None:
    assert doors.is_known(header, KNOWN)


@pytest.mark.parametrize(
    "header",
    [
        "", " ", "evil.example", "127.0.0.1.evil.example", "evil.example:8642", "localhost@evil.example", "localhost/evil",
        "localhost:", "localhost:1:2",
        "127.0.0.1, evil.example", "[::1", "::1:80x", "0.0.0.0", "flows.example.org.evil", "localhost\n", "lo calhost", "localhost:99999999",
    ],
)  # fmt: skip
def test_any_other_name_is_not(header: str) -> None:
    assert not doors.is_known(header, KNOWN)


def test_a_listener_on_all_addresses_is_known_by_the_one_that_was_reached() -> None:
    known = doors.known_hosts(WebSpec(host="0.0.0.0"))
    assert doors.is_known("192.0.2.7:8642", known, "192.0.2.7")
    assert not doors.is_known("192.0.2.8", known, "192.0.2.7")
    assert not doors.is_known("0.0.0.0", known, "192.0.2.7")


@pytest.mark.parametrize(
    ("origin", "fetch_site", "own"),
    [
        (None, None, True),
        ("http://127.0.0.1:8642", None, True),
        ("http://127.0.0.1:8642", "same-origin", True),
        (None, "none", True),
        ("HTTP://127.0.0.1:8642", "same-origin", True),
        ("https://127.0.0.1:8642", None, False),
        ("http://127.0.0.1", None, False),
        ("http://evil.example", None, False),
        ("null", None, False),
        ("", None, False),
        ("http://127.0.0.1:8642", "cross-site", False),
        ("http://127.0.0.1:8642", "same-site", False),
        (None, "cross-site", False),
    ],
)
def test_a_change_comes_from_our_own_page_or_from_no_page(origin: str | None, fetch_site: str | None, own: bool) -> None:
    assert doors.is_own_page("http", "127.0.0.1:8642", origin, fetch_site) is own
