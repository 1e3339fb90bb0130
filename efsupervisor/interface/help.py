"""Help: a page about a command or a subject."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from efsupervisor.interface.house import House
from efsupervisor.interface.verb import Verb
from efsupervisor.messages.call import Answer, Text


class HelpTopic(Verb, frozen=True, kw_only=True):
    """Show help: an overview, or a page about a command or a subject."""

    name = "help.topic"
    console = "hlp"
    positional = ("topic",)
    verbatim = ("topic",)
    topic: Annotated[list[str], Meta(max_length=8, description="words of a command (`flow add`), or a subject")] = []
    language: Annotated[str, Meta(max_length=32, description="`en` or `ko`; the caller's own when left out")] = ""

    async def run(self, house: House) -> Answer:
        """A page."""
        return Text(text=house.help_text(" ".join(self.topic), self.language or house.caller.language))


VERBS = (HelpTopic,)
