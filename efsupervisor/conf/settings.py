"""The settings of the daemon one by one, each by its dotted key (`web.port`), as texts that could stand in the file.

What a key accepts is what the file accepts (tables.py), and what must be true between keys is what must be true there (check_supervisor.py): a
setting said by command can bring nothing about that the file could not.  `var` can only be said by the file, for the saved settings lie in it.

Pure; reads no file.  Nothing here is imported by what must stay lean: the Core asks for it when somebody sets something.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec

from efsupervisor.conf.check_supervisor import check_supervisor
from efsupervisor.conf.convert import Unfit
from efsupervisor.conf.fields import Field, Reading, Section
from efsupervisor.conf.findings import Findings
from efsupervisor.conf.meanings import of_setting
from efsupervisor.conf.names import nearest, shown
from efsupervisor.conf.schema import SupervisorSpec
from efsupervisor.conf.tables import PARTS, SUPERVISOR
from efsupervisor.conf.tree import Node, Scalar, Sequence
from efsupervisor.errors import Code, ConfigError, EfError

_ONLY_IN_THE_FILE = frozenset({"var"})
_SIZE_ENDINGS = ("_bytes", "max_header", "max_body")
_UNITS = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def keys() -> list[str]:
    """Every key, in the order in which they are explained."""
    return [f"{key}.{inner}" if inner else key for key in SUPERVISOR for inner in PARTS.get(key, {"": None})]


def is_live(key: str) -> bool:
    """Whether a change works at once, and so can be said by command."""
    return key not in _ONLY_IN_THE_FILE


def known(key: str) -> str:
    """The key itself.  EfError USAGE, with the nearest one, when there is none."""
    every = keys()
    if key in every:
        return key
    inside = [each for each in every if each.startswith(key + ".")]
    near = nearest(key, every)
    hint = f"; it has {', '.join(inside)}" if inside else f"; did you mean {near}?" if near else "; `conf show` lists them"
    raise EfError(f"{shown(key)} is no setting{hint}", Code.USAGE)


def describe(key: str) -> str:
    """What a key means, in one sentence.  EfError USAGE when there is no such key."""
    return of_setting(known(key)).text


def value_of(spec: SupervisorSpec, key: str) -> Any:
    """The value of a key.  EfError USAGE when there is no such key."""
    value: Any = spec
    for part in known(key).split("."):
        value = getattr(value, part)
    return value


def text_of(spec: SupervisorSpec, key: str) -> str:
    """The value of a key as it would be written; with_setting takes it back.  EfError USAGE when there is no such key."""
    value = value_of(spec, key)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _duration(value)
    if isinstance(value, list | tuple):
        return ", ".join(value)
    return _size(value) if isinstance(value, int) and key.endswith(_SIZE_ENDINGS) else str(value)


def is_secret(key: str) -> bool:
    """Whether the value is nobody's business: it is never shown nor logged."""
    return key.rpartition(".")[2] == "password"


def with_setting(spec: SupervisorSpec, key: str, text: str, *, folder: str = "") -> SupervisorSpec:
    """The settings with one changed.  text: as in the file, a list as words between commas.  folder: what a relative path is relative to; without
    one it is refused.  EfError USAGE for a key that does not exist or cannot be set, ConfigError for a text that the key does not accept."""
    if not is_live(known(key)):
        raise EfError(f"{key} can only be said by the configuration file; edit it and start efsupervisord again", Code.USAGE)
    return with_value(spec, key, _read(key, text, folder))


def with_value(spec: SupervisorSpec, key: str, value: Any) -> SupervisorSpec:
    """The settings with one changed to a value of another spec (that of the file, to go back to it).  ConfigError when it does not fit the others."""
    name, _, inner = known(key).partition(".")
    new = msgspec.structs.replace(spec, **{name: msgspec.structs.replace(getattr(spec, name), **{inner: value}) if inner else value})
    faults = [f"{at} {reason}" for at, reason in check_supervisor(new) if (at, reason) not in check_supervisor(spec)]
    if faults:
        raise ConfigError(faults)
    return new


def _read(key: str, text: str, folder: str) -> Any:
    if not text and value_of(SupervisorSpec(), key) == "":
        return ""
    findings = Findings(key)
    field = _field(key)
    try:
        value = field(Reading(findings, folder), _node(key, text), "", Section(findings, 0, ""))
    except Unfit as reason:
        raise ConfigError([f"{key} {reason}"]) from None
    if findings:
        findings.refuse()
    return value


def _field(key: str) -> Field:
    name, _, inner = key.partition(".")
    return PARTS[name][inner] if inner else SUPERVISOR[name]


def _node(key: str, text: str) -> Node:
    if not isinstance(value_of(SupervisorSpec(), key), list | tuple):
        return Scalar(0, text, plain=False)
    words = [word.strip() for word in text.strip().removeprefix("[").removesuffix("]").split(",")]
    return Sequence(0, [Scalar(0, word, plain=False) for word in words if word])


def _duration(seconds: float) -> str:
    """Seconds with at most nine decimals, which is what the file can say."""
    return format(float(Fraction(seconds).limit_denominator(10**9)), ".9f").rstrip("0").rstrip(".") + "s" if seconds else "0"


def _size(count: int) -> str:
    """The largest unit of which it is a whole number."""
    return next((f"{count // factor}{unit}" for factor, unit in _UNITS if count and count % factor == 0), str(count))
