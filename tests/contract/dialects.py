"""Every verb said in each dialect: what must come out, a line of the console, the fields as JSON, and the words of efctl (None: own-made there)."""

from __future__ import annotations

from typing import NamedTuple

from efsupervisor import interface
from efsupervisor.interface import conf, daemon, dlq, flow, group, help, instance, queue, recovery, resource, result, schedule, stdin, task, tree, why
from efsupervisor.interface.verb import Verb


class Example(NamedTuple):
    """One command.  console, efctl: None where it cannot be said there."""

    verb: Verb
    console: str | None
    fields: dict[str, object]
    efctl: str | None = None


EXAMPLES = [
    Example(task.TaskStatusVerb(), "shw status", {}, "status"),
    Example(task.TaskStatusVerb(names=["a", "b", "c*"]), "shw status a, b c*", {"names": ["a", "b", "c*"]}, "status a,b c*"),
    Example(why.TaskWhy(task="a"), "shw why a", {"task": "a"}, "why a"),
    Example(tree.TaskTree(names=["a"], limit=9), "shw tree a limit=9", {"names": ["a"], "limit": 9}, "tree a --limit 9"),
    Example(daemon.DaemonUpgrade(), "set upgrade", {}, "daemon upgrade"),
    Example(task.TaskShow(names=["이벤트"]), "SHW Task 이벤트", {"names": ["이벤트"]}, "show 이벤트"),
    Example(task.Act(names=["all"]), "act all", {"names": ["all"]}, "act all"),
    Example(task.Act(names=["a"], wait=False), "act a wait=off", {"names": ["a"], "wait": False}, "act a --no-wait"),
    Example(
        task.Act(names=["a"], until="completed", anew=True),
        "act a until=completed anew=yes",
        {"names": ["a"], "until": "completed", "anew": True},
        "act a --until completed --anew",
    ),
    Example(task.Trm(names=["a", "b"]), "trm a,b", {"names": ["a", "b"]}, "trm a b"),
    Example(task.Restart(names=["a"]), "rst a", {"names": ["a"]}, "restart a"),
    Example(
        task.Restart(names=["w"], rolling=True, max_unavailable=2),
        "rst w rolling=yes max_unavailable=2",
        {"names": ["w"], "rolling": True, "max_unavailable": 2},
        "restart w --rolling --max-unavailable 2",
    ),
    Example(instance.TaskScale(task="w", instances=3), "set scale w 3", {"task": "w", "instances": 3}, "scale w 3"),
    Example(instance.TaskPid(names=["a"]), "shw pid a", {"names": ["a"]}, "pid a"),
    Example(
        task.TaskAdd(task="web", program=["python3", "-u", "web.py", "--port=80"], settings={"stopwaitsecs": "3s", "input.window": "8"}),
        "add task web stopwaitsecs=3s input.window=8 -- python3 -u web.py --port=80",
        {"task": "web", "program": ["python3", "-u", "web.py", "--port=80"], "settings": {"stopwaitsecs": "3s", "input.window": "8"}},
        "add web stopwaitsecs=3s input.window=8 -- python3 -u web.py --port=80",
    ),
    Example(
        task.TaskAdd(task="web", settings={"command": "python3 'a b.py'"}, replace=True),
        "add task web command=\"python3 'a b.py'\" replace=yes",
        {"task": "web", "settings": {"command": "python3 'a b.py'"}, "replace": True},
        "add web \"command=python3 'a b.py'\" --replace",
    ),
    Example(
        task.TaskSet(task="web", settings={"autostart": "no"}, unset=["user", "environment.TZ"]),
        "set task web autostart=no unset=user,environment.TZ",
        {"task": "web", "settings": {"autostart": "no"}, "unset": ["user", "environment.TZ"]},
        "set web autostart=no --unset user --unset environment.TZ",
    ),
    Example(task.TaskDel(names=["web"]), "del task web", {"names": ["web"]}, "del web"),
    Example(task.TaskLog(task="a", stream="err", lines=3), "shw log a stream=err lines=3", {"task": "a", "stream": "err", "lines": 3}),
    Example(task.TaskSignal(signal="HUP", names=["a", "b"]), "set signal HUP a,b", {"signal": "HUP", "names": ["a", "b"]}, "signal HUP a b"),
    Example(task.TaskClear(names=["a"]), "del log a", {"names": ["a"]}, "clear a"),
    Example(task.TaskHistory(names=["a"], limit=5), "shw history a limit=5", {"names": ["a"], "limit": 5}, "history a --limit 5"),
    Example(flow.FlowShow(), "shw flow", {}, "flow ls"),
    Example(flow.FlowStatus(names=["f"], over=0.5), "shw rate f over=0.5", {"names": ["f"], "over": 0.5}, "flow status f --over 0.5"),
    Example(flow.FlowGraph(), "shw graph", {}, "flow graph"),
    Example(
        queue.QueueLive(names=["a"], directions=["in", "err"], limit=9),
        "shw live a directions=in,err limit=9",
        {"names": ["a"], "directions": ["in", "err"], "limit": 9},
        "live a --directions in,err --limit 9",
    ),
    Example(
        flow.FlowAdd(flow="f", producers=["a", "b"], consumers=["c"], settings={"mode": "share"}),
        "set flow f from=a,b to=c mode=share",
        {"flow": "f", "producers": ["a", "b"], "consumers": ["c"], "settings": {"mode": "share"}},
        "flow add f a,b c mode=share",
    ),
    Example(flow.FlowRun(flow="f"), "run flow f", {"flow": "f"}, "flow run f"),
    Example(flow.FlowDel(names=["f"]), "del flow f", {"names": ["f"]}, "flow del f"),
    Example(group.GroupShow(names=["g"]), "shw group g", {"names": ["g"]}, "group ls g"),
    Example(group.GroupSet(group="g", tasks=["a", "b*"]), "set group g a,b*", {"group": "g", "tasks": ["a", "b*"]}, "group set g a b*"),
    Example(group.GroupDel(names=["g"]), "del group g", {"names": ["g"]}, "group del g"),
    Example(schedule.ScheduleShow(), "shw schedule", {}, "schedule ls"),
    Example(
        schedule.ScheduleSet(schedule="night", cron="0 3 * * *", act=["a", "b"], timezone="Asia/Seoul"),
        "set schedule night 0 3 * * * act=a,b timezone=Asia/Seoul",
        {"schedule": "night", "cron": "0 3 * * *", "act": ["a", "b"], "timezone": "Asia/Seoul"},
        "schedule set night '0 3 * * *' --act a,b --timezone Asia/Seoul",
    ),
    Example(
        schedule.ScheduleSet(schedule="night", cron="0 3 * * *", flows=["etl"], missed="all", overlap="queue"),
        "set schedule night 0 3 * * * run=etl missed=all overlap=queue",
        {"schedule": "night", "cron": "0 3 * * *", "flows": ["etl"], "missed": "all", "overlap": "queue"},
        "schedule set night '0 3 * * *' --flows etl --missed all --overlap queue",
    ),
    Example(schedule.ScheduleDel(names=["night"]), "del schedule night", {"names": ["night"]}, "schedule del night"),
    Example(stdin.StdinPut(task="a", text="x=1 y"), "set stdin a 'x=1' y", {"task": "a", "text": "x=1 y"}),
    Example(stdin.StdinPut(task="a", text="t", put_id="p1"), "set stdin a t put_id=p1", {"task": "a", "text": "t", "put_id": "p1"}),
    Example(stdin.StdinShow(names=["a"]), "shw stdin a", {"names": ["a"]}, "stdin a"),
    Example(queue.QueueShow(), "shw queue", {}, "queue ls"),
    Example(queue.QueueClear(names=["a"]), "del queue a", {"names": ["a"]}, "queue clear a"),
    Example(dlq.DlqList(names=["a"]), "shw dlq a", {"names": ["a"]}, "dlq ls a"),
    Example(dlq.DlqShow(task="a", letter=7), "shw letter a 7", {"task": "a", "letter": 7}, "dlq show a 7"),
    Example(dlq.DlqRetry(task="a", letter="all"), "set dlq a all", {"task": "a", "letter": "all"}, "dlq retry a all"),
    Example(dlq.DlqDrop(task="a", letter="7"), "del dlq a 7", {"task": "a", "letter": "7"}, "dlq drop a 7"),
    Example(conf.ConfShow(keys=["web", "history"]), "shw conf web,history", {"keys": ["web", "history"]}, "conf show web history"),
    Example(conf.ConfSet(key="web.port", value="8080"), "set conf web.port=8080", {"key": "web.port", "value": "8080"}, "conf set web.port 8080"),
    Example(conf.ConfSet(key="web.port"), "set conf web.port", {"key": "web.port"}, "conf set web.port"),
    Example(conf.ConfCheck(), "shw check", {}),
    Example(conf.ConfReread(), "shw reread", {}, "reread"),
    Example(conf.ConfUpdate(yes=True), "set update yes=yes", {"yes": True}, "update --yes"),
    Example(conf.ConfUpdate(only=["a"]), "set update a", {"only": ["a"]}, "update a"),
    Example(conf.ConfRemove(names=["a"]), "del conf a", {"names": ["a"]}, "conf remove a"),
    Example(resource.ResourceShow(names=["a"], samples=2), "shw resource a samples=2", {"names": ["a"], "samples": 2}, "resource a --samples 2"),
    Example(result.ResultShow(limit=3), "shw result limit=3", {"limit": 3}, "result --limit 3"),
    Example(
        recovery.RecoveryRun(task="a", text="some event", timeout_s=90.0),
        "set recovery a some event timeout_s=1m30s",
        {"task": "a", "text": "some event", "timeout_s": 90},
        "recovery a 'some event' --timeout 90",
    ),
    Example(recovery.RecoveryShow(), "shw recovery", {}, "recoveries"),
    Example(daemon.DaemonVersion(), "shw version", {}),
    Example(daemon.DaemonServices(), "shw service", {}, "services"),
    Example(daemon.DaemonLog(lines=5), "shw daemon lines=5", {"lines": 5}),
    Example(
        daemon.DaemonEvents(names=["a"], since=7, wait_s=120.0, what=["state", "alert"]),
        "shw event a since=7 wait_s=2m what=state,alert",
        {"names": ["a"], "since": 7, "wait_s": 120, "what": ["state", "alert"]},
    ),
    Example(daemon.DaemonShutdown(), None, {}),
    Example(daemon.DaemonReload(), "set reload", {}, "reload"),
    Example(daemon.DaemonEmit(topic="k", text="a b"), "set event k a b", {"topic": "k", "text": "a b"}, "emit k 'a b'"),
    Example(help.HelpTopic(topic=["flow", "add"]), "hlp flow add", {"topic": ["flow", "add"]}),
]

UNSAID = [name for name in interface.VERBS if not any(example.verb.name == name for example in EXAMPLES)]
"""Verbs without an example: none."""
