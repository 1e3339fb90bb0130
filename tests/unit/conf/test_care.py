"""Probes, limits, processors and secrets as they are written, and where a probe may go."""

from __future__ import annotations

import pytest

from efsupervisor.conf import care, endpoint
from efsupervisor.conf.convert import Unfit
from efsupervisor.conf.loader import parse
from efsupervisor.conf.schema import TaskSpec
from efsupervisor.errors import ConfigError

TASK = "tasks:\n  A:\n    command: x\n"


def task(text: str) -> TaskSpec:
    return parse((TASK + "".join(f"    {line}\n" for line in text.splitlines())).encode(), "/srv/f.yaml").tasks[0]


def finding(text: str) -> str:
    with pytest.raises(ConfigError) as refused:
        task(text)
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("localhost:65535", ("127.0.0.1", 65535)),
        ("[::1]:8080", ("::1", 8080)),
    ],
)
def test_a_tcp_endpoint_is_an_address_and_a_port(text: str, found: tuple[str, int]) -> None:
    made = endpoint.tcp(text)
    assert made is not None and (made.address, made.port) == found and made.own


@pytest.mark.parametrize("text", ["localhost:0", "localhost:65536", "x.org:80", ":80", "1.2.3:80", "[::1", "::1:80", "localhost:8\u0660"])
def test_what_is_no_tcp_endpoint(text: str) -> None:
    assert endpoint.tcp(text) is None
    with pytest.raises(Unfit, match="no HOST:PORT"):
        care.tcp(text)


def test_a_url_has_a_path_and_a_port_of_its_own_or_80() -> None:
    made = endpoint.http("http://LOCALHOST/a?b=c")
    assert made is not None and (made.address, made.port, made.path) == ("127.0.0.1", 80, "/a?b=c")
    assert endpoint.http("http://[::1]:9") == ("::1", 9, "/")


@pytest.mark.parametrize("text", ["https://localhost/", "http://u@localhost/", "http://localhost/a b", "http://localhost/\r\nX: y", "http://x/", "x"])
def test_what_is_no_url_of_a_probe(text: str) -> None:
    assert endpoint.http(text) is None


def test_only_this_machine_is_asked_unless_the_address_is_listed() -> None:
    assert "which is not this machine; list the address in ready.hosts" in finding('ready: {tcp: "10.0.0.1:80"}')
    made = task('ready: {tcp: "10.0.0.1:80", hosts: 10.0.0.1}')
    assert made.ready is not None and made.ready.hosts == ["10.0.0.1"]
    assert "which is not this machine" in finding('alive: {http: "http://0.0.0.0:80/"}')


def test_a_section_that_asks_for_nothing_is_a_slip() -> None:
    assert "says nothing to look at" in finding("ready: {interval_s: 1}")
    assert "says nothing to look at" in finding("alive: {failures: 1}")
    alive = task("alive: {watchdog_s: 2s}").alive
    assert alive is not None and alive.watchdog_s == 2.0


def test_limits_have_a_soft_and_a_hard_side() -> None:
    made = task("limits: {nofile: 4096, core: 0, as: 1GiB, nproc: '100:200', stack: unlimited, data: '1KiB:unlimited'}")
    assert made.limits == {
        "nofile": (4096, 4096), "core": (0, 0), "as": (1 << 30, 1 << 30), "nproc": (100, 200), "stack": (-1, -1), "data": (1024, -1),
    }  # fmt: skip
    assert "nofile" in finding("limits: {nofiles: 1}")
    assert "soft limit above the hard" in finding("limits: {nofile: '200:100'}")
    assert "soft limit above the hard" in finding("limits: {nofile: 'unlimited:100'}")


def test_processors_are_numbers_and_ranges() -> None:
    assert task("cpu_affinity: 0-2,5").cpu_affinity == (0, 1, 2, 5)
    assert task("cpu_affinity: [3, 0-1]").cpu_affinity == (0, 1, 3)
    assert "no range of processors" in finding("cpu_affinity: 3-1")
    assert "names no processor" in finding("cpu_affinity: all")


def test_disk_priorities_have_levels_where_the_class_has_them() -> None:
    assert [care.ionice(text) for text in ("", "idle", "best-effort", "realtime:0")] == ["", "idle", "best-effort:4", "realtime:0"]
    for wrong in ("idle:1", "best-effort:8", "nice"):
        with pytest.raises(Unfit):
            care.ionice(wrong)


def test_a_secret_is_a_name_and_a_file() -> None:
    assert task("secrets: {DB: /etc/db.key}").secrets == {"DB": "/etc/db.key"}
    assert "is no name for a secret" in finding("secrets: {../x: /etc/db.key}")


def test_groups_and_environment_files_are_lists() -> None:
    made = task("groups: [adm, '44']\nenvironment_files: [/a, -/b]")
    assert (made.groups, made.environment_files) == (("adm", "44"), ["/a", "-/b"])
    assert "is no group" in finding("groups: 'a b'")


def test_a_pattern_is_compiled_when_it_is_read() -> None:
    ready = task("ready: {line: 'Listening on .*'}").ready
    assert ready is not None and ready.line == "Listening on .*"
    assert "no regular expression" in finding("ready: {line: '('}")


def test_hooks_and_probes_are_commands_that_no_shell_runs() -> None:
    made = task("hooks: {before_start: \"mkdir -p '/a b'\", after_exit: [x, y]}\nready: {exec: test -e /x}")
    assert made.hooks is not None and made.ready is not None
    assert (made.hooks.before_start, made.hooks.after_exit, made.ready.exec) == (["mkdir", "-p", "/a b"], ["x", "y"], ["test", "-e", "/x"])
