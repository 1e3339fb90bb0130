"""Makes what the documents say about the code: the manual pages below docs/man, the tables of keys in docs/configuration.rst, docs/openapi.json.

`python -m docs.generate` (part of `make docs`) writes them; a contract test compares them with what is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

import efsupervisor
from docs.supervisord_page import with_options
from efsupervisor import help as texts
from efsupervisor.cli import grammar
from efsupervisor.conf.meanings import SECTIONS, Meaning
from efsupervisor.core.options import USAGE
from efsupervisor.core.web import openapi
from efsupervisor.help import roff
from efsupervisor.help.reference import HEADINGS, with_tables

DOCS = Path(__file__).parent
SOURCE = f"efsupervisor {efsupervisor.__version__}"
SUBJECTS = ("configuration", "schedules")


def pages() -> dict[Path, str]:
    """Every file that is made, with its content."""
    configuration = DOCS / "configuration.rst"
    supervisord = DOCS / "supervisord.rst"
    return {
        DOCS / "man" / "efctl.1": efctl(),
        DOCS / "man" / "efsupervisord.8": efsupervisord(),
        DOCS / "man" / "efsupervisor.yaml.5": configuration_file(),
        DOCS / "openapi.json": openapi.text(),
        configuration: with_tables(configuration.read_text(encoding="utf-8")),
        supervisord: with_options(supervisord.read_text(encoding="utf-8")),
    }


# efctl(1) -----------------------------------------------------------------------------------------------------------------------------------------


def efctl() -> str:
    """The page of efctl, from its commands."""
    context = click.Context(grammar.root, info_name="efctl")
    return "".join(
        [
            roff.page("efctl", 1, "control a running efsupervisord", SOURCE),
            roff.section("Synopsis", roff.paragraphs(" ".join(["efctl", *grammar.root.collect_usage_pieces(context)]))),
            roff.section("Description", roff.paragraphs(grammar.root.help or "")),
            roff.section("Options", _options(grammar.root, context)),
            roff.section("Commands", *(_command(command, each) for command, each in _commands(grammar.root, context))),
            roff.section("Names", _subject("names")),
            roff.section("Exit status", _subject("exit-statuses")),
            roff.section("Files", _subject("files")),
            roff.section("See also", roff.paragraphs("efsupervisord(8), efsupervisor.yaml(5)")),
        ]
    )


def _commands(group: click.Group, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Every command that can be run, those of groups with the group's words before them."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield from _commands(command, inner)
        else:
            yield command, inner


def _command(command: click.Command, context: click.Context) -> str:
    words = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    return roff.subsection(words, roff.paragraphs(click.unstyle(command.help or "").replace("\b\n", "")), _options(command, context))


def _options(command: click.Command, context: click.Context) -> str:
    records = [option.get_help_record(context) for option in command.get_params(context) if isinstance(option, click.Option)]
    return roff.terms(record for record in records if record and "--help" not in record[0])


def _subject(name: str) -> str:
    """A written text of the help, without its title."""
    return roff.literal(texts.text(name, "en").partition("\n\n")[2])


# efsupervisord(8) --------------------------------------------------------------------------------------------------------------------------------


def efsupervisord() -> str:
    """The page of efsupervisord, from what it says with --help."""
    usage, description, options, *more = USAGE.strip("\n").split("\n\n")
    rows = re.findall(r"^  +(-.*?\S)  +(.*(?:\n {10,}.*)*)", options, re.MULTILINE)
    parts = [re.match(r"(?P<heading>[A-Za-z ]+): (?P<text>.*)", each, re.DOTALL) for each in more]
    return "".join(
        [
            roff.page("efsupervisord", 8, "run programs as tasks, keep them running, and carry events between them", SOURCE),
            roff.section("Synopsis", roff.paragraphs(usage.removeprefix("Usage: "))),
            roff.section("Description", roff.paragraphs(description)),
            roff.section("Options", roff.terms(rows)),
            *(roff.section(part["heading"], roff.paragraphs(part["text"])) for part in parts if part),
            roff.section("Files", _subject("files")),
            roff.section("Security", _subject("security")),
            roff.section("See also", roff.paragraphs("efctl(1), efsupervisor.yaml(5)")),
        ]
    )


# efsupervisor.yaml(5) ----------------------------------------------------------------------------------------------------------------------------


def configuration_file() -> str:
    """The page of the configuration, from the meanings of its keys."""
    return "".join(
        [
            roff.page("efsupervisor.yaml", 5, "configuration of efsupervisord", SOURCE),
            roff.section("Description", _subject("configuration")),
            *(roff.section(heading, roff.terms(map(_key, SECTIONS[each].items()))) for heading, each in HEADINGS.items()),
            roff.section("Schedules by example", _subject("schedules")),
            roff.section("See also", roff.paragraphs("efctl(1), efsupervisord(8)")),
        ]
    )


def _key(item: tuple[str, Meaning]) -> tuple[str, str]:
    key, meaning = item
    default = {"required": " (required)", "see text": ""}.get(meaning.default, f" (default {meaning.default})")
    return f"{key}: {meaning.kind}", meaning.text + default


def main() -> None:
    """Write what is not as it must be."""
    for path, content in pages().items():
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")
            print(path.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
