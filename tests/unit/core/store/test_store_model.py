"""Whatever is done in whatever order, and wherever it ends: the file holds a state that was said to be saved, or a later one."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from efsupervisor.conf.schema import FlowSpec, GroupSpec, ScheduleSpec
from efsupervisor.core.store import Store
from efsupervisor.core.store_rows import Intent, LastTime, Saved
from efsupervisor.states import Goal
from efsupervisor.system import short_id
from tests.support.stores import asides, opened, run, task

NAMES = st.sampled_from(["a", "b", "Ä", "長い"])
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


class Commands(RuleBasedStateMachine):
    """A store beside a plain model of it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.store: Store
        self.model = Saved()
        self.runs = self.listed = 0

    @initialize()
    def begin(self) -> None:
        self.store = opened(self.path)

    @rule(name=NAMES, word=WORDS)
    def add_task(self, name: str, word: str) -> None:
        spec = task(name, word)
        self.store.put_task(spec)
        places = [each.name for each in self.model.tasks]
        if name in places:
            self.model.tasks[places.index(name)] = spec
        else:
            self.model.tasks.append(spec)

    @rule(name=NAMES)
    def delete_task(self, name: str) -> None:
        self.store.del_task(name)
        self.model.tasks = [each for each in self.model.tasks if each.name != name]
        self.model.intents.pop(short_id(name), None)

    @rule(name=NAMES, goal=st.sampled_from(Goal), autostart=st.booleans())
    def want(self, name: str, goal: Goal, autostart: bool) -> None:
        self.store.set_intent(name, goal, autostart=autostart)
        self.model.intents[short_id(name)] = Intent(task=name, goal=goal, autostart=autostart)

    @rule(key=NAMES, value=st.none() | WORDS)
    def set_key(self, key: str, value: str | None) -> None:
        self.store.set_setting(key, value)
        self.model.settings.pop(key, None) if value is None else self.model.settings.update({key: value})

    @rule(name=NAMES)
    def swap_others(self, name: str) -> None:
        if any(each.name == name for each in self.model.groups):
            self.store.del_flow(name)
            self.store.del_group(name)
            self.store.del_schedule(name)
            for parts in (self.model.flows, self.model.groups, self.model.schedules):
                parts[:] = [each for each in parts if each.name != name]  # type: ignore[index]
            self.model.times.pop(short_id(name), None)
        else:
            flow, group = FlowSpec(name=name, producers=["a"], consumers=["b"]), GroupSpec(name=name, tasks=["*"])
            schedule = ScheduleSpec(name=name, cron="* * * * *")
            self.store.put_flow(flow)
            self.store.put_group(group)
            self.store.put_schedule(schedule)
            self.store.scheduled(LastTime(schedule=name, wall=5.0, outcome="ok"))
            self.model.flows.append(flow)
            self.model.groups.append(group)
            self.model.schedules.append(schedule)
            self.model.times[short_id(name)] = LastTime(schedule=name, wall=5.0, outcome="ok")

    @rule(name=NAMES)
    def end_a_run(self, name: str) -> None:
        self.runs += 1
        self.listed += 1
        assert self.store.ran(run(name)).number == self.runs

    @rule()
    def flush(self) -> None:
        assert self.store.flush()

    @rule()
    def end_cleanly_and_begin_again(self) -> None:
        self.store.close()
        self.store = opened(self.path)
        assert len(self.store.history(limit=10_000)) == self.listed

    @rule()
    def crash_after_a_flush(self) -> None:
        assert self.store.flush()
        self.store._disconnect()
        self.store = opened(self.path)

    @rule()
    def lose_the_file_while_it_runs(self) -> None:
        """The listing goes with the file; its numbers, and what was commanded, do not."""
        assert self.store.flush()
        for file in (self.path / "lib").iterdir():
            file.unlink()
        self.listed = 0
        self.crash_after_a_flush()

    @invariant()
    def memory_is_the_model(self) -> None:
        if hasattr(self, "store"):
            assert self.store.saved() == self.model
            assert self.store.ailment == ""
            assert asides(self.path) == []

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            store = opened(self.path)
            assert store.saved() == self.model
            store.close()
        self.folder.cleanup()


Commands.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestCommands = Commands.TestCase
