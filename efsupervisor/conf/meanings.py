"""What each key of a configuration means, in words: the one source of the tables in docs/configuration.rst, of the manual page and of the help.

A section has exactly the keys of its table in tables.py, in the same order (a test holds them together).  Texts are reStructuredText with nothing but
``literals``; a default is written as a person would write it.
"""

from __future__ import annotations

from typing import NamedTuple


class Meaning(NamedTuple):
    """One key.  kind: what its value is.  default: as written, or `required`.  text: the meaning, the end of a sentence that begins with the key."""

    kind: str
    default: str
    text: str


SUPERVISOR: dict[str, Meaning] = {
    "var": Meaning(
        "folder",
        "see text",
        "where all state and logs go.  Without it: ``../var`` for a file in a folder ``etc``, ``/var/lib/efsupervisor`` for a file "
        "below ``/etc``, else ``var`` beside the file",
    ),
    "log_level": Meaning("word", "info", "how much the daemon logs: ``debug``, ``info``, ``warning`` or ``error``"),
    "log_max_bytes": Meaning("size", "50MiB", "size at which the daemon's log begins a new file; 0 never"),
    "log_backups": Meaning("number", "5", "how many older files of the daemon's log stay"),
    "ping_s": Meaning("duration", "30s", "how often a worker is asked for a sign of life"),
    "ping_deadline_s": Meaning("duration", "5s", "how long it may take before the worker is replaced; its program goes on"),
    "shutdown_s": Meaning("duration", "0", "longest wait for all tasks at shutdown; 0 leaves it to each task's ``stopwaitsecs``"),
    "log_format": Meaning("word", "text", "``text``: lines for people.  ``json``: one JSON object a line"),
    "services": Meaning(
        "true or false",
        "true",
        "``false`` runs no siblings at all: no middle interface, no web listener, no collectors; tasks and ``efctl`` work without them",
    ),
    "heartbeat_s": Meaning("duration", "2s", "how often a sibling gives a sign of life"),
    "heartbeat_deadline_s": Meaning("duration", "4s", "how late the sign may be before the sibling is ended and replaced"),
    "history": Meaning("number", "100000", "ended runs that are remembered"),
    "alerts": Meaning("number", "10000", "alerts that are remembered"),
    "web": Meaning("mapping", "defaults", "the web listener; see below"),
    "resource": Meaning("mapping", "defaults", "the resource collector; see below"),
    "result": Meaning("mapping", "defaults", "the result collector; see below"),
    "post": Meaning("mapping", "defaults", "how collectors post; see below"),
    "xmlrpc": Meaning("mapping", "defaults", "supervisord's XML-RPC, for ``supervisorctl``; see below"),
    "parallel_starts": Meaning("number", "0", "how many tasks may be starting at once, in order of ``priority``; 0 is no bound"),
}

