"""The configuration: settings in force, the file, and the difference between the file and what runs."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from efsupervisor.errors import Code, EfError
from efsupervisor.interface.answers import difference, done, first
from efsupervisor.interface.house import House
from efsupervisor.interface.verb import Verb
from efsupervisor.messages.call import Answer, Settings, Text
from efsupervisor.messages.core import DifferenceReply, RereadRequest, SetSettingRequest, SettingsReply, SettingsRequest
from efsupervisor.states import Role

Key = Annotated[str, Meta(min_length=1, max_length=128, description="a dotted key of the section `supervisor`, such as `web.port`")]


class ConfShow(Verb, frozen=True, kw_only=True):
    """Show the settings in force and where each comes from."""

    name = "conf.show"
    role = Role.ADMIN
    console = "shw conf"
    command = "conf show"
    positional = ("keys",)
    keys: Annotated[list[Key], Meta(max_length=1000, description="keys or sections (`web`); all without one")] = []

    async def run(self, house: House) -> Answer:
        """A row for each setting that is named."""
        replies = await house.ask(SettingsRequest(id=house.next_id()))
        rows = [row for reply in replies if isinstance(reply, SettingsReply) for row in reply.rows]
        chosen = {key: [row for row in rows if row.key == key or row.key.startswith(key + ".")] for key in self.keys}
        for key, found in chosen.items():
            if not found:
                raise EfError(unknown_key(key, [row.key for row in rows]), Code.CONFIG)
        return Settings(rows=[row for found in chosen.values() for row in found] if self.keys else rows)


class ConfSet(Verb, frozen=True, kw_only=True):
    """Set one setting of the supervisor at run time; it is saved.  Without a value it goes back to what the file says."""

    name = "conf.set"
    role = Role.ADMIN
    console = "set conf"
    command = "conf set"
    positional = ("key", "value")
    changes = True
    key: Key
    value: Annotated[str, Meta(max_length=4096, description="as it would be written in the file")] | None = None

    async def run(self, house: House) -> Answer:
        """One outcome: whether it works at once."""
        return done(await house.ask(SetSettingRequest(id=house.next_id(), key=self.key, value=self.value)))


class ConfCheck(Verb, frozen=True, kw_only=True):
    """Check the configuration file of the running supervisor, or a text; nothing is changed."""

    name = "conf.check"
    role = Role.ADMIN
    console = "shw check"
    text: Annotated[str, Meta(max_length=96 << 10, description="a configuration to be checked instead of the file")] = ""

    async def run(self, house: House) -> Answer:
        """A sentence; everything that is wrong as EfError CONFIG."""
        if self.text:
            return Text(text=await house.slowly(lambda: checked(self.text)))
        reply = first(await house.ask(RereadRequest(id=house.next_id())), DifferenceReply)
        count = len(reply.changes)
        return Text(text=f"the configuration file is fine; {f'{count} differences' if count else 'nothing'} to update\n")


class ConfReread(Verb, frozen=True, kw_only=True):
    """Read the configuration file again and show what differs from what runs; nothing is changed."""

    name = "conf.reread"
    role = Role.ADMIN
    console = "shw reread"
    command = "reread"

    async def run(self, house: House) -> Answer:
        """A row for each difference."""
        return difference(await house.ask(RereadRequest(id=house.next_id())))


class ConfUpdate(Verb, frozen=True, kw_only=True):
    """Make what runs as the configuration file says, all or nothing; what did not change is not touched."""

    name = "conf.update"
    role = Role.ADMIN
    console = "set update"
    command = "update"
    changes = True
    endless = True
    positional = ("only",)
    only: Annotated[list[str], Meta(max_length=1000, description="these tasks and groups alone; everything without one")] = []
    yes: Annotated[bool, Meta(description="also when more than a fifth of the running tasks would be removed")] = False

    async def run(self, house: House) -> Answer:
        """A row for each difference that was applied."""
        return difference(await house.ask(RereadRequest(id=house.next_id(), apply=True, accept_removals=self.yes, only=self.only)))


class ConfRemove(Verb, frozen=True, kw_only=True):
    """Take tasks that are at rest out of what is supervised, whatever the configuration file says; an update brings them back."""

    name = "conf.remove"
    role = Role.ADMIN
    console = "del conf"
    command = "conf remove"
    positional = ("names",)
    changes = True
    names: Annotated[list[str], Meta(min_length=1, max_length=1000, description="tasks and groups of the file")]

    async def run(self, house: House) -> Answer:
        """A row for each task that is gone."""
        return difference(await house.ask(RereadRequest(id=house.next_id(), only=self.names, remove=True)))


VERBS = (ConfShow, ConfSet, ConfCheck, ConfReread, ConfUpdate, ConfRemove)


def unknown_key(key: str, known: list[str]) -> str:
    """A sentence about a key that is none."""
    from efsupervisor.conf.names import nearest, shown  # late on purpose: difflib is for somebody's slip

    near = nearest(key, known)
    return f"{shown(key)} is no setting" + (f'; did you mean "{near}"?' if near else "; `efctl conf show` lists them")


def checked(text: str) -> str:
    """A sentence about a configuration that is fine; ConfigError about one that is not."""
    from efsupervisor.conf.loader import parse  # late on purpose: PyYAML is for who checks a text

    config = parse(text.encode(), "text")
    return f"the configuration is fine: {len(config.tasks)} tasks, {len(config.flows)} flows\n"
