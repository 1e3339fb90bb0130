"""Help for people, in English and Korean: a page about every verb, made from its declaration, and written texts about everything else.

`topics` lists what there is, `text` gives a page.  What has no Korean words yet is shown in English rather than left out.  Nothing here asks a
supervisor anything; the texts are files of the package (texts/en, texts/ko).

Imported late by whoever shows a page: it brings every verb.
"""

from __future__ import annotations

from collections.abc import Mapping

from efsupervisor.conf.meanings import SECTIONS
from efsupervisor.conf.names import nearest, shown
from efsupervisor.errors import Code, EfError
from efsupervisor.help import declared, written
from efsupervisor.help.declared import LABELS
from efsupervisor.help.written import LANGUAGES, Topic
from efsupervisor.interface import VERBS
from efsupervisor.interface.verb import Verb

OWN: dict[str, str] = {
    "start": "act",
    "stop": "trm",
    "status": "task.status",
    "put": "stdin.put",
    "tail": "task.log",
    "log": "daemon.log",
    "events": "daemon.events",
    "conf check": "conf.check",
    "version": "daemon.version",
    "shutdown": "daemon.shutdown",
    "help": "help.topic",
}
"""Commands of efctl that have another name than their verb, or are of its own making -> the verb that they say."""


def language(environment: Mapping[str, str]) -> str:
    """`ko` for a Korean locale, else `en`; of the variables the first that is set counts, as locale(7) has it."""
    locale = next((environment[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(name)), "")
    return known_language(locale)


def known_language(wanted: str) -> str:
    """`ko` for everything that begins with it (ko_KR.UTF-8), `en` for everything else."""
    return "ko" if wanted.lower().startswith("ko") else LANGUAGES[0]


def topics(language: str) -> list[Topic]:
    """Every written page and every verb, with a title each."""
    known = known_language(language)
    return written.topics(known) + [Topic(_said(verb), declared.summary(verb, known)) for verb in VERBS.values()]


def text(topic: str, language: str) -> str:
    """A page of help; the overview for an empty topic.  topic: a subject, the words of a command, a verb's name, or a key of the configuration;
    what is a subject and a command shows both.  EfError NO_SUCH_TASK, with the nearest topic, when there is none."""
    known = known_language(language)
    name = " ".join(topic.lower().replace("`", "").split())
    if not name:
        return _overview(known)
    found = [page for page in (written.page(name.replace(" ", "-"), known), _of_command(name, known)) if page]
    if found:
        return "\n".join(found)
    if page := _of_noun(name, known) or _of_key(name, known):
        return page
    near = nearest(name, _names())
    sentence = LABELS[known].no_topic.format(topic=shown(topic, 60))
    raise EfError(sentence + (LABELS[known].nearest.format(near=near) if near else LABELS[known].look), Code.NO_SUCH_TASK)


def _said(verb: type[Verb]) -> str:
    """What one types for a verb."""
    own = next((command for command, name in OWN.items() if name == verb.name and command not in ("start", "stop")), "")
    return verb.command or own or verb.name


def _names() -> list[str]:
    """Everything that text() takes, but keys."""
    subjects = [topic.name for topic in written.topics(LANGUAGES[0])]
    return [*subjects, *OWN, *VERBS, *(verb.command for verb in VERBS.values() if verb.command), *(verb.console for verb in VERBS.values())]


def _of_command(name: str, known: str) -> str:
    """The page of the verb that these words mean."""
    if name in OWN:
        return declared.page(VERBS[OWN[name]], known, name)
    found = next((verb for verb in VERBS.values() if name in (verb.name, verb.command, verb.console)), None)
    return declared.page(found, known, _said(found)) if found else ""


def _of_noun(noun: str, known: str) -> str:
    """What there is about a noun, as `flow`: its commands, one a line."""
    verbs = [verb for verb in VERBS.values() if verb.name.startswith(noun + ".") or verb.command.startswith(noun + " ")]
    return declared.listing(((_said(verb), verb) for verb in verbs), known) if verbs else ""


def _of_key(name: str, known: str) -> str:
    """What a key of the configuration means, in each section that has it."""
    section, _, inner = name.rpartition(".")
    found = {
        f"{each}.{inner}": keys[inner]
        for each, keys in SECTIONS.items()
        if inner in keys and section.removeprefix("supervisor.") in ("", each, *(["supervisor"] if section == "supervisor" else []))
    }
    label = LABELS[known]
    rows = [
        f"{key}\n    {meaning.text.replace('``', '')}\n    ({meaning.kind}; {label.default}: {meaning.default})" for key, meaning in found.items()
    ]
    return "\n\n".join(rows) + "\n" if rows else ""


def _overview(known: str) -> str:
    label = LABELS[known]
    subjects = declared.columns([(topic.name, topic.title) for topic in written.topics(known)])
    commands = declared.listing(((_said(verb), verb) for verb in VERBS.values()), known)
    return f"{label.overview}\n\n{label.subjects}\n\n{subjects}\n{label.commands}\n\n{commands}"