TASK: dict[str, Meaning] = {
    "command": Meaning(
        "words or list",
        "required",
        "the program and its arguments.  A text is split into words as a shell does, and no shell runs it; write ``[sh, -c, ...]`` for one",
    ),
    "type": Meaning("word", "process", "the kind of program, which decides how it is started and how its input and output are treated"),
    "kind": Meaning("word", "service", "``service`` runs for ever; ``job`` runs to completion"),
    "directory": Meaning("folder", "/", "working folder of the program"),
    "user": Meaning("name", "ours", "user to run as, a name or number, with ``:group`` if wanted; needs a supervisor that runs as root"),
    "umask": Meaning("octal", "022", "permissions that new files do not get"),
    "environment": Meaning(
        "mapping",
        "none",
        "variables added to a clean list (``PATH``, ``LANG``, ``TZ``, ``HOME``, ``USER``, ``LOGNAME``, ``SHELL``).  A program also "
        "finds ``EFS_TASK`` and ``EFS_INCARNATION``",
    ),
    "autostart": Meaning("true or false", "true", "started with the supervisor"),
    "autorestart": Meaning(
        "word",
        "by kind",
        "``true``, ``false``, or ``unexpected``: only after an exit status that is not in ``exitcodes``.  Services ``true``, jobs ``false``",
    ),
    "exitcodes": Meaning("number or list", "0", "exit statuses that mean success"),
    "startsecs": Meaning("duration", "1s", "life after which a start counts as successful; 0 at once"),
    "startretries": Meaning("number", "3", "failed starts in a row, after the first, before the task is FATAL"),
    "backoff_s": Meaning("duration", "100ms", "delay after the first failed start; doubled each time"),
    "backoff_max_s": Meaning("duration", "1m", "longest delay"),
    "restart_burst": Meaning("number", "10", "so many restarts within ``restart_period_s`` are immediate; more wait like failed starts"),
    "restart_period_s": Meaning("duration", "1m", "the period of ``restart_burst``"),
    "stopsignal": Meaning("signal", "TERM", "what asks the program to end"),
    "stopwaitsecs": Meaning("duration", "10s", "how long it may take before SIGKILL"),
    "priority": Meaning("number", "999", "order of starting, low first; of stopping, high first"),
    "redirect_stderr": Meaning("true or false", "false", "stderr goes where stdout goes; not possible with ``protocol: event``"),
    "drain_s": Meaning("duration", "5s", "how long a descendant that holds stdout may delay the next start"),
    "input": Meaning(
        "mapping",
        "none",
        "how the task takes events; see below.  A task at which a flow ends, or that is given events by ``efctl put``, has an "
        "input; without the section it is ``protocol: stream``",
    ),
    "output": Meaning("mapping", "defaults", "how stdout and stderr are kept; see below"),
    "stopasgroup": Meaning("true or false", "true", "the stop signal goes to the whole tree of the program; ``false``: to the program alone"),
    "killasgroup": Meaning("true or false", "true", "known for supervisord's sake: SIGKILL always goes to the whole tree of the program"),
    "stdout_logfile": Meaning(
        "file",
        "none",
        "where the log of stdout is found: a link to the file that is written now, older ones as ``.1``, ``.2`` beside it.  A device such as "
        "``/dev/stdout``, and a file that several name, is written to.  ``auto``: only the task's own folder has it; ``none``: a little of "
        "it is kept there; ``syslog``",
    ),
    "stdout_logfile_maxbytes": Meaning("size", "by output", "size at which a new file begins, 0 never; without it ``output.segment_bytes``"),
    "stdout_logfile_backups": Meaning("number", "by output", "older files of stdout that stay; without it ``output.keep_bytes``"),
    "stdout_capture_maxbytes": Meaning("size", "0", "as in supervisord, for event listeners"),
    "stdout_events_enabled": Meaning("true or false", "false", "as in supervisord, for event listeners"),
    "stdout_syslog": Meaning("true or false", "false", "each line of stdout goes to syslog too"),
    "stderr_logfile": Meaning(
        "file",
        "none",
        "where the log of stderr is found: a link to the file that is written now, older ones as ``.1``, ``.2`` beside it.  A device such as "
        "``/dev/stdout``, and a file that several name, is written to.  ``auto``: only the task's own folder has it; ``none``: a little of "
        "it is kept there; ``syslog``",
    ),
    "stderr_logfile_maxbytes": Meaning("size", "by output", "size at which a new file begins, 0 never; without it ``output.segment_bytes``"),
    "stderr_logfile_backups": Meaning("number", "by output", "older files of stderr that stay; without it ``output.keep_bytes``"),
    "stderr_capture_maxbytes": Meaning("size", "0", "as in supervisord, for event listeners"),
    "stderr_events_enabled": Meaning("true or false", "false", "as in supervisord, for event listeners"),
    "stderr_syslog": Meaning("true or false", "false", "each line of stderr goes to syslog too"),
    "strip_ansi": Meaning("true or false", "false", "terminal colours are taken out of what is written to a device or to syslog"),
    "serverurl": Meaning("URL", "none", "what the program finds as ``SUPERVISOR_SERVER_URL``"),
    "inherit_environment": Meaning("true or false", "false", "all variables of the supervisor in place of a clean list, as supervisord does"),
    "no_new_privs": Meaning("true or false", "true", "a program with ``user`` can never gain privileges again, not by set-uid files either"),
    "instances": Meaning(
        "number",
        "1",
        "as many tasks of this entry, named by ``process_name``; the entry's own name is their group.  Each finds its number as ``EFS_INSTANCE``",
    ),
    "first_instance": Meaning("number", "0", "number of the first of ``instances``"),
    "process_name": Meaning(
        "text", "see text", "name of each of ``instances``, ``%(program_name)s-%(process_num)d`` without it; ``%(process_num)02d`` has two digits"
    ),
    "ready": Meaning("mapping", "none", "when a started program counts as running; see below.  Without it: when it has lived ``startsecs``"),
    "alive": Meaning("mapping", "none", "how a running program is watched; one that is not alive is restarted; see below"),
    "hooks": Meaning("mapping", "none", "commands around the program's life; see below"),
    "max_runtime_s": Meaning("duration", "0", "a run that takes longer is ended, and has failed; 0 without limit"),
    "backoff_reset_s": Meaning("duration", "10m", "a life of this length makes the delays between restarts small again"),
    "fatal_after_burst": Meaning(
        "true or false", "false", "more than ``restart_burst`` starts within ``restart_period_s`` are FATAL; without it they wait ever longer"
    ),
    "retry_fatal_s": Meaning("duration", "0", "a task that would be FATAL is tried again after so long; 0 never"),
    "limits": Meaning(
        "mapping",
        "none",
        "resource limits of the program by their name in setrlimit(2), in small letters: ``nofile: 4096``, ``core: 0``, ``as: 1GiB``, "
        "``nproc: 100:200`` (soft and hard), ``unlimited``",
    ),
    "nice": Meaning("number", "0", "priority of the program for the processor, -20 (high) to 19 (low); 0 leaves it as it is"),
    "ionice": Meaning("text", "none", "priority for disks: ``idle``, ``best-effort:0`` (high) to ``best-effort:7``, ``realtime:0`` to ``7``"),
    "cpu_affinity": Meaning("numbers", "all", "processors on which the program may run: ``0-3,6``, or a list"),
    "oom_score_adj": Meaning("number", "0", "how readily the kernel ends the program when memory is short, -1000 (never) to 1000 (first)"),
    "groups": Meaning("name or list", "none", "groups, by name or number, that the program is in beside those of its ``user``"),
    "environment_files": Meaning(
        "file or list",
        "none",
        "files with lines ``NAME=value``, read at each start; ``environment`` goes over them.  With ``-`` before it a file may be missing",
    ),
    "secrets": Meaning(
        "mapping",
        "none",
        "``NAME: file``: the program finds a copy that only its user may read; its path is in the variable ``NAME_FILE``, the folder in "
        "``CREDENTIALS_DIRECTORY``.  What is in it is never in an argument, a variable, a log or an answer",
    ),
    "max_rss": Meaning("size", "0", "memory (resident) of the program's whole tree beyond which it is restarted; 0 without limit"),
    "max_cpu": Meaning("number", "0", "percent of one processor, over ``usage_s``, that the whole tree may use before it is restarted; 0 without limit"),  # noqa: E501
    "usage_s": Meaning("duration", "10s", "how often ``max_rss`` and ``max_cpu`` are looked at"),
    "cgroup": Meaning("mapping", "none", "limits kept by the kernel for the whole tree (cgroup v2); see below"),
    "depends_on": Meaning(
        "names or mapping",
        "none",
        "tasks or groups that come first.  It is started when each of them is as its condition says, and stopped before them.  A name alone waits "
        "for ``ready``; else ``NAME: CONDITION``: ``started`` (its program runs), ``ready`` (RUNNING), ``healthy`` (and nothing ails it), "
        "``completed`` (EXITED), ``completed_successfully`` (with a status of ``exitcodes``).  What is needed and does not run is started too",
    ),
    "restart_with": Meaning("true or false", "false", "when something that it depends on is restarted by command, it is restarted too"),
    "events": Meaning(
        "name or list",
        "none",
        "for ``type: eventlistener``: types of events that it wants, as supervisord names them (``PROCESS_STATE``, ``TICK_60``)",
    ),
    "buffer_size": Meaning(
        "number", "10", "for ``type: eventlistener``: events that may wait for its pool before the oldest is discarded (and counted)"
    ),
    "retries": Meaning("number", "0", "how often a job that failed is run again, ``backoff_s`` later and ever later up to ``backoff_max_s``"),
    "no_retry": Meaning("number or list", "none", "exit statuses of a job after which it is not run again, whatever ``retries`` says"),
    "socket": Meaning(
        "address",
        "none",
        "``unix:///path`` or ``tcp://HOST:PORT``: a listening socket that the program finds as its stdin (FastCGI).  Tasks that name the "
        "same one share it, instances too; it is opened when the first of them starts and closed when the last has "
        "stopped, and stays open while one is restarted",
    ),
    "socket_backlog": Meaning("number", "0", "connections that may wait for ``socket``; 0 for as many as the system lets"),
    "socket_mode": Meaning("octal", "0700", "permissions of ``socket``, when it is a ``unix://`` one"),
    "socket_owner": Meaning("user or user:group", "the program's", "whose ``socket`` is, when it is a ``unix://`` one"),
    "essential": Meaning(
        "true or false",
        "false",
        "when it has ended for good (EXITED or FATAL, not because somebody stopped it) the supervisor stops everything in order and ends with "
        "its exit status: 128 and the signal's number for a signal, 1 for FATAL without one.  Meant for containers, where the "
        "end should be seen from outside",
    ),
}

