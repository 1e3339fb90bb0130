"""docs/formats.rst says what is on disk: each table of bytes is held against the structure that the code packs."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from efsupervisor.core import home, wiring
from efsupervisor.core.wiring import EdgeFile
from efsupervisor.journal import claimlog, folder, fragments, index, packed
from efsupervisor.task import dead, delivery, lives, queue, record
from efsupervisor.task.dead import DeadLetter
from efsupervisor.task.paths import TaskPaths

PAGE = (Path(__file__).parents[2] / "docs" / "formats.rst").read_text(encoding="utf-8")
CRC = "I"

LAYOUTS = {
    "compressed table": packed._ABOUT.format + "I",
    "index header": index._HEADER.format,
    "index entry": index._ENTRY.format,
    "fragments header": fragments._HEADER.format,
    "fragment": fragments._RECORD.format,
    "claims header": claimlog.HEADER.format,
    "claims record": claimlog.RECORD.format,
    "delivery header": delivery.HEADER.format,
    "delivery edge": delivery.EDGE.format,
    "delivery run": delivery.RUN.format,
    "life": lives._BODY.format + CRC,
    "put id": queue._RECORD.format + CRC,
    "dead letter settled": dead._RECORD.format + CRC,
}


def table(name: str) -> list[tuple[int, int]]:
    """(at, size) of each row below a mark."""
    text = PAGE[PAGE.index(f".. layout: {name}\n") :].split("\n\n")[1]
    return [(int(at), int(size)) for at, size in re.findall(r"^(\d+) +(\d+) ", text, re.MULTILINE)]


def sizes(layout: str) -> list[int]:
    """Bytes of each item of a structure."""
    return [struct.calcsize("<" + item) for item in re.findall(r"\d*[a-zA-Z]", layout.lstrip("<"))]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_table_of_bytes_is_what_the_code_packs(name: str) -> None:
    rows = table(name)
    assert [size for _, size in rows] == sizes(LAYOUTS[name])
    assert [at for at, _ in rows] == [sum(size for _, size in rows[:row]) for row in range(len(rows))]


def test_every_table_is_held_against_the_code() -> None:
    assert re.findall(r"^\.\. layout: (.*)$", PAGE, re.MULTILINE) == [
        "compressed table", "index header", "index entry",
        "fragments header", "fragment", "claims header", "claims record", "delivery header", "delivery edge",
        "delivery run", "life", "put id", "dead letter settled",
    ]  # fmt: skip


def test_every_format_is_at_its_first_version() -> None:
    versions = [
        index._VERSION,
        fragments._VERSION,
        packed._VERSION,
        claimlog._VERSION,
        folder.VERSION,
        delivery.VERSION,
        lives.VERSION,
        record.VERSION,
        wiring.VERSION,
        home.VERSION,
    ]
    assert versions == [1] * len(versions), "a page for a new version says what is read of the old one"


@pytest.mark.parametrize("kind", [record.ProgramRecord, EdgeFile, home.CoreRecord, DeadLetter, folder.Head], ids=lambda kind: kind.__name__)
def test_every_member_of_a_json_file_is_named(kind: type) -> None:
    assert [name for name in kind.__struct_fields__ if f"``{name}``" not in PAGE] == []  # type: ignore[attr-defined]


def test_every_path_of_a_task_is_named() -> None:
    paths = TaskPaths("/t")
    names = {getattr(paths, name) for name, value in vars(TaskPaths).items() if isinstance(value, property) and name not in ("id", "fifos")}
    missing = [path for path in names if not re.search(rf"\b{re.escape(path.rpartition('/')[2])}\b", PAGE)]
    assert missing == []


def test_marks_and_limits_are_as_the_page_says() -> None:
    for mark in (index._MAGIC, fragments._MAGIC, claimlog._MAGIC, delivery.MAGIC):
        assert f"``{mark.decode()}``" in PAGE
    assert (delivery.SLOT_BYTES, queue._LOOK_BACK) == (16 << 10, 10_000)
    assert {int(kind): kind.name.lower().replace("_", " ") for kind in claimlog.Kind}.items() == {
        int(number): words for number, words in re.findall(r"(\d) (claim|return|acknowledged|member gone|next|free)\b", PAGE[PAGE.index("Kinds:") :])
    }.items()
