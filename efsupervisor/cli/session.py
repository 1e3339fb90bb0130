"""What one run of efctl has at hand: the supervisor that is meant, the two ways to it, and the caller's language.

A verb goes to the middle interface.  When that does not listen, or says nothing for SILENCE_S, and the Core may still be there, efctl runs the verb
itself over the Core's own socket (`house`); nothing is said of it unless `verbose`.  Both ways together take no longer than ANSWER_S.  A middle
interface that was silent is left alone for LEFT_ALONE_S, so that a person in the shell does not wait for it at each line.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Self, TypeVar

from efsupervisor.cli.client import ANSWER_S, Client
from efsupervisor.cli.line import Clock, Unreachable
from efsupervisor.cli.where import Place
from efsupervisor.errors import Code
from efsupervisor.states import Role

if TYPE_CHECKING:
    from efsupervisor.cli.house import CoreHouse
    from efsupervisor.cli.middle import Middle
    from efsupervisor.interface.verb import Verb
    from efsupervisor.messages.call import Answer, Lines

LEFT_ALONE_S = 10.0
_WORTH_S = 0.1

A = TypeVar("A")


class Session:
    """The connections of one run; made when first needed.  The caller closes it (or uses it as a context manager)."""

    def __init__(self, place: Place, language: str = "en", say: Callable[[str], object] = lambda _: None, clock: Clock | None = None) -> None:
        self.place = place
        self.language = language
        self._say = say
        self._clock = clock or Clock()
        self._core: Client | None = None
        self._middle: Middle | None = None
        self._not_before = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open."""
        for each in (self._core, self._middle):
            if each is not None:
                each.close()
        self._core = self._middle = None

    @property
    def core(self) -> Client:
        """The Core itself."""
        if self._core is None:
            self._core = Client(self.place.core, self._clock)
        return self._core

    def do(self, verb: Verb, meanwhile: Callable[[], object] | None = None) -> Answer:
        """Do it, one way or the other.  meanwhile: called a few times a second while the answer is waited for."""
        call_id = self._new_id()
        endless = is_endless(verb)
        return self._either(
            lambda middle: middle.call(verb, call_id, endless=endless),
            lambda client: self._alone(verb, client, call_id, patient=endless),
            meanwhile,
        )

    def console(self, line: str) -> Lines:
        """Do what a line of the console language says; its answer."""
        call_id = self._new_id()
        return self._either(
            lambda middle: middle.console(line, call_id, self.language),
            lambda client: self._console_alone(line, client, call_id),
            None,
        )

    # The two ways --------------------------------------------------------------------------------------------------------------------------------

    def _either(self, asked: Callable[[Middle], A], alone: Callable[[Client], A], meanwhile: Callable[[], object] | None) -> A:
        began = self._clock.monotonic()
        if began >= self._not_before:
            middle = self._the_middle()
            middle.line.meanwhile = meanwhile
            try:
                return asked(middle)
            except Unreachable as error:
                self._given_up(error, began)
        left = max(_WORTH_S, ANSWER_S - (self._clock.monotonic() - began))
        with Client(self.place.core, self._clock, left) as client:
            client.line.meanwhile = meanwhile
            return alone(client)

    def _alone(self, verb: Verb, client: Client, call_id: str, *, patient: bool) -> Answer:
        from efsupervisor.cli.house import drive  # late on purpose, as every verb here: `tail` and others do without

        return drive(verb.run(self._house(client, call_id, patient=patient)))

    def _console_alone(self, line: str, client: Client, call_id: str) -> Lines:
        from efsupervisor.cli.house import drive  # late on purpose, as above
        from efsupervisor.interface import words  # late on purpose, as above

        return drive(words.answer(line, self._house(client, call_id, patient=True)))

    def _given_up(self, error: Unreachable, began: float) -> None:
        """Nothing was heard of the middle interface; raises when there is no time left for the other way."""
        now = self._clock.monotonic()
        if error.code is Code.TIMEOUT:
            self._not_before = now + LEFT_ALONE_S
        if error.code is Code.TIMEOUT and now - began >= ANSWER_S - _WORTH_S:
            raise error
        self._say(f"{error.message}; the Core itself is asked")

    def _the_middle(self) -> Middle:
        if self._middle is None:
            from efsupervisor.cli.middle import Middle  # late on purpose, as above

            self._middle = Middle(self.place.middle, self._clock)
        return self._middle

    def _house(self, client: Client, call_id: str, *, patient: bool) -> CoreHouse:
        from efsupervisor.cli.house import CoreHouse  # late on purpose, as above
        from efsupervisor.interface.house import Caller  # late on purpose, as above

        caller = Caller(Role.ADMIN, f"uid {os.geteuid()} pid {os.getpid()}", self.language)
        return CoreHouse(client, self.place.var, caller, call_id, patient=patient, clock=self._clock)

    def _new_id(self) -> str:
        return f"efctl-{os.urandom(12).hex()}"


def is_endless(verb: Verb) -> bool:
    """Whether the answer may take longer than ANSWER_S: an endless verb, unless it was told not to wait."""
    return verb.endless and bool(getattr(verb, "wait", True))


def language_of(environment: Mapping[str, str]) -> str:
    """`ko` for a Korean locale, else `en`; locale(7) says which variable wins."""
    locale = next((environment[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(name)), "")
    return "ko" if locale.lower().startswith("ko") else "en"