READY: dict[str, Meaning] = {
    "notify": Meaning("true or false", "false", "the program says it: ``READY=1`` to the socket in ``NOTIFY_SOCKET`` (sd_notify(3))"),
    "line": Meaning("pattern", "none", "a regular expression that is found in a line of stdout"),
    "tcp": Meaning("address", "none", "``HOST:PORT`` that takes a connection; the host is ``localhost`` or an address"),
    "http": Meaning("URL", "none", "``http://HOST:PORT/path`` that answers with a status of 200 to 299"),
    "exec": Meaning("words or list", "none", "a command that ends with status 0; run as the task's user"),
    "hosts": Meaning("address or list", "none", "addresses that ``tcp`` and ``http`` may name beside those of this machine"),
    "interval_s": Meaning("duration", "500ms", "time between two probes"),
    "timeout_s": Meaning("duration", "1s", "longest time for one probe"),
    "start_timeout_s": Meaning("duration", "90s", "a program that is not ready by then is ended; the start has failed"),
}

ALIVE: dict[str, Meaning] = {
    "tcp": Meaning("address", "none", "as in ``ready``"),
    "http": Meaning("URL", "none", "as in ``ready``"),
    "exec": Meaning("words or list", "none", "as in ``ready``"),
    "hosts": Meaning("address or list", "none", "as in ``ready``"),
    "interval_s": Meaning("duration", "10s", "time between two probes"),
    "timeout_s": Meaning("duration", "1s", "longest time for one probe"),
    "failures": Meaning("number", "3", "so many failed probes in a row, and the program is restarted"),
    "watchdog_s": Meaning(
        "duration", "0", "longest time between two ``WATCHDOG=1`` of the program (sd_notify(3)), which finds it as ``WATCHDOG_USEC``; 0 for none"
    ),
}

