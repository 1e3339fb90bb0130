"""Tokens, the file they are in, and how often a guess is looked at."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from efsupervisor.core.web import auth
from efsupervisor.core.web.auth import MAX_TRIES, WINDOW_S, Doorman, TokenFile, Tries
from efsupervisor.core.web.helper import WebListenerHelper
from efsupervisor.core.web.replies import Refusal
from efsupervisor.errors import Code, EfError
from efsupervisor.states import Role
from efsupervisor.system import REAL, Real

ADMIN, VIEW = "a" * 43, "v" * 43


class Clocked(Real):
    """The machine with a clock that is set by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 1000.0

    def monotonic(self) -> float:  # type: ignore[override]
        return self.at


def written(path: Path, text: str = f"admin {ADMIN}\n# no token\n\nview {VIEW}\n", mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def system() -> Clocked:
    return Clocked()


@pytest.fixture
def tokens(tmp_path: Path, system: Clocked) -> TokenFile:
    return TokenFile(str(written(tmp_path / "web.token")), system)


@pytest.fixture
def doorman(tokens: TokenFile, system: Clocked) -> Doorman:
    return Doorman(tokens, system)


def refusal(doorman: Doorman, header: str, address: str = "127.0.0.1") -> Refusal:
    with pytest.raises(Refusal) as raised:
        doorman.admit(header, address)
    return raised.value


# The file -------------------------------------------------------------------------------------------------------------------------------------------


def test_each_line_gives_a_token_its_role() -> None:
    entries = auth.parse(f"admin {ADMIN}\nview {VIEW}\n")
    assert auth.role_of(ADMIN, entries) is Role.ADMIN
    assert auth.role_of(VIEW, entries) is Role.VIEW
    assert auth.role_of(ADMIN + "x", entries) is None
    assert auth.role_of("", entries) is None


@pytest.mark.parametrize("line", ["root " + ADMIN, ADMIN, f"admin {ADMIN} more", "admin short"])
def test_a_line_that_is_none_is_named_without_its_token(line: str) -> None:
    with pytest.raises(EfError, match="line 2") as raised:
        auth.parse(f"# tokens\n{line}\n")
    assert raised.value.code is Code.CONFIG
    assert ADMIN not in raised.value.message and "short" not in raised.value.message


def test_no_token_is_kept_in_memory(tokens: TokenFile) -> None:
    assert ADMIN.encode() not in repr(tokens.entries()).encode()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_may_read_or_write_lets_nobody_in(tmp_path: Path, mode: int) -> None:
    tokens = TokenFile(str(written(tmp_path / "web.token", mode=mode)), REAL)
    assert tokens.entries() == []
    assert "0600" in tokens.fault


def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "web.token").symlink_to(written(tmp_path / "elsewhere"))
    tokens = TokenFile(str(tmp_path / "web.token"), REAL)
    assert tokens.entries() == [] and tokens.fault


def test_a_pipe_in_the_place_of_the_file_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "web.token", 0o600)
    tokens = TokenFile(str(tmp_path / "web.token"), REAL)
    assert tokens.entries() == [] and tokens.fault


def test_a_token_that_is_taken_out_stops_working_and_one_that_is_put_in_works(tmp_path: Path, system: Clocked, doorman: Doorman) -> None:
    assert doorman.admit(f"Bearer {ADMIN}", "127.0.0.1") is Role.ADMIN
    new = "n" * 43
    written(tmp_path / "web.token", f"operate {new}\n")
    system.at += 1.0
    assert doorman.admit(f"Bearer {new}", "127.0.0.1") is Role.OPERATE
    assert refusal(doorman, f"Bearer {ADMIN}").status == 401


def test_a_file_that_is_gone_lets_nobody_in_until_it_is_back(tmp_path: Path, system: Clocked, tokens: TokenFile) -> None:
    assert tokens.entries()
    (tmp_path / "web.token").unlink()
    system.at += 1.0
    assert tokens.entries() == [] and "cannot be read" in tokens.fault
    written(tmp_path / "web.token")
    system.at += 1.0
    assert len(tokens.entries()) == 2 and tokens.fault == ""


