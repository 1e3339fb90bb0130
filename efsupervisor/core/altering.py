"""What is to be, said by clients: tasks, flows, groups, schedules and settings that are added or deleted, and the file that is read again.

Each request becomes a configuration that is to be in force: what was saved with one part more, less or other, put together with the file.  It is
verified as a file would be, and core/updating.py makes it so, or nothing of it.

What the file says can only be changed in the file: the next reading of it would take back what a command did, and a person who looks at the file
would be deceived.  Such a request is refused with a sentence that names the file.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from efsupervisor.conf.schema import Config, FlowSpec, GroupSpec, ScheduleSpec, TaskSpec
from efsupervisor.core.changes import IN_PLACE, RESTARTS, difference, limited, looks_cut_off, meant, reduced, removals, still_in_a_flow
from efsupervisor.core.configuration import Found, Reread
from efsupervisor.core.core import Core
from efsupervisor.core.frames import done_frames, paged
from efsupervisor.core.memory import Asked
from efsupervisor.core.saved import FLOW, GROUP, SCHEDULE, SETTING, TASK, Merged, merge, put, with_setting, without
from efsupervisor.core.store_rows import Saved, Scale
from efsupervisor.core.tasks import Task
from efsupervisor.core.updating import Updating
from efsupervisor.core.waiting import Pending
from efsupervisor.errors import Code, EfError
from efsupervisor.messages import (
    AddFlowRequest,
    AddTaskRequest,
    Change,
    DelFlowRequest,
    DelGroupRequest,
    DelScheduleRequest,
    DelTaskRequest,
    DifferenceReply,
    FailedReply,
    Outcome,
    RereadRequest,
    ScaleRequest,
    SetGroupRequest,
    SetScheduleRequest,
    SetSettingRequest,
)
from efsupervisor.states import Goal
from efsupervisor.system import folded, short_id

MAX_INSTANCES = 10_000
P = TypeVar("P", TaskSpec, FlowSpec, GroupSpec, ScheduleSpec)


class Altering:
    """Changes one Core's configuration on behalf of clients."""

    def __init__(self, core: Core, updating: Updating, reread: Reread) -> None:
        self._core = core
        self._updating = updating
        self._reread = reread

    # Tasks ----------------------------------------------------------------------------------------------------------------------------------------

    def add_task(self, asked: Asked, request: AddTaskRequest) -> None:
        """A new task, or another spec for an added one."""
        if request.spec.instances != 1:
            raise EfError("a task that is added is one; `instances` can be said in the configuration file", Code.USAGE)
        spec, replaces = self._free(TASK, request.spec, self._core.config.tasks, replace=request.replace)
        leaving = self._core.registry.by_name(spec.name)
        if leaving is not None and not leaving.configured and leaving.remove:
            raise EfError(f"task {spec.name} is just being removed: try again when it is stopped", Code.BAD_STATE)
        saved = msgspec.structs.replace(self._saved, tasks=put(self._saved.tasks, spec))
        changes = self._verified(saved, spec, str(asked), lambda: self._core.store.put_task(spec))
        _answer(asked, request.id, spec.name, _said("replaced" if replaces else "added", TASK, spec.name, changes))

    def del_task(self, asked: Asked, request: DelTaskRequest) -> None:
        """Stop added tasks and forget them with their folders."""
        core = self._core
        tasks, outcomes = core.registry.named(request.names)
        going = []
        named = {folded(task.name) for task in tasks}
        for task in tasks:
            why = self._who_needs_it(task.name, named) or self._why_it_stays(task.name)
            if why:
                outcomes.append(Outcome(task=task.name, ok=False, code=Code.REFUSED, sentence=why))
            else:
                going.append(task)
        if not going:
            asked.reply(done_frames(request.id, outcomes))
            return
        self._remove(asked, request.id, going, outcomes)

    def _remove(self, asked: Asked, request_id: str, going: list[Task], outcomes: list[Outcome]) -> None:
        names = [task.name for task in going]
        pending = Pending(Goal.TRM, len(going), outcomes, lambda done: asked.reply(_removed(request_id, done)))

        def save() -> None:
            for name in names:
                self._core.store.del_task(name)

        for task in going:
            task.remove = True
        try:
            saved = msgspec.structs.replace(self._saved, tasks=without(self._saved.tasks, names))
            self._apply_merged(self._merged(saved), str(asked), save, pending)
        except (EfError, OSError):
            for task in going:
                task.remove = False
            raise

    def _who_needs_it(self, name: str, going: set[str]) -> str:
        """A task that depends on it and is not going too."""
        merged = self._core.merged
        needing = (spec for spec in merged.config.tasks if folded(name) in map(folded, spec.depends_on))
        for spec in needing:
            if merged.origin(TASK, spec.name) == "file":
                return f"task {spec.name} of {merged.file.source} depends on it"
            if folded(spec.name) not in going:
                return f"task {spec.name} depends on it: delete that first"
        return ""

    def _why_it_stays(self, name: str) -> str:
        merged = self._core.merged
        if merged.origin(TASK, name) == "file":
            return f"it stands in the configuration: take it out of {merged.file.source}, then `efctl update`"
        flow = next((flow for flow in merged.config.flows if folded(name) in map(folded, (*flow.producers, *flow.consumers))), None)
        if flow is None:
            return ""
        where = f"of {merged.file.source}" if merged.origin(FLOW, flow.name) == "file" else "that was added by command: delete that first"
        return f"it is part of the flow {flow.name} {where}"

    def scale(self, asked: Asked, request: ScaleRequest) -> None:
        """Another number of instances of an entry of the file."""
        from efsupervisor.conf.scaling import names_of, unfit  # late: it brings the tables' fields, for those who scale something

        core = self._core
        entry, count = self._entry(request.task), request.instances
        if not 1 <= count <= MAX_INSTANCES:
            raise EfError(f"{entry.name} can have 1 to {MAX_INSTANCES:,} instances; say `efctl trm {entry.name}` to stop all of them", Code.USAGE)
        why = unfit(msgspec.structs.replace(core.merged.file, tasks=self._others(entry)), entry, count)
        if why:
            raise EfError(f"{entry.name} cannot have {count} instances: {why}", Code.BAD_STATE)
        here, then = [spec.name for spec in core.config.tasks if spec.group == entry.name], names_of(entry, count)
        outcomes = [Outcome(task=name, ok=True, sentence="added") for name in then if name not in here]
        going = [name for name in here if name not in then]
        if not outcomes and not going:
            _answer(asked, request.id, entry.name, f"has {count} instances already")
            return
        scale = Scale(task=entry.name, instances=count, written=entry.instances)
        saved = msgspec.structs.replace(self._saved, scales={**self._saved.scales, short_id(entry.name): scale})
        pending = Pending(Goal.TRM, len(going), outcomes, lambda done: asked.reply(_removed(request.id, done)))
        core.log.info(f"{entry.name}: {count} instances instead of {len(here)}, asked by {asked}")
        self._apply_merged(self._merged(saved), str(asked), lambda: core.store.set_scale(scale), pending if going else None)
        if not going:
            asked.reply(done_frames(request.id, outcomes))

    def _entry(self, name: str) -> TaskSpec:
        """The entry whose instances are meant."""
        from efsupervisor.conf.scaling import entry_of  # late, as above

        core = self._core
        entry = entry_of(core.merged.file, name)
        if entry is not None:
            return entry
        if core.config.daemon is not None:
            raise EfError(f"{core.merged.file.source} is a supervisord.conf: change numprocs there, then `efctl update`", Code.REFUSED)
        task = core.registry.by_name(name)
        if task is None:
            raise EfError(f"{name[:64]}: no task has this name", Code.NO_SUCH_TASK)
        whole = task.spec.group or task.name
        said = f"say `efctl scale {whole} N`" if task.spec.group else "write `instances: 2` there, then `efctl update`"
        raise EfError(f"{task.name} is one task: {said}", Code.REFUSED)

    def _others(self, entry: TaskSpec) -> list[TaskSpec]:
        """Every task but for those that are instances of the entry beyond what the file says."""
        written = {folded(spec.name) for spec in self._core.merged.file.tasks}
        return [spec for spec in self._core.config.tasks if folded(spec.name) in written or spec.group != entry.name]

    # Flows, groups, schedules -----------------------------------------------------------------------------------------------------------------------

    def add_flow(self, asked: Asked, request: AddFlowRequest) -> None:
        """A new flow between tasks that are there."""
        core = self._core
        flow, replaces = self._free(FLOW, request.flow, core.config.flows, replace=request.replace)
        saved = msgspec.structs.replace(self._saved, flows=put(self._saved.flows, flow))
        changes = self._verified(saved, flow, str(asked), lambda: core.store.put_flow(flow))
        _answer(asked, request.id, flow.name, _said("replaced" if replaces else "added", FLOW, flow.name, changes))

    def del_flow(self, asked: Asked, request: DelFlowRequest) -> None:
        """Forget added flows."""
        self._delete(asked, request.id, FLOW, request.names, "flows", self._core.config.flows, self._core.store.del_flow)

    def set_group(self, asked: Asked, request: SetGroupRequest) -> None:
        """Make or replace an added group."""
        core = self._core
        group, replaces = self._free(GROUP, request.group, core.config.groups, replace=True)
        saved = msgspec.structs.replace(self._saved, groups=put(self._saved.groups, group))
        changes = self._verified(saved, group, str(asked), lambda: core.store.put_group(group))
        _answer(asked, request.id, group.name, _said("replaced" if replaces else "added", GROUP, group.name, changes))

    def del_group(self, asked: Asked, request: DelGroupRequest) -> None:
        """Forget added groups."""
        self._delete(asked, request.id, GROUP, request.names, "groups", self._core.config.groups, self._core.store.del_group)

    def set_schedule(self, asked: Asked, request: SetScheduleRequest) -> None:
        """Make or replace an added schedule."""
        core = self._core
        schedule, replaces = self._free(SCHEDULE, request.schedule, core.config.schedules, replace=True)
        saved = msgspec.structs.replace(self._saved, schedules=put(self._saved.schedules, schedule))
        changes = self._verified(saved, schedule, str(asked), lambda: core.store.put_schedule(schedule))
        _answer(asked, request.id, schedule.name, _said("replaced" if replaces else "added", SCHEDULE, schedule.name, changes))

    def del_schedule(self, asked: Asked, request: DelScheduleRequest) -> None:
        """Forget added schedules."""
        self._delete(asked, request.id, SCHEDULE, request.names, "schedules", self._core.config.schedules, self._core.store.del_schedule)

    def _delete(self, asked: Asked, request_id: str, noun: str, names: list[str], key: str, present: Any, forget: Any) -> None:
        merged, outcomes, going = self._core.merged, [], []
        known = {folded(part.name): part.name for part in present}
        for name in names:
            found = known.get(folded(name))
            if found is None:
                outcomes.append(Outcome(task=name[:64], ok=False, code=Code.NO_SUCH_TASK, sentence=f"there is no {noun} of this name"))
            elif merged.origin(noun, found) == "file":
                sentence = f"it stands in the configuration: take it out of {merged.file.source}, then `efctl update`"
                outcomes.append(Outcome(task=found, ok=False, code=Code.REFUSED, sentence=sentence))
            else:
                going.append(found)
        if going:

            def save() -> None:
                for name in going:
                    forget(name)

            changes = self._apply(msgspec.structs.replace(self._saved, **{key: without(getattr(self._saved, key), going)}), str(asked), save)
            outcomes += [Outcome(task=name, ok=True, sentence=_said("deleted", noun, name, changes)) for name in going]
        asked.reply(done_frames(request_id, outcomes))

    # Settings -------------------------------------------------------------------------------------------------------------------------------------

    def set_setting(self, asked: Asked, request: SetSettingRequest) -> None:
        """Set one setting, or go back to what the file says."""
        from efsupervisor.conf.settings import known, text_of  # late: 600 KiB of tables, for those who set something

        core, key = self._core, known(request.key)
        settings = {name: text for name, text in self._saved.settings.items() if name != key}
        if request.value is not None:
            with_setting(core.config.supervisor, key, request.value)
            settings[key] = request.value
        new = self._merged(msgspec.structs.replace(self._saved, settings=settings))
        if request.value is not None and (SETTING, key) not in new.added:
            raise EfError(new.aside[-1] if new.aside else f"{key} cannot be set now", Code.CONFIG)
        self._apply_merged(new, str(asked), lambda: core.store.set_setting(key, request.value))
        value = text_of(core.config.supervisor, key)
        _answer(asked, request.id, key, f"is {value} now" + ("" if request.value is not None else ", as the configuration says"))

    # The file again -------------------------------------------------------------------------------------------------------------------------------

    def reread(self, asked: Asked, request: RereadRequest) -> None:
        """Read the file in a child; answer when that is done.  What is to be taken away needs no file."""
        if request.remove:
            self._read(asked, request, Found(self._without(request.only), True))
            return
        self._reread.ask(lambda answer: self._read(asked, request, answer))

    def _read(self, asked: Asked, request: RereadRequest, answer: Found | EfError) -> None:
        try:
            if isinstance(answer, EfError):
                raise answer
            changes = self._updated(asked, request, answer)
        except EfError as error:
            _fail(asked, request.id, error.code, error.message)
        except OSError as error:
            _fail(asked, request.id, Code.SYSTEM, f"nothing was changed: {error}")
        else:
            applied = request.apply or request.remove
            asked.reply(paged(changes, lambda part, more: DifferenceReply(id=request.id, changes=part, applied=applied, more=more)))

    def _updated(self, asked: Asked, request: RereadRequest, found: Found) -> list[Change]:
        core, file = self._core, found.config
        if core.ending:
            raise EfError("the supervisor is shutting down", Code.BAD_STATE)
        if request.only and not request.remove:
            file = limited(core.merged.file, file, frozenset(map(folded, request.only)))
        flow = still_in_a_flow(file)
        if flow and request.only:
            raise EfError(f"the flow {flow} has a task that would not be there: update everything at once", Code.BAD_STATE)
        moved = _moved(core.merged.file, file)
        kept = msgspec.structs.replace(file.supervisor, var=core.merged.file.supervisor.var)
        file = msgspec.structs.replace(file, supervisor=kept)
        new = merge(file, self._saved, with_setting, core.types)
        changes = difference(core.config, new.config)
        if not request.apply and not request.remove:
            return changes + moved
        if not request.accept_removals and not request.remove:
            self._refuse_a_loss(changes, file, found.ended)
        core.log.info(f"update from {file.source}, asked by {asked}")
        changes = self._updating.apply(new, f"update ({asked})", core.store.flush)
        if request.restart:
            self._updating.begin_anew(f"reload ({asked})")
        return changes + moved

    def _without(self, only: list[str]) -> Config:
        """The file as it was read, less these tasks, which must be at rest."""
        core, names = self._core, frozenset(map(folded, only))
        going = [spec for spec in core.config.tasks if meant(spec, names)]
        added = next((spec.name for spec in going if core.merged.origin(TASK, spec.name) != "file"), "")
        if added:
            raise EfError(f"task {added} was added by command: say `efctl del {added}`", Code.REFUSED)
        if not going:
            raise EfError(f"there is no task and no group {only[0][:64] if only else ''}", Code.NO_SUCH_TASK)
        running = next((task.name for spec in going if (task := core.registry.by_name(spec.name)) is not None and not task.report.state.at_rest), "")
        if running:
            raise EfError(f"task {running} runs: stop it first", Code.BAD_STATE)
        return reduced(core.merged.file, names)

    def _refuse_a_loss(self, changes: list[Change], file: Config, ended: bool) -> None:
        """A file that was cut off must stop nothing; a person who means it can say so."""
        lost = removals(changes, {folded(task.name): task.goal for task in self._core.registry if task.configured})
        cut = bool(lost.removed) and not ended and looks_cut_off(self._core.merged.file, file)
        if not (lost.too_many or cut):
            return
        names = ", ".join(lost.removed[:10]) + (" ..." if len(lost.removed) > 10 else "")
        hint = " (or end the file with a line `...`)" if cut and not lost.too_many else ""
        raise EfError(
            f"{file.source} no longer has {len(lost.removed)} of {lost.running} running tasks ({names}): if it was not cut off and this is meant, "
            f"accept it with --yes{hint}; nothing was changed",
            Code.BAD_STATE,
        )

    # All of them ----------------------------------------------------------------------------------------------------------------------------------

    @property
    def _saved(self) -> Saved:
        return self._core.store.saved()

    def _free(self, noun: str, part: P, present: list[P], *, replace: bool) -> tuple[P, bool]:
        """The part as it is kept, and whether it takes an added one's place.  EfError when the file or another has its name."""
        from efsupervisor.core.verify import named, with_own_names  # late: 600 KiB of tables, for those who add something

        part = with_own_names(self._core.config, named(part))
        if any(folded(each.name) == folded(part.name) for each in present):
            if self._core.merged.origin(noun, part.name) == "file":
                source = self._core.merged.file.source
                raise EfError(f"{noun} {part.name} stands in {source}: change it there, then `efctl update`", Code.EXISTS)
            if not replace:
                raise EfError(f"{noun} {part.name} exists already", Code.EXISTS)
            return part, True
        others: list[Any] = self._core.config.groups if noun == TASK else self._core.config.tasks if noun == GROUP else []
        if any(folded(each.name) == folded(part.name) for each in others):
            raise EfError(f"{part.name} is the name of a {GROUP if noun == TASK else TASK}; a group and a task may not share one", Code.EXISTS)
        return part, False

    def _merged(self, saved: Saved) -> Merged:
        return merge(self._core.merged.file, saved, with_setting, self._core.types)

    def _verified(self, saved: Saved, part: P, asked_by: str, save: Any) -> list[Change]:
        """Make a configuration with this part the one in force, if it could stand in a file."""
        from efsupervisor.core.verify import verify  # late: 600 KiB of tables, for those who add something

        noun = {TaskSpec: "tasks", FlowSpec: "flows", GroupSpec: "groups", ScheduleSpec: "schedules"}[type(part)]
        config = self._core.config
        types = [part.type] if isinstance(part, TaskSpec) and self._core.types(part.type) else []  # a type that does not exist is refused here
        verify(msgspec.structs.replace(config, **{noun: put(getattr(config, noun), part)}), part, types)
        return self._apply(saved, asked_by, save)

    def _apply(self, saved: Saved, asked_by: str, save: Any) -> list[Change]:
        return self._apply_merged(self._merged(saved), asked_by, save)

    def _apply_merged(self, new: Merged, asked_by: str, save: Any, removing: Pending | None = None) -> list[Change]:
        core = self._core
        if core.ending:
            raise EfError("the supervisor is shutting down", Code.BAD_STATE)

        def save_and_flush() -> None:
            save()
            core.store.flush()

        return self._updating.apply(new, asked_by, save_and_flush, removing)