HOOKS: dict[str, Meaning] = {
    "before_start": Meaning("words or list", "none", "run before the program; when it fails, the start has failed"),
    "after_start": Meaning("words or list", "none", "run when the program is RUNNING"),
    "before_stop": Meaning("words or list", "none", "run before the stop signal; its time is part of ``stopwaitsecs``"),
    "after_exit": Meaning("words or list", "none", "run when nothing is left of a run; finds how it ended as ``EFS_EXIT_STATUS``"),
    "timeout_s": Meaning("duration", "10s", "longest time for one of them; one that takes longer is killed, and has failed"),
}

XMLRPC: dict[str, Meaning] = {
    "enabled": Meaning("true or false", "false", "whether it is served over HTTP as well; needs ``user`` and ``password``"),
    "host": Meaning("address", "127.0.0.1", "address of this machine on which it listens; its clients know no TLS, so it is one of this machine alone"),  # noqa: E501
    "port": Meaning("number", "9001", "port on which it listens; 0 takes one that is free"),
    "user": Meaning("text", "none", "who may call it over HTTP, by basic authentication"),
    "password": Meaning("text", "none", "the password, or ``{SHA}`` and the 40 hex digits of its SHA-1, as supervisord writes it"),
    "file": Meaning("file", "none", "its Unix socket, where it is not ``run/supervisor.sock`` below ``var``"),
    "mode": Meaning("octal", "0700", "permissions of the Unix socket"),
    "owner": Meaning("user", "none", "owner of the Unix socket, ``user`` or ``user:group``; without it the supervisor's own"),
    "socket_user": Meaning("text", "none", "who may call it over the Unix socket; without it everybody who may open the socket"),
    "socket_password": Meaning("text", "none", "the password for ``socket_user``"),
    "identifier": Meaning("text", "supervisor", "what the supervisor calls itself"),
}
CGROUP: dict[str, Meaning] = {
    "memory_max": Meaning("size", "0", "memory of the whole tree; a tree that needs more is ended by the kernel, and the reason says ``oom``"),
    "pids_max": Meaning("number", "0", "processes and threads of the whole tree"),
    "cpu_max": Meaning("number", "0", "percent of one processor that the whole tree may use"),
}

