"""What the host decides without a process: who is wanted, and which descriptors a sibling keeps."""

from __future__ import annotations

import errno
import itertools
import logging
import os
import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from efsupervisor.conf.schema import ResourceSpec, ResultSpec, SupervisorSpec, WebSpec
from efsupervisor.core import service_host
from efsupervisor.core.keeper import ended
from efsupervisor.core.service_host import SIBLINGS, is_wanted


def wanted(spec: SupervisorSpec) -> list[str]:
    return [name for name in SIBLINGS if is_wanted(spec, name)]


def test_every_sibling_is_wanted_as_the_settings_come() -> None:
    assert wanted(SupervisorSpec()) == ["middle", "web", "resource", "result"]


def test_a_sibling_that_is_not_enabled_is_not_wanted_and_the_middle_interface_always_is() -> None:
    off = SupervisorSpec(web=WebSpec(enabled=False), resource=ResourceSpec(enabled=False), result=ResultSpec(enabled=False))
    assert wanted(off) == ["middle"]


def test_without_services_nobody_is_wanted() -> None:
    assert wanted(SupervisorSpec(services=False)) == []


def test_the_entry_of_a_sibling_is_found_by_its_name() -> None:
    assert service_host.entry("logging:getLogger") is logging.getLogger  # type: ignore[comparison-overlap]


@pytest.mark.parametrize("where", ["efsupervisor.core.nosuch:main", "efsupervisor.core.sibling:nosuch"])
def test_an_entry_that_is_not_there_is_an_error_of_the_sibling(where: str) -> None:
    with pytest.raises((ImportError, AttributeError)):
        service_host.entry(where)


def test_all_descriptors_but_those_that_are_kept_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "closerange", lambda low, high: closed.append((low, high)))
    service_host.close_all_but({0, 1, 2, 9, 5})
    open_still = {fd for fd in range(20) if not any(low <= fd < high for low, high in closed)}
    assert open_still == {0, 1, 2, 5, 9}


def test_a_helper_that_ended_by_itself_is_quoted_and_one_that_was_killed_is_not() -> None:
    assert ended(70 << 8, "the port is taken") == "exit status 70: the port is taken"
    assert ended(9, "the server is slow") == "killed by SIGKILL"
    assert ended(None, "the server is slow") == "exit status unknown"


@pytest.mark.parametrize("good", range(4))
def test_a_machine_that_gives_no_descriptors_costs_the_host_none(good: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sibling needs two socketpairs, a pipe and a fork; the first `good` of them succeed."""
    left = itertools.repeat(True, good)

    def sparing(make: Callable[..., Any]) -> Callable[..., Any]:
        def made(*args: Any) -> Any:
            if not next(left, False):
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return make(*args)

        return made

    host: Any = SimpleNamespace(_system=SimpleNamespace(getpid=os.getpid, fork=sparing(os.fork)))
    monkeypatch.setattr(socket, "socketpair", sparing(socket.socketpair))
    monkeypatch.setattr(os, "pipe2", sparing(os.pipe2))
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="open files"):
        service_host.Host._fork(host, "middle")
    assert set(os.listdir("/proc/self/fd")) == before
