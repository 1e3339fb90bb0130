"""A sibling and its line: signs of life, settings, leaving - spoken with as the host speaks, in this process."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator

import pytest

from efsupervisor.conf.schema import SupervisorSpec, WebSpec
from efsupervisor.core.place import Place
from efsupervisor.core.sibling import LINGER_S, Sibling
from efsupervisor.messages import Configure, FromService, Health, Leave, Ping, Pong, decode, encode

SPEC = SupervisorSpec(heartbeat_s=0.1, log_level="warning")


class Host:
    """The other end of the line."""

    def __init__(self) -> None:
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.setblocking(False)
        self.sibling = Sibling("web", Place("/srv/var", "n1", "0.1", "/etc/e.yaml", "/srv/var/log/l"), SPEC, theirs)
        self.heard: list[object] = []

    def say(self, message: object) -> None:
        self.sock.send(encode(message))  # type: ignore[arg-type]

    def listen(self) -> list[object]:
        while True:
            try:
                frame = self.sock.recv(1 << 17)
            except BlockingIOError:
                return self.heard
            if not frame:
                return self.heard
            self.heard.append(decode(frame, FromService))

    def turns(self, count: int = 3) -> list[object]:
        for _ in range(count):
            self.sibling.reactor.turn(0)
        return self.listen()


@pytest.fixture
def host() -> Iterator[Host]:
    former = logging.getLogger().level
    made = Host()
    yield made
    made.sock.close()
    made.sibling._line.close()
    made.sibling.reactor.close()
    logging.getLogger().setLevel(former)


def test_a_sibling_knows_where_it_is(host: Host) -> None:
    sibling = host.sibling
    assert (sibling.name, sibling.var, sibling.run_dir, sibling.namespace) == ("web", "/srv/var", "/srv/var/run", "n1")
    assert sibling.log.name == "web" and logging.getLogger().level == logging.WARNING


def test_signs_of_life_come_from_the_loop_unasked(host: Host) -> None:
    host.sibling.reactor.after(0.35, host.sibling.reactor.stop)
    host.sibling.run()
    beats = [each.number for each in host.listen() if isinstance(each, Pong)]
    assert len(beats) in (4, 5) and beats == list(range(1, len(beats) + 1))


def test_it_answers_who_asks(host: Host) -> None:
    host.say(Ping(number=77))
    assert host.turns() == [Pong(number=77)]


def test_other_settings_are_in_force_before_anybody_is_told(host: Host) -> None:
    told: list[tuple[int, int]] = []
    host.sibling.on_configure(lambda spec: told.append((spec.web.port, host.sibling.spec.web.port)))
    host.say(Configure(spec=SupervisorSpec(log_level="debug", web=WebSpec(port=99))))
    host.turns()
    assert told == [(99, 99)] and logging.getLogger().level == logging.DEBUG


def test_health_is_told_when_it_changes_only(host: Host) -> None:
    for sentence in ("", "slow", "slow", "", ""):
        host.sibling.health(sentence)
    assert host.turns() == [Health(sentence="slow"), Health(sentence="")]


def test_a_sibling_that_is_let_go_is_told_once_and_ends_after_a_moment(host: Host) -> None:
    told: list[float] = []
    host.sibling.on_leave(lambda: told.append(host.sibling.reactor.now))
    host.say(Leave())
    host.say(Leave())
    host.sibling.run()
    assert len(told) == 1 and host.sibling.leaving
    assert host.sibling.reactor.now - told[0] >= LINGER_S


def test_work_under_way_is_waited_for(host: Host) -> None:
    release = host.sibling.hold()
    early = host.sibling.hold()
    early()
    early()  # once is enough
    finished: list[float] = []

    def finish() -> None:
        finished.append(host.sibling.reactor.now)
        release()

    host.sibling.on_leave(lambda: host.sibling.reactor.after(LINGER_S * 4, finish) and None)
    host.say(Leave())
    host.sibling.run()
    assert len(finished) == 1 and host.sibling.reactor.now == finished[0]


def test_releasing_what_was_held_ends_nobody_who_was_not_told_to_leave(host: Host) -> None:
    host.sibling.hold()()
    host.sibling.reactor.after(0.05, host.sibling.reactor.stop)
    host.sibling.run()
    assert not host.sibling.leaving


def test_a_sibling_whose_host_is_gone_ends_at_once_whatever_it_holds(host: Host) -> None:
    host.sibling.hold()
    told: list[str] = []
    host.sibling.on_leave(lambda: told.append("left"))
    host.sock.close()
    host.sibling.run()
    assert told == [] and host.sibling.leaving


def test_what_a_callback_raises_ends_the_loop(host: Host) -> None:
    def fail(_spec: SupervisorSpec) -> None:
        raise ValueError("not this")

    host.sibling.on_configure(fail)
    host.say(Configure(spec=SPEC))
    with pytest.raises(ValueError, match="not this"):
        host.sibling.run()