INPUT: dict[str, Meaning] = {
    "protocol": Meaning("word", "stream", "``stream``: bytes on stdin as from a pipe.  ``event``: one event at a time, acknowledged on stderr"),
    "window": Meaning("number", "1", "events that may be unacknowledged at once, 1 to 1024 (``event``)"),
    "ack": Meaning("word", "either", "what acknowledges: ``empty`` (an empty line on stderr), ``echo`` (the event repeated there) or ``either``"),
    "max_deliveries": Meaning("number", "5", "how often an event is given before it is poison; 0 without limit"),
    "on_poison": Meaning(
        "word", "dead-letter", "what happens then: ``dead-letter`` (kept in the task's dead-letter log), ``drop``, or ``stop`` the task"
    ),
    "max_event": Meaning("size", "1MiB", "a longer event is a dead letter (``event``)"),
    "stdin": Meaning(
        "word",
        "by kind",
        "``eof``: the program gets end-of-file when every producer has finished (a task in no flow, when its own queue is empty).  ``open``: never.",
    ),
    "framing": Meaning(
        "word",
        "lines",
        "how events are told apart on its stdin: ``lines``, ``nul`` or ``netstring``.  ``event``: whatever the producers write is framed so;"
        " ``stream`` gives bytes as they are, and this is for what is put into its own input queue",
    ),
    "ack_timeout_s": Meaning(
        "duration", "0", "a program that has not acknowledged its oldest event after so long is deemed hung and restarted; 0 never (``event``)"
    ),
}

OUTPUT: dict[str, Meaning] = {
    "segment_bytes": Meaning("size", "64MiB", "size at which a new log file begins"),
    "keep_bytes": Meaning("size", "1GiB", "older files beyond this are removed once no consumer needs them; 0 without limit"),
    "keep_age_s": Meaning("duration", "0", "files older than this are removed once no consumer needs them; 0 without limit"),
    "hard_bytes": Meaning("size", "0", "size at which even files that are needed go, with an alert; 0 never"),
    "sync": Meaning("word", "never", "when the disk is told to write: ``never`` (the kernel decides), ``interval`` (each second) or ``always``"),
    "framing": Meaning("word", "lines", "how events are told apart on its stdout: ``lines``, ``nul`` or ``netstring``"),
    "compress": Meaning("word", "none", "closed log files: ``none``, or ``gzip``, which takes less room; whatever reads logs goes on reading them"),
}

FLOW: dict[str, Meaning] = {
    "from": Meaning("name or list", "required", "the producers"),
    "to": Meaning("name or list", "required", "the consumers"),
    "mode": Meaning("word", "broad", "``broad``: each consumer gets every event.  ``share``: they compete, each event goes to one"),
    "start": Meaning("word or number", "end", "where a new edge begins to read the producer's log: ``end``, ``begin``, or an offset in bytes"),
    "max_lag": Meaning("size", "64MiB", "bytes a consumer may be behind before its producer is held back"),
    "overflow": Meaning("word", "block", "what happens then: ``block`` the producer, or ``drop-oldest`` (counted)"),
    "on_consumers_done": Meaning(
        "word", "stop", "a producer that is a job, all of whose consumers have finished: ``stop`` it as a broken pipe would, or ``continue``"
    ),
    "cycle": Meaning("true or false", "false", "the flow closes a cycle, and that is meant; without it a cycle is refused"),
}

