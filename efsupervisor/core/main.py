"""`efsupervisord`: from the command line to a running Core, in the order in which things can be refused.

    options -> configuration -> (background) -> folder and lock -> log -> limits, subreaper -> boot -> control socket -> ready -> loop

Everything up to `ready` that fails ends with one sentence and a documented exit status, and nothing was started.  The configuration is read and the
lock is taken before anybody is told that it worked.  The parent of a daemon waits for that word. """

from __future__ import annotations

import gc
import os
import signal
import sys

import msgspec

import efsupervisor
from efsupervisor.conf.budget import limits, shortages
from efsupervisor.conf.ini.situation import Situation
from efsupervisor.conf.schema import Config
from efsupervisor.core import daemon, handover, options, store_schema
from efsupervisor.core.altering import Altering
from efsupervisor.core.as_supervisord import AsSupervisord, become, check_parent, situation_of, with_var
from efsupervisor.core.configuration import Reread, read_configuration
from efsupervisor.core.control import Control
from efsupervisor.core.core import Core
from efsupervisor.core.descriptors import SIGNALS, Descriptors
from efsupervisor.core.desk import Desk
from efsupervisor.core.follow import Followers, welcome
from efsupervisor.core.home import Home, open_home
from efsupervisor.core.memory import Memory
from efsupervisor.core.saved import Merged, merge, with_setting
from efsupervisor.core.store import Store
from efsupervisor.core.trial import Finding, examined
from efsupervisor.core.updating import Updating
from efsupervisor.core.upgrade import Launch, Upgrade, launched
from efsupervisor.errors import Code, EfError
from efsupervisor.log import Log
from efsupervisor.messages import PROTOCOL, FromWorker, Hello, Report, ToWorker, decode, encode
from efsupervisor.states import Goal, State
from efsupervisor.system import REAL
from efsupervisor.task import task_type
from efsupervisor.task.queue import clear, put

VERSION = getattr(efsupervisor, "__version__", "0")
CORE_SHIELD = -900
"""oom_score_adj of the Core: when memory is short the kernel takes somebody else first."""


def main(arguments: list[str] | None = None) -> int:
    """The console script; the exit status."""
    umask = os.umask(0o077)
    handed = handover.take(os.environ, REAL)
    if arguments is None:
        daemon.close_inherited(handed.lock_fd if handed is not None else -1)
    launch = launched(umask)
    tell = daemon.in_foreground()
    try:
        asked = options.parse(sys.argv[1:] if arguments is None else arguments)
        if asked.help or asked.version:
            print(options.USAGE if asked.help else f"efsupervisord {VERSION}", end="\n" if asked.version else "")
            return 0
        path = options.configuration(asked, os.environ, os.path.exists)
        situation = situation_of(path, asked, umask)
        config = read_configuration(path, situation)
        if config.daemon is not None:
            asked = asked._replace(nodaemon=config.daemon.nodaemon)
            become(config.daemon.user)
        elif asked.var:
            config = msgspec.structs.replace(config, supervisor=msgspec.structs.replace(config.supervisor, var=asked.var))
        warnings = affordable(config)
        if asked.check:
            print(msgspec.json.encode(examined(config, VERSION, os.path.realpath(with_var(config, os.environ).supervisor.var))).decode())
            return 0
        if not asked.nodaemon and handed is None:
            tell = daemon.in_background()
        return serve(config, asked, tell, warnings, situation, launch, handed)
    except (EfError, OSError) as error:
        status, sentence = daemon.outcome(error)
        tell(status, sentence)
        return status


def affordable(config: Config) -> list[str]:
    """Sentences about what will be slower here.  EfError when this machine does not allow so many tasks."""
    found = shortages(len(config.tasks), limits())
    fatal = [shortage.sentence for shortage in found if shortage.fatal]
    if fatal:
        raise EfError("; ".join(fatal), Code.SYSTEM)
    return [shortage.sentence for shortage in found]


