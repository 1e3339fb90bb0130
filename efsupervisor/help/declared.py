"""Pages about verbs, made from their declarations: what a verb does, what may be said with it, who may, and the ways to say it.

Widths are those of a terminal, where a Hangul syllable takes two columns.  Pure.
"""

from __future__ import annotations

import inspect
import textwrap
import unicodedata
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from efsupervisor.help import korean
from efsupervisor.interface.verb import Verb
from efsupervisor.states import Role

WIDTH = 100


class Labels(NamedTuple):
    """The words between what verbs say themselves."""

    overview: str
    subjects: str
    commands: str
    fields: str
    ways: str
    required: str
    default: str
    role: str
    options: str
    no_topic: str
    nearest: str
    look: str


LABELS = {
    "en": Labels(
        overview="efsupervisor runs programs as tasks, keeps them running, and chains them into durable flows.\n"
        "`efctl help TOPIC` shows a page; `efctl COMMAND --help` the options of a command.",
        subjects="Subjects",
        commands="Commands",
        fields="What may be said",
        ways="Ways to say it",
        required="required",
        default="default",
        role="Needs the role {role}.",
        options="`efctl {command} --help` shows the options.",
        no_topic='there is no help about "{topic}"',
        nearest='; did you mean "{near}"?',
        look="; `efctl help` lists what there is",
    ),
    "ko": Labels(
        overview="efsupervisor는 프로그램을 태스크로 실행하고, 계속 살아 있게 지키고, 끊겨도 잃지 않는 플로우로 잇습니다.\n"
        "`efctl help 주제`는 도움말 한 장을, `efctl 명령 --help`는 그 명령의 옵션을 보여 줍니다.",
        subjects="주제",
        commands="명령",
        fields="지정할 수 있는 항목",
        ways="쓰는 방법",
        required="필수",
        default="기본값",
        role="{role} 권한이 필요합니다.",
        options="옵션은 `efctl {command} --help`에 있습니다.",
        no_topic='"{topic}"에 대한 도움말이 없습니다',
        nearest='. 혹시 "{near}"을(를) 찾으셨나요?',
        look=". 전체 목록은 `efctl help`로 볼 수 있습니다",
    ),
}


class FieldText(NamedTuple):
    """One field of a verb.  default: as one would write it, empty for nothing; None: required."""

    name: str
    description: str
    default: str | None


def paragraphs(verb: type[Verb]) -> list[str]:
    """The docstring's paragraphs, each on one line."""
    return [" ".join(part.split()) for part in (inspect.getdoc(verb) or "").split("\n\n")]


def summary(verb: type[Verb], language: str) -> str:
    """What a verb does, in one sentence."""
    return _in(language, paragraphs(verb)[0])


def field_texts(verb: type[Verb]) -> list[FieldText]:
    """Every field, in its order, in English."""
    info = msgspec.inspect.type_info(verb)
    assert isinstance(info, msgspec.inspect.StructType)
    return [FieldText(field.encode_name, _description(field.type), _default(field)) for field in info.fields]


def page(verb: type[Verb], language: str, said: str) -> str:
    """The page of a verb.  said: what one types for it after `efctl`."""
    label = LABELS[language]
    first, *rest = (_in(language, each) for each in paragraphs(verb))
    parts = [f"{said} - {first}", *(_filled(each) for each in rest)]
    fields = field_texts(verb)
    if fields:
        parts.append(f"{label.fields}\n\n" + columns([(field.name, _told(field, language)) for field in fields]).rstrip("\n"))
    parts.append(f"{label.ways}\n\n" + columns(_ways(verb, said)).rstrip("\n"))
    ends = [label.role.format(role=verb.role)] if verb.role is not Role.VIEW else []
    ends += [label.options.format(command=said)] if said != verb.name or verb.command else []
    return "\n\n".join([*parts, *(["\n".join(ends)] if ends else [])]) + "\n"


def listing(verbs: Iterable[tuple[str, type[Verb]]], language: str) -> str:
    """Verbs one a line, each with what one types for it and what it does."""
    return columns([(said, summary(verb, language)) for said, verb in verbs])


def columns(rows: list[tuple[str, str]]) -> str:
    """Two columns, the second wrapped."""
    wide = max((_width(left) for left, _ in rows), default=0) + 4
    lines: list[str] = []
    for left, right in rows:
        first, *others = _wrapped(right, WIDTH - wide) or [""]
        lines.append(f"  {left}{' ' * (wide - 2 - _width(left))}{first}".rstrip())
        lines += [" " * wide + each for each in others]
    return "\n".join(lines) + "\n"


def _ways(verb: type[Verb], said: str) -> list[tuple[str, str]]:
    words = " ".join(name.upper() for name in verb.positional)
    ways = [("efctl", f"{said} {words}".strip())] if said != verb.name or verb.command else []
    ways += [("console", f"{verb.console} {words}".strip())] if verb.console else []
    return [*ways, ("HTTP", f'POST /api/v1/commands {{"verb": "{verb.name}", "fields": {{...}}}}')]


def _told(field: FieldText, language: str) -> str:
    label = LABELS[language]
    more = label.required if field.default is None else f"{label.default}: {field.default}" if field.default else ""
    text = _in(language, field.description)
    return f"{text} ({more})" if more else text


def _in(language: str, text: str) -> str:
    """The text in a language, in English where there is no other."""
    return korean.TEXTS.get(text, text) if language == "ko" else text


def _description(kind: Any) -> str:
    """What is said about a type, the outermost first."""
    while True:
        if isinstance(kind, msgspec.inspect.Metadata):
            said = (kind.extra_json_schema or {}).get("description")
            if said:
                return str(said)
            kind = kind.type
        elif isinstance(kind, msgspec.inspect.UnionType):
            kind = next(each for each in kind.types if not isinstance(each, msgspec.inspect.NoneType))
        else:
            return ""


def _default(field: msgspec.inspect.Field) -> str | None:
    if field.required:
        return None
    value = field.default
    if value is msgspec.NODEFAULT or value is None or value == "" or value == b"" or value == []:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _filled(text: str) -> str:
    return "\n".join(_wrapped(text, WIDTH))


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most so many columns."""
    if text.isascii():
        return textwrap.wrap(text.replace(".  ", ". "), width, break_long_words=False, break_on_hyphens=False)
    lines = [""]
    for word in text.split():
        if lines[-1] and _width(lines[-1]) + 1 + _width(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _width(text: str) -> int:
    """Columns on a terminal; Unicode, East Asian Width (UAX 11)."""
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)