WEB: dict[str, Meaning] = {
    "enabled": Meaning("true or false", "true", "whether it runs"),
    "host": Meaning(
        "address", "127.0.0.1", "address of this machine on which it listens.  One that others can reach needs ``certificate`` and ``key``"
    ),
    "port": Meaning("number", "8642", "port on which it listens; 0 takes one that is free"),
    "hosts": Meaning(
        "name or list", "none", "names by which clients call it, beside ``localhost`` and ``host``; a request that says another name is refused"
    ),
    "certificate": Meaning("file", "none", "certificate chain (PEM); with ``key`` it speaks HTTPS"),
    "key": Meaning("file", "none", "private key of the certificate (PEM)"),
    "threads": Meaning("number", "8", "requests that are worked on at once"),
    "connections": Meaning("number", "4096", "connections that may be open"),
    "request_s": Meaning("duration", "5s", "longest time that a request may take to arrive"),
    "idle_s": Meaning("duration", "15s", "longest time that a connection may say nothing"),
    "max_header": Meaning("size", "16KiB", "largest header of a request"),
    "max_body": Meaning("size", "1MiB", "largest body of a request"),
}
RESOURCE: dict[str, Meaning] = {
    "enabled": Meaning("true or false", "true", "whether it runs"),
    "interval_s": Meaning("duration", "5s", "time between two looks at node and tasks"),
    "keep": Meaning("number", "360", "looks that are kept in memory, for the node and for each task"),
    "url": Meaning("URL", "none", "where each look is posted as JSON"),
}
RESULT: dict[str, Meaning] = {
    "enabled": Meaning("true or false", "true", "whether it runs"),
    "tasks": Meaning("name or list", "all", "tasks whose results are collected: names, groups, patterns or ``all``"),
    "keep": Meaning("number", "100", "last results that are kept in memory for each task"),
    "url": Meaning("URL", "none", "where results are posted as JSON"),
    "alert_url": Meaning("URL", "none", "where alerts are posted as JSON, as soon as they happen"),
}
POST: dict[str, Meaning] = {
    "timeout_s": Meaning("duration", "5s", "longest time for one post"),
    "retry_max_s": Meaning("duration", "60s", "longest delay between two tries"),
    "spool_bytes": Meaning("size", "16MiB", "what may wait on disk for a server that is down before the oldest is dropped, and counted"),
    "batch": Meaning("number", "200", "records in one post"),
    "allow_private": Meaning(
        "name or list", "none", "hosts on this machine or a private network that may be posted to, each as it stands in the URL; others are refused"
    ),
    "token_file": Meaning("file", "none", "file whose content is sent as bearer token"),
}
GROUP: dict[str, Meaning] = {
    "tasks": Meaning("name or list", "required", "tasks, or patterns with ``*``, ``?`` and ``[abc]`` that match at least one"),
}
SCHEDULE: dict[str, Meaning] = {
    "cron": Meaning(
        "cron",
        "required",
        "when: minute, hour, day of month, month and day of week; six fields begin with the second.  ``0 3 * * MON-FRI`` is three "
        "o'clock on working days",
    ),
    "timezone": Meaning("name", "local", "time zone of ``cron``, as in ``Asia/Seoul``; without it the machine's"),
    "act": Meaning("name or list", "none", "tasks, groups or patterns that are started"),
    "trm": Meaning("name or list", "none", "tasks, groups or patterns that are stopped"),
    "task": Meaning("name", "none", "task into whose input queue ``put`` goes"),
    "put": Meaning("text", "none", "event for ``task``; ``{time}`` in it is replaced by the time that was due"),
    "missed": Meaning(
        "word",
        "skip",
        "times that passed while no supervisor ran: ``skip`` them, ``once`` for one run in place of them all, ``all`` runs the last 100 one by one",
    ),
    "enabled": Meaning("true or false", "true", "whether it is followed"),
    "run": Meaning("name or list", "none", "flows that are run to their end with all their parts, or groups of jobs"),
    "overlap": Meaning(
        "word",
        "forbid",
        "a time at which a job of ``act`` or ``run`` is not at its end: ``forbid`` leaves it out, ``queue`` lets it wait (100 at most), ``replace`` "
        "stops what runs",
    ),
}

SECTIONS: dict[str, dict[str, Meaning]] = {
    "supervisor": SUPERVISOR,
    "web": WEB,
    "resource": RESOURCE,
    "result": RESULT,
    "post": POST,
    "xmlrpc": XMLRPC,
    "tasks": TASK,
    "input": INPUT,
    "output": OUTPUT,
    "ready": READY,
    "alive": ALIVE,
    "hooks": HOOKS,
    "cgroup": CGROUP,
    "flows": FLOW,
    "groups": GROUP,
    "schedules": SCHEDULE,
}
"""Section -> its keys, in the order in which they are explained."""


def of_setting(key: str) -> Meaning:
    """The meaning of a dotted key of the supervisor (`web.port`).  KeyError when there is none."""
    section, _, inner = key.rpartition(".")
    return SECTIONS[section or "supervisor"][inner]