def serve(
    config: Config,
    asked: options.Options,
    tell: daemon.Tell,
    warnings: list[str],
    situation: Situation | None,
    launch: Launch,
    handed: handover.Handover | None,
) -> int:
    """Become the supervisor of the configuration's `var` and supervise until the end; the exit status.  handed: what the program before us in this
    process left.  EfError or OSError: not started."""
    os.chdir("/")
    chosen = not config.supervisor.var
    config = with_var(config, os.environ)
    home = open_home(os.path.realpath(config.supervisor.var), REAL, handed.lock_fd if handed is not None else -1)
    if chosen:
        check_parent(home.var)
    descriptors = Descriptors()
    descriptors.raise_limit()
    home.lock_fd = descriptors.lasting(home.lock_fd)
    log = _open_log(config, home, foreground=asked.nodaemon and config.daemon is None)
    for sentence in warnings:
        log.warning(sentence)
    REAL.become_subreaper()
    REAL.set_name("efsupervisord")
    store = open_store(config, home, log)
    core = Core(merged(config, store), home, log, task_type, put, clear, store=store, system=REAL, descriptors=descriptors, version=VERSION)
    core.services.echo_fd = 2 if asked.nodaemon and config.daemon is None else -1
    manner = AsSupervisord(config.daemon, REAL, situation.umask) if config.daemon is not None and situation is not None else None
    if manner is not None and situation is not None:
        situation = msgspec.structs.replace(situation, var=config.supervisor.var)
        manner.begin(core)
    try:
        core.boot()
        desk = make_desk(core, descriptors, home.announce().since, launch, situation)
        if handed is not None:
            core.take(handed.dead, handed.again)
            desk.take(handed)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # what came since before execve is heard now
        control = Control(home.var, core.reactor, REAL, log, descriptors, frozenset({0, os.geteuid()}), desk.serve, desk.forget)
    except (EfError, OSError) as error:
        log.error(f"not started: {daemon.outcome(error)[1]}")
        raise
    tell(0, "")
    if asked.follow:
        sys.stderr.write(welcome(config, asked.follow))
        sys.stderr.flush()
    REAL.shield(CORE_SHIELD)
    warm()
    gc.collect()
    gc.freeze()
    followers = Followers(home.var, asked.follow, descriptors)
    status = core.run()
    followers.stop()
    control.close()
    if manner is not None:
        manner.end()
    log.info(f"efsupervisord pid {os.getpid()} ends with status {status}")
    return status


def open_store(config: Config, home: Home, log: Log) -> Store:
    """The saved state.  EfError when it is not known what was saved: then nothing may be started."""
    spec = config.supervisor
    return Store.open(home.state, system=REAL, log=log, history=spec.history, alerts=spec.alerts)


def merged(config: Config, store: Store) -> Merged:
    """The file and what was added by command."""
    return merge(config, store.saved(), with_setting, task_type)


def make_desk(core: Core, descriptors: Descriptors, since: float, launch: Launch, situation: Situation | None = None) -> Desk:
    """Who answers clients, and what that takes."""
    updating = Updating(core, affordable)
    updating.on_settings.append(core.configure)
    updating.on_schedules = lambda: core.timetable.keep(core.config.schedules)
    reread = Reread(core.config.source, core.reactor, REAL, descriptors, core.leave, situation)
    mine = Finding(version=VERSION, var=core.home.var, protocol=PROTOCOL, state=store_schema.VERSION)
    memory = Memory()
    return Desk(core, Altering(core, updating, reread), Upgrade(core, launch, memory, mine), memory, since)


def warm() -> None:
    """Do once what every worker would do for itself after its fork: msgspec builds a decoder's tables at the first use, 700 KiB for each worker."""
    decode(encode(Hello(core_pid=os.getpid())), ToWorker)
    decode(encode(Report(state=State.STOPPED, goal=Goal.TRM)), FromWorker)


def _open_log(config: Config, home: Home, *, foreground: bool) -> Log:
    spec = config.supervisor
    echo_fd = 2 if foreground else -1
    return Log(
        home.log, REAL, level=spec.log_level, echo_fd=echo_fd, max_bytes=spec.log_max_bytes, backups=spec.log_backups, form=spec.log_format
    )


if __name__ == "__main__":
    sys.exit(main())