def test_the_file_is_made_once_with_a_token_for_each_role(tmp_path: Path) -> None:
    helper = WebListenerHelper(str(tmp_path), REAL)
    assert helper.prepare_tokens() is True
    path = tmp_path / "lib" / "web.token"
    assert path.stat().st_mode & 0o777 == 0o600
    assert {entry.role for entry in auth.parse(path.read_text())} == set(Role)
    before = path.read_bytes()
    assert helper.prepare_tokens() is False
    assert path.read_bytes() == before


def test_two_supervisors_never_have_the_same_token(tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        WebListenerHelper(str(tmp_path / name), REAL).prepare_tokens()
        texts.append((tmp_path / name / "lib" / "web.token").read_text())
    assert not {line for line in texts[0].splitlines() if not line.startswith("#")} & set(texts[1].splitlines())


# Who is let in --------------------------------------------------------------------------------------------------------------------------------------


def test_the_scheme_is_read_in_any_case(doorman: Doorman) -> None:
    assert doorman.admit(f"bEaReR   {VIEW}", "127.0.0.1") is Role.VIEW


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", f"Basic {ADMIN}", ADMIN, "Bearer wrong", f"Bearer {ADMIN} x", f"Bearer {ADMIN}\x00", "Bearer \udcff"],
)
def test_whoever_has_no_right_token_is_told_what_would_be_one(doorman: Doorman, header: str) -> None:
    refused = refusal(doorman, header)
    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_guesser_is_looked_at_ten_times_a_minute(doorman: Doorman, system: Clocked) -> None:
    statuses = [refusal(doorman, f"Bearer guess{number}").status for number in range(1000)]
    assert statuses.count(401) == MAX_TRIES
    assert statuses.count(429) == 1000 - MAX_TRIES
    system.at += WINDOW_S + 0.1
    assert refusal(doorman, "Bearer guess").status == 401


def test_a_right_guess_after_ten_wrong_ones_is_not_looked_at(doorman: Doorman) -> None:
    for number in range(MAX_TRIES):
        refusal(doorman, f"Bearer guess{number}")
    refused = refusal(doorman, f"Bearer {ADMIN}")
    assert refused.status == 429
    assert 0 < int(refused.headers["Retry-After"]) <= WINDOW_S + 1


def test_who_was_right_before_is_not_shut_out_by_a_guesser_beside_him(doorman: Doorman) -> None:
    assert doorman.admit(f"Bearer {ADMIN}", "127.0.0.1") is Role.ADMIN
    for number in range(100):
        refusal(doorman, f"Bearer guess{number}")
    assert doorman.admit(f"Bearer {ADMIN}", "127.0.0.1") is Role.ADMIN
    assert refusal(doorman, f"Bearer {VIEW}").status == 429


def test_another_address_is_not_charged(doorman: Doorman) -> None:
    for number in range(MAX_TRIES):
        refusal(doorman, f"Bearer guess{number}", "192.0.2.1")
    assert doorman.admit(f"Bearer {ADMIN}", "192.0.2.2") is Role.ADMIN


def test_a_missing_token_is_no_guess(doorman: Doorman) -> None:
    assert {refusal(doorman, "").status for _ in range(100)} == {401}
    assert doorman.admit(f"Bearer {ADMIN}", "127.0.0.1") is Role.ADMIN


def test_wrong_tokens_are_logged_with_the_address_and_never_with_the_token(doorman: Doorman, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            refusal(doorman, "Bearer hunter2", "192.0.2.1")
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == MAX_TRIES
    assert all("192.0.2.1" in line and "hunter2" not in line for line in lines)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2", True),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_tries_are_charged_to_an_address_or_a_network_of_ipv6(one: str, other: str, same: bool) -> None:
    assert (auth.place_of(one) == auth.place_of(other)) is same


def test_memory_of_addresses_is_bounded_and_forgets_strangers_first() -> None:
    tries = Tries()
    tries.right("192.0.2.1", ADMIN)
    for number in range(auth.MAX_ADDRESSES + 500):
        tries.wrong(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)
    assert len(tries) == auth.MAX_ADDRESSES
    for _ in range(MAX_TRIES):
        tries.wrong("192.0.2.1", 1.0)
    assert tries.wait_s("192.0.2.1", ADMIN, 2.0) == 0.0
    assert tries.wait_s("192.0.2.1", VIEW, 2.0) > 0.0
