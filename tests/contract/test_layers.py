"""Imports run one way and make no circle; and the checker of that sees what it should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import efsupervisor
from tests.contract import layers

FOLDER = Path(next(iter(efsupervisor.__path__)))
HOUSE = layers.modules(FOLDER)


def test_the_whole_house_is_looked_at() -> None:
    assert {"errors", "messages", "system", "cli.main", "core", "task", "journal", "conf.schema"} <= {module.name for module in HOUSE}


def test_imports_run_one_way() -> None:
    assert layers.wrong_way(HOUSE, layers.MAY_IMPORT) == []


def test_imports_make_no_circle() -> None:
    assert layers.circles(HOUSE) == []


def test_every_module_is_written_as_the_house_style_wants() -> None:
    assert [finding for module in HOUSE for finding in layers.badly_written(module)] == []


def test_no_rule_is_about_a_room_that_is_gone() -> None:
    names = {module.name for module in HOUSE}
    assert [room for room in layers.MAY_IMPORT if room not in names] == []


def test_the_rules_themselves_make_no_circle() -> None:
    for room, allowed in layers.MAY_IMPORT.items():
        assert all(room not in layers.MAY_IMPORT[lower] for lower in allowed), room


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [("efsupervisor.cli.main", "click yaml efsupervisor.task efsupervisor.core"), ("efsupervisor.journal", "yaml click socket")],
)
def test_what_must_be_light_to_import_is(module: str, unwanted: str) -> None:
    program = f"import sys, {module}\nprint([name for name in {unwanted.split()} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=FOLDER.parent)
    assert done.stdout == "[]\n"


# The checker is checked ---------------------------------------------------------------------------------------------------------------------------

ROOMS = {"": frozenset[str](), "low": frozenset[str](), "low.odd": frozenset({"high"}), "high": frozenset({"low"})}


def house(tmp_path: Path, files: dict[str, str]) -> list[layers.Module]:
    for name, text in {"__init__.py": "", **files}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return layers.modules(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "from efsupervisor import high",
        "import efsupervisor.high",
        "from efsupervisor.high import Thing",
        "from efsupervisor.high.deep import Thing",
        "def f():\n    from efsupervisor.high import Thing  # late",
        "if True:\n    import efsupervisor.high.deep",
    ],
)
def test_an_import_against_the_direction_is_found_in_whatever_form(tmp_path: Path, line: str) -> None:
    files = {"low/__init__.py": "", "low/a.py": line, "high/__init__.py": "", "high/deep.py": ""}
    findings = layers.wrong_way(house(tmp_path, files), ROOMS)
    assert len(findings) == 1
    assert findings[0].startswith("low.a:")


def test_an_import_in_the_direction_is_none(tmp_path: Path) -> None:
    files = {
        "low/__init__.py": "",
        "low/a.py": "from efsupervisor.low import b",
        "low/b.py": "",
        "high.py": "from efsupervisor.low.a import b\nimport os",
    }
    assert layers.wrong_way(house(tmp_path, files), ROOMS) == []


def test_a_module_may_have_a_rule_of_its_own_inside_a_room(tmp_path: Path) -> None:
    files = {"low/__init__.py": "", "low/odd.py": "import efsupervisor.high", "high.py": ""}
    assert layers.wrong_way(house(tmp_path, files), ROOMS) == []


def test_a_room_without_a_rule_is_found(tmp_path: Path) -> None:
    assert layers.wrong_way(house(tmp_path, {"new.py": ""}), ROOMS) == ["new: no rule says what this room may import"]


def test_a_circle_is_found_over_several_modules_and_late_imports(tmp_path: Path) -> None:
    files = {"a.py": "from efsupervisor import b", "b.py": "def f():\n    import efsupervisor.c", "c.py": "from efsupervisor.a import x"}
    assert layers.circles(house(tmp_path, files)) == ["a -> b -> c -> a"]


def test_an_import_for_the_type_checker_makes_no_circle(tmp_path: Path) -> None:
    files = {"a.py": "from efsupervisor import b", "b.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from efsupervisor.a import x"}
    assert layers.circles(house(tmp_path, files)) == []


@pytest.mark.parametrize(
    "text",
    [
        "x = 1",
        '"""D."""\nfrom . import x',
        '"""D."""\ndef f():\n    import os\n',
        '"""D."""\ntry:\n    f()\nexcept:\n    g()',
        '"""D."""\ntry:\n    f()\nexcept OSError:\n    pass',
        '"""D."""\nimport time\ntime.sleep(1)',
        '"""D."""\nimport pickle',
        '"""D."""\nfrom pickle import loads',
    ],
)
def test_what_the_style_forbids_is_found(tmp_path: Path, text: str) -> None:
    module = next(module for module in house(tmp_path, {"a.py": text}) if module.name == "a")
    assert len(layers.badly_written(module)) == 1


def test_what_the_style_allows_is_not_found(tmp_path: Path) -> None:
    text = '"""D."""\ndef f():\n    import os  # late: heavy\n    try:\n        f()\n    except OSError:\n        return\n'
    module = next(module for module in house(tmp_path, {"a.py": text}) if module.name == "a")
    assert layers.badly_written(module) == []
