"""docs/lifecycle.rst shows the life-cycle as it is."""

from __future__ import annotations

from efsupervisor.task.lifecycle import TABLE, Event, Phase
from tests.contract.lifecycle_page import PAGE, event_docs, meanings, page


def test_the_page_is_as_the_table_is() -> None:
    assert PAGE.read_text(encoding="utf-8") == page().rstrip("\n") + "\n", "stale: python -m tests.contract.lifecycle_page"


def test_every_phase_and_every_event_is_explained_in_the_source() -> None:
    assert set(meanings()) == {phase.name for phase in Phase}
    assert set(event_docs()) == {event.name for event in Event}


def test_every_cell_is_on_the_page() -> None:
    text = page()
    for phase, row in TABLE.items():
        section = text[text.index(f"\n{phase.name} [") :].partition("\n\n")[2].partition("]\n")[0]
        for event, then in row.items():
            assert f"- ``{event.name}`` leads to {then.phase.name}" in section, (phase, event)