def _moved(old: Config, new: Config) -> list[Change]:
    """`var` cannot change while the supervisor runs."""
    if old.supervisor.var == new.supervisor.var:
        return []
    return [Change(noun=SETTING, name="var", what="changed", fields=["var"], effect="at the next start of efsupervisord")]


def _said(done: str, noun: str, name: str, changes: list[Change]) -> str:
    """What came of it, and which other tasks are restarted for it."""
    own = next((change for change in changes if change.noun == noun and folded(change.name) == folded(name)), None)
    others = [change for change in changes if change.noun == TASK and change is not own]
    again = [change.name for change in others if change.effect == RESTARTS]
    effect = "" if own is None or noun != TASK else ", in place" if own.effect == IN_PLACE else f"; it {own.effect}"
    sentence = done + effect
    return sentence + (f"; {', '.join(again)} restarted, for a running program cannot be given its first input" if again else "")


def _removed(request_id: str, outcomes: list[Outcome]) -> Any:
    said = [msgspec.structs.replace(outcome, sentence="removed") if outcome.ok else outcome for outcome in outcomes]
    return done_frames(request_id, said)


def _answer(asked: Asked, request_id: str, name: str, sentence: str) -> None:
    asked.reply(done_frames(request_id, [Outcome(task=name, ok=True, sentence=sentence)]))


def _fail(asked: Asked, request_id: str, code: Code, sentence: str) -> None:
    asked.reply([FailedReply(id=request_id, code=code, sentence=sentence)])
