"""What a verb is: one declaration, from which every way of saying it is built.

A verb is a frozen struct.  Its fields are what may be said, with a description each; its docstring is its help; its class attributes say who may use
it and how it is said; its `run` does it.  Nothing else in the package lists verbs by hand: the console grammar (efsupervisor.interface.console),
`efctl` (efsupervisor.cli), the HTTP API with its OpenAPI document (efsupervisor.core.web) and the help pages (efsupervisor.help) are made from VERBS.

    class Act(Verb, frozen=True, kw_only=True):
        "Start tasks."

        name = "act"
        role = Role.OPERATE
        names: Names
        wait: Annotated[bool, Meta(description="answer when it is done")] = True

        async def run(self, house: House) -> Answer: ...

`run` is a coroutine that waits for nothing but what its House gives it, so whoever drives it decides how: the middle interface many at once from its
loop, `efctl` one after the other when there is no middle interface.  It raises EfError for what the caller did wrong.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from efsupervisor.errors import Code, EfError
from efsupervisor.interface.house import House
from efsupervisor.messages.call import Answer
from efsupervisor.states import Role

Name = Annotated[str, Meta(min_length=1, max_length=256, description="a name")]
TaskName = Annotated[str, Meta(min_length=1, max_length=256, description="a task")]
Names = Annotated[list[Name], Meta(max_length=100_000, description="tasks, groups, patterns with `*`, or `all`")]
"""Tasks as people name them; the Core resolves groups, patterns and `all`."""
SomeNames = Annotated[list[Name], Meta(min_length=1, max_length=100_000, description="tasks, groups, patterns with `*`, or `all`")]
"""The same where none named means that something was forgotten."""
Settings = Annotated[dict[str, str], Meta(max_length=1000, description="`key=value` pairs, keys and values as in the configuration file")]
WaitDone = Annotated[bool, Meta(description="answer when it is done, not at once")]


class Verb(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of every verb.

    name: noun.verb, or just the verb for act, trm and restart; it travels on wires and stands in URLs, and never changes its meaning.  role: who may.
    console: the words of the console language that mean it (`shw task`); empty: it cannot be said there.  command: the words of `efctl`
    (`flow add`); empty: efctl has a command of its own making for it.  positional: fields that the console and efctl take by position, in this
    order; the others are named.  verbatim: lists whose words are taken as they are; in all others a word may be a comma list.  aliases: other words
    for fields, where the configuration file has them (`from`).  changes: it changes something, so a retry must not run it again.  endless: the caller
    may wait longer than the usual deadline.

    The class attributes have these names, so no field may.
    """

    name: ClassVar[str] = ""
    role: ClassVar[Role] = Role.VIEW
    console: ClassVar[str] = ""
    command: ClassVar[str] = ""
    positional: ClassVar[tuple[str, ...]] = ()
    verbatim: ClassVar[tuple[str, ...]] = ()
    aliases: ClassVar[dict[str, str]] = {}
    changes: ClassVar[bool] = False
    endless: ClassVar[bool] = False

    async def run(self, house: House) -> Answer:
        """Do it.  EfError says what is wrong, in a sentence for whoever said it."""
        raise EfError(f"{type(self).__name__} is declared but cannot be run", Code.INTERNAL)
