"""What a configuration may say: frozen structs whose field names are the YAML keys.

Five sections: `supervisor` (the daemon itself and its siblings), `tasks`, `flows`, `groups` and `schedules` (each by name).  The specs also travel
on wires and lie in the saved state, so a field is only ever added at the end and with a default.  The structs hold values that were checked by the
loader; they never read a file.

Units: seconds as floats, sizes as bytes.
"""

from __future__ import annotations

import msgspec

from efsupervisor.states import Framing, Kind, Mode, Protocol

PIPE_BYTES = 64 << 10
SMALLEST_SEGMENT = 4096
ONE_SEGMENT = 1 << 40
"""A log file of maxbytes 0 grows for ever: one segment."""
PASSING_SEGMENT, PASSING_KEPT = 4 << 20, 16 << 20
"""What is kept of a log that goes elsewhere, or that nobody wants."""


class InputSpec(msgspec.Struct, frozen=True, kw_only=True):
    """How a task takes its events (DESIGN section 4).

    window: events that may be unacknowledged at once, 1 to 1024.  ack: `either`, `empty` (a blank line on stderr) or `echo` (the event repeated
    there). max_deliveries: 0 means without limit.  on_poison: what happens then.  stdin: `eof` gives end-of-file when every producer has finished,
    `open` never; empty means the default of the kind (jobs eof, services open).  framing: how events are told apart on its stdin.  ack_timeout_s: a
    program that has not acknowledged its oldest event after so long is deemed hung, 0 never.
    """

    protocol: Protocol = Protocol.STREAM
    window: int = 1
    ack: str = "either"
    max_deliveries: int = 5
    on_poison: str = "dead-letter"
    max_event: int = 1 << 20
    stdin: str = ""
    framing: Framing = Framing.LINES
    ack_timeout_s: float = 0.0


class OutputSpec(msgspec.Struct, frozen=True, kw_only=True):
    """How a task's stdout and stderr are kept.

    segment_bytes: size at which a new file begins.  keep_bytes / keep_age_s: closed files over these limits are removed once no cursor needs them;
    0 is without limit.  hard_bytes: the size at which even needed files go (with an alert); 0 never.  sync: `never`, `interval` (each second) or
    `always`.  framing: how the events that the program writes are told apart.  compress: `none`, or `gzip` for closed files.
    """

    segment_bytes: int = 64 << 20
    keep_bytes: int = 1 << 30
    keep_age_s: float = 0.0
    hard_bytes: int = 0
    sync: str = "never"
    framing: Framing = Framing.LINES
    compress: str = "none"


class ReadySpec(msgspec.Struct, frozen=True, kw_only=True):
    """When a started program is ready: all that is said here must be true once.

    notify: it says READY=1 (sd_notify).  line: a regular expression that a line of stdout matches.  tcp: `HOST:PORT` that takes a connection.  http:
    a URL that answers 2xx.  exec: a command that ends with status 0.  hosts: addresses beside this machine's own that tcp and http may name.
    interval_s: between two probes; timeout_s: for one of them.  start_timeout_s: a program that is not ready by then has failed.
    """

    notify: bool = False
    line: str = ""
    tcp: str = ""
    http: str = ""
    exec: list[str] = []
    hosts: list[str] = []
    interval_s: float = 0.5
    timeout_s: float = 1.0
    start_timeout_s: float = 90.0


class AliveSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a running program is alive; one that is not is restarted.

    tcp, http, exec, hosts: as in ReadySpec.  failures: failed probes in a row that mean death.  watchdog_s: longest time between two WATCHDOG=1 of
    the program (sd_notify), 0 for none.
    """

    tcp: str = ""
    http: str = ""
    exec: list[str] = []
    hosts: list[str] = []
    interval_s: float = 10.0
    timeout_s: float = 1.0
    failures: int = 3
    watchdog_s: float = 0.0


class HooksSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Commands around a program's life.  timeout_s: for each of them."""

    before_start: list[str] = []
    after_start: list[str] = []
    before_stop: list[str] = []
    after_exit: list[str] = []
    timeout_s: float = 10.0


class CgroupSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the program's whole tree, kept by the kernel (cgroup v2).  0 is none.  memory_max in bytes; cpu_max in percent of one core."""

    memory_max: int = 0
    pids_max: int = 0
    cpu_max: int = 0


class TaskSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One task.  `command` is an argument list; a YAML string is split as a shell splits words, and no shell runs it.

    user is a name or number, optionally with `:group`.  environment is added to a clean list.  umask is octal text.  autorestart: `true`, `false`
    or `unexpected` (only after an exit status that is not in exitcodes); empty means the default of the kind (services true, jobs false).
    startsecs: life after which a start counts as successful; 0: at once.  startretries: failed starts in a row before FATAL.  backoff_s,
    backoff_max_s: first and longest delay between failed starts (doubled each time, 10 % jitter).  stopwaitsecs: from the stop signal to SIGKILL.
    drain_s: how long a descendant that holds stdout may delay the next start.

    What supervisord's operators know: stopasgroup: the stop signal goes to the whole tree of the program, not to it alone; killasgroup: the same
    of SIGKILL, which always does. stdout_logfile, stderr_logfile: a path at which the log is found (a link to the journal's segments, or fed by a
    cursor), empty for none (supervisord's words `auto`, `none` and `syslog` are no path either); maxbytes, backups: size and number of its files, -1
    for what `output` says. capture_maxbytes, events_enabled: for event listeners. strip_ansi: terminal colours are taken out of what is fed.
    serverurl: where the program finds the supervisor, empty for its own. inherit_environment: variables of the supervisor in place of a clean list.
    no_new_privs: false lets a program of another user gain privileges by set-uid files, and one of our own user keep what we have. instances: how
    many tasks are made of one entry (1 in each of them); first_instance: number of the first; process_name: their name, a pattern in the entry and
    the name that supervisord would know in the task; group: the group that it is shown in; instance: the number of the task among those of its
    entry; fed_logs: a log file of it is named more than once.

    What the program may and when it is restarted: max_runtime_s: longest run, 0 without
    limit. backoff_reset_s: life after which delays between restarts begin small again. fatal_after_burst: more than restart_burst starts in
    restart_period_s are FATAL. retry_fatal_s: a task that would be FATAL is tried again after so long; 0 never. limits: soft and hard limit by
    name of setrlimit(2), -1 for infinity. nice, cpu_affinity: 0 and () leave what is inherited. ionice: `idle`, `best-effort:N`, `realtime:N` or
    empty. groups: supplementary groups beside the user's own. environment_files: read at each start. secrets: name to the path of a file whose
    content the program finds. max_rss: bytes of the whole tree; max_cpu: percent of one core, averaged over usage_s; 0 is no limit; both are
    looked at each usage_s. depends_on: name of a task or group to a condition: `started`, `ready` (RUNNING), `healthy`, `completed` or
    `completed_successfully`. restart_with: when something that it depends on is restarted by command, it is too.
    retries: how often a job that failed is run again, backoff_s apart and ever longer; no_retry: exit statuses after which it is not.
    events, buffer_size: of an event listener (type `eventlistener`): what it wants, and how many may wait for its pool, which is its group.
    essential: when it ends for good by itself, so does the supervisor.
    socket: `unix:///path` or `tcp://HOST:PORT`, a listening socket that the program finds as its stdin; tasks that name the same one share it.
    socket_backlog: connections that may wait, 0 for as many as the system lets.  socket_mode (empty: 0700), socket_owner (`user` or `user:group`,
    empty: the program's): of a unix socket.
    """

    name: str
    command: list[str]
    type: str = "process"
    kind: Kind = Kind.SERVICE
    directory: str = ""
    user: str = ""
    umask: str = "022"
    environment: dict[str, str] = {}
    autostart: bool = True
    autorestart: str = ""
    exitcodes: tuple[int, ...] = (0,)
    startsecs: float = 1.0
    startretries: int = 3
    backoff_s: float = 0.1
    backoff_max_s: float = 60.0
    restart_burst: int = 10
    restart_period_s: float = 60.0
    stopsignal: str = "TERM"
    stopwaitsecs: float = 10.0
    priority: int = 999
    redirect_stderr: bool = False
    drain_s: float = 5.0
    input: InputSpec | None = None
    output: OutputSpec = OutputSpec()
    stopasgroup: bool = True
    killasgroup: bool = True
    stdout_logfile: str = ""
    stdout_logfile_maxbytes: int = -1
    stdout_logfile_backups: int = -1
    stdout_capture_maxbytes: int = 0
    stdout_events_enabled: bool = False
    stdout_syslog: bool = False
    stderr_logfile: str = ""
    stderr_logfile_maxbytes: int = -1
    stderr_logfile_backups: int = -1
    stderr_capture_maxbytes: int = 0
    stderr_events_enabled: bool = False
    stderr_syslog: bool = False
    strip_ansi: bool = False
    serverurl: str = ""
    inherit_environment: bool = False
    no_new_privs: bool = True
    instances: int = 1
    first_instance: int = 0
    process_name: str = ""
    group: str = ""
    instance: int = 0
    fed_logs: bool = False
    ready: ReadySpec | None = None
    alive: AliveSpec | None = None
    hooks: HooksSpec | None = None
    max_runtime_s: float = 0.0
    backoff_reset_s: float = 600.0
    fatal_after_burst: bool = False
    retry_fatal_s: float = 0.0
    limits: dict[str, tuple[int, int]] = {}
    nice: int = 0
    ionice: str = ""
    cpu_affinity: tuple[int, ...] = ()
    oom_score_adj: int = 0
    groups: tuple[str, ...] = ()
    environment_files: list[str] = []
    secrets: dict[str, str] = {}
    max_rss: int = 0
    max_cpu: int = 0
    usage_s: float = 10.0
    cgroup: CgroupSpec | None = None
    depends_on: dict[str, str] = {}
    restart_with: bool = False
    events: list[str] = []
    buffer_size: int = 10
    retries: int = 0
    no_retry: tuple[int, ...] = ()
    socket: str = ""
    socket_backlog: int = 0
    socket_mode: str = ""
    socket_owner: str = ""
    essential: bool = False

    def kept(self, channel: str) -> OutputSpec:
        """How one channel (`out` or `err`) is kept: `output`, with the sizes of its log file where those are said."""
        out = channel == "out"
        path = self.stdout_logfile if out else self.stderr_logfile
        if path == "none" or path.startswith("/dev/"):
            return msgspec.structs.replace(self.output, segment_bytes=PASSING_SEGMENT, keep_bytes=PASSING_KEPT)
        size = self.stdout_logfile_maxbytes if out else self.stderr_logfile_maxbytes
        backups = self.stdout_logfile_backups if out else self.stderr_logfile_backups
        if size < 0:
            return self.output
        segment = max(size, SMALLEST_SEGMENT) if size else ONE_SEGMENT
        # the active file and `backups` older ones, each of which may be longer by what a pipe held when it was cut
        keep = self.output.keep_bytes if backups < 0 else 0 if size == 0 else (segment + PIPE_BYTES) * (backups + 1)
        return msgspec.structs.replace(self.output, segment_bytes=segment, keep_bytes=keep)

    @property
    def restarts(self) -> str:
        """`autorestart` with the default of the kind filled in."""
        return self.autorestart or ("true" if self.kind is Kind.SERVICE else "false")


class FlowSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Edges from each producer to each consumer.

    start: where a new edge begins to read, `end` or `begin` of the producer's journal, or an offset in it.  max_lag: bytes a consumer may be behind
    before the producer is held back.  overflow: `block`, or `drop-oldest` (counted).  on_consumers_done: what happens to a producer that is a job
    when all its consumers have finished.  cycle: it closes a cycle, and that is meant.
    """

    name: str
    producers: list[str]
    consumers: list[str]
    mode: Mode = Mode.BROAD
    start: str = "end"
    max_lag: int = 64 << 20
    overflow: str = "block"
    on_consumers_done: str = "stop"
    cycle: bool = False


class GroupSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A name that stands for several tasks wherever names are accepted.  tasks: names or patterns (`*`, `?`, `[abc]`)."""

    name: str
    tasks: list[str]


class ScheduleSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happens at certain times of the wall clock.

    cron: five fields, or six with seconds first, as cronsim reads them.  timezone: an IANA name, empty for the machine's.  act, trm: tasks or
    groups to start or to stop.  task with put: an event to put into that task's input queue; `{time}` in it is replaced by the time that was due
    (ISO 8601). missed: what happens to times that passed while no supervisor ran: `skip`, `once` for one run in place of them all, or `all`.
    run: flows or groups that are run to their end.  overlap: what becomes of a time at which the jobs of the last are not at their end: `forbid`,
    `queue` or `replace`.
    """

    name: str
    cron: str
    timezone: str = ""
    act: list[str] = []
    trm: list[str] = []
    task: str = ""
    put: str = ""
    missed: str = "skip"
    enabled: bool = True
    run: list[str] = []
    overlap: str = "forbid"


class WebSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The web listener.  host: an address of this machine; anything but loopback needs a certificate.  hosts: names a request's Host header may
    have besides that address and `localhost`.  request_s: longest time for one request to arrive; idle_s: for a connection to say nothing."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: int = 8642
    hosts: list[str] = []
    certificate: str = ""
    key: str = ""
    threads: int = 8
    connections: int = 4096
    request_s: float = 5.0
    idle_s: float = 15.0
    max_header: int = 16 << 10
    max_body: int = 1 << 20


class ResourceSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The resource collector.  interval_s: between two looks; keep: looks kept in memory for the node and for each task.  url: where each look is
    posted as JSON, empty for nowhere."""

    enabled: bool = True
    interval_s: float = 5.0
    keep: int = 360
    url: str = ""


class ResultSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The result collector.  tasks: whose results are collected (names, groups, patterns, `all`).  keep: last results kept in memory for each task.
    url: where results are posted as JSON; alert_url: where alerts are; empty for nowhere."""

    enabled: bool = True
    tasks: tuple[str, ...] = ("all",)
    keep: int = 100
    url: str = ""
    alert_url: str = ""


class PostSpec(msgspec.Struct, frozen=True, kw_only=True):
    """How collectors post.  timeout_s: for one post; retry_max_s: longest delay between two tries; spool_bytes: what may wait on disk for a server
    that is down before the oldest is dropped (and counted).  allow_private: hosts on private or loopback addresses that may be posted to."""

    timeout_s: float = 5.0
    retry_max_s: float = 60.0
    spool_bytes: int = 16 << 20
    batch: int = 200
    allow_private: list[str] = []
    token_file: str = ""


class XmlRpcSpec(msgspec.Struct, frozen=True, kw_only=True):
    """supervisord's XML-RPC, served by the web listener.  file: its Unix socket, empty for var/run/supervisor.sock; mode: octal text;
    owner: `user` or `user:group`, empty leaves it.  socket_user, socket_password: of that socket, both or neither.  enabled: also over HTTP, at host
    and port, with user and password.  A password may be `{SHA}` and 40 hex digits."""

    enabled: bool = False
    host: str = "127.0.0.1"
    port: int = 9001
    user: str = ""
    password: str = ""
    file: str = ""
    mode: str = "0700"
    owner: str = ""
    socket_user: str = ""
    socket_password: str = ""
    identifier: str = "supervisor"


class SupervisorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon itself.  var: folder of its state, relative to the configuration file's folder.  ping_s / ping_deadline_s: how often a worker is
    asked for a sign of life, and how long it may take before it is replaced.  shutdown_s: longest wait for all tasks at shutdown, 0 for their own
    limits. log_format: `text` or `json`.  services: false runs no siblings at all.  heartbeat_s / heartbeat_deadline_s: the same for siblings.
    history: ended runs that are kept.  alerts: alerts that are kept.  parallel_starts: tasks that may be starting at once, 0 for no bound."""

    var: str = "../var"
    log_level: str = "info"
    log_max_bytes: int = 50 << 20
    log_backups: int = 5
    ping_s: float = 30.0
    ping_deadline_s: float = 5.0
    shutdown_s: float = 0.0
    log_format: str = "text"
    services: bool = True
    heartbeat_s: float = 2.0
    heartbeat_deadline_s: float = 4.0
    history: int = 100_000
    alerts: int = 10_000
    web: WebSpec = WebSpec()
    resource: ResourceSpec = ResourceSpec()
    result: ResultSpec = ResultSpec()
    post: PostSpec = PostSpec()
    xmlrpc: XmlRpcSpec = XmlRpcSpec()
    parallel_starts: int = 0


class ServerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One [unix_http_server] or [inet_http_server] of a supervisord.conf.  file is set for the first, port for the second.  owner: uid and gid of the
    socket, -1 leaves them; mode: of the socket.  A password may be `{SHA}` and 40 hex digits."""

    name: str = ""
    file: str = ""
    host: str = ""
    port: int = 0
    username: str = ""
    password: str = ""
    owner: tuple[int, int] = (-1, -1)
    mode: int = 0o700


class ListenerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One pool of event listeners of a supervisord.conf, with the tasks that are its members."""

    name: str
    members: list[TaskSpec]
    events: tuple[str, ...]
    buffer_size: int = 10
    result_handler: str = "supervisor.dispatchers:default_handler"


class FcgiSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One [fcgi-program:x] of a supervisord.conf, with its members.  socket: `unix:///path` or `tcp://host:port`; backlog 0 and mode -1: not said."""

    name: str
    members: list[TaskSpec]
    socket: str
    backlog: int = 0
    owner: tuple[int, int] = (-1, -1)
    mode: int = -1


class DaemonSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisord.conf, or supervisord's flags, say of the daemon.  Paths are absolute; logfile may be `syslog`.  user: a name or number to
    become, empty for nobody else.  notes: what of the file is not carried over, a sentence with file, line and key each; said: the files that were
    included."""

    nodaemon: bool = False
    silent: bool = False
    logfile: str = ""
    logfile_maxbytes: int = 50 << 20
    logfile_backups: int = 10
    loglevel: str = "info"
    pidfile: str = ""
    identifier: str = "supervisor"
    childlogdir: str = ""
    nocleanup: bool = False
    directory: str = ""
    umask: int = 0o022
    user: str = ""
    minfds: int = 1024
    minprocs: int = 200
    strip_ansi: bool = False
    environment: dict[str, str] = {}
    servers: list[ServerSpec] = []
    listeners: list[ListenerSpec] = []
    fcgi: list[FcgiSpec] = []
    notes: list[str] = []
    included: list[str] = []


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A whole configuration, checked; tasks and flows in the order in which they were written.  source: the file's path, for messages.
    daemon: only when the file is a supervisord.conf.  entries: tasks as they were written that have `instances`; `tasks` has what was made of
    them."""

    source: str
    supervisor: SupervisorSpec = SupervisorSpec()
    tasks: list[TaskSpec] = []
    flows: list[FlowSpec] = []
    groups: list[GroupSpec] = []
    schedules: list[ScheduleSpec] = []
    daemon: DaemonSpec | None = None
    entries: list[TaskSpec] = []


def framing_of(spec: TaskSpec) -> Framing:
    """How a task takes its events, and so how they lie in its own input queue."""
    return spec.input.framing if spec.input else Framing.LINES
