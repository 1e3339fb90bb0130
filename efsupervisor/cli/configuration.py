"""`efctl conf check` and `efctl update`: the configuration file before it becomes what runs.

A check needs no supervisor.  An update on a terminal shows the difference and asks; the answer `yes` there counts as --yes, for the person has seen
what would be removed.  Where nobody can be asked it is applied at once, and the Core refuses to remove more than a fifth of what runs without --yes.
"""

from __future__ import annotations

import os
import sys

from efsupervisor.cli import render
from efsupervisor.cli.output import Output
from efsupervisor.cli.session import Session
from efsupervisor.cli.where import Where, conf_path
from efsupervisor.conf.schema import Config
from efsupervisor.errors import Code, ConfigError, EfError
from efsupervisor.interface.conf import ConfReread, ConfUpdate
from efsupervisor.messages.call import Difference


def check(file: str | None, where: Where, output: Output, *, as_json: bool) -> int:
    """Whether a file would be taken: a sentence, or everything that is wrong with it as ConfigError (as JSON on stdout)."""
    path = file or conf_path(where, os.environ)
    try:
        config = _load(path)
    except ConfigError as error:
        if not as_json:
            raise
        output.document({"file": path, "ok": False, "findings": error.findings})
        return error.verdict.exit_status
    if as_json:
        output.document({"file": path, "ok": True, "findings": [], "tasks": len(config.tasks), "flows": len(config.flows)})
    else:
        output.write(f"{path}: fine, with {render.counted(len(config.tasks), 'task')} and {render.counted(len(config.flows), 'flow')}\n")
    return 0


def _load(path: str) -> Config:
    """A configuration of either kind."""
    from efsupervisor.conf.ini.load import load_ini  # late on purpose: an update does not need it here
    from efsupervisor.conf.ini.situation import is_ini  # late on purpose: as above
    from efsupervisor.conf.loader import load  # late on purpose: it brings PyYAML

    return load_ini(path) if is_ini(path) else load(path)


def translate(file: str, output: Output) -> int:
    """Print a supervisord.conf as a configuration of ours, with a comment for what could not be carried over.  ConfigError when it is wrong."""
    from efsupervisor.conf.ini.export import as_yaml  # late on purpose: nobody else needs it
    from efsupervisor.conf.ini.load import load_ini  # late on purpose: as above

    output.write(as_yaml(load_ini(file)))
    return 0


def update(session: Session, output: Output, *, yes: bool, as_json: bool) -> int:
    """Apply the file; the exit status is 0 also when nothing differs."""
    if not yes and not as_json and output.talks_with_a_person:
        difference = session.do(ConfReread())
        assert isinstance(difference, Difference)
        output.show(difference, as_json=False)
        if not difference.rows:
            return 0
        if not _agreed(output):
            raise EfError("nothing was changed", Code.REFUSED)
        yes = True
    return output.show(session.do(ConfUpdate(yes=yes)), as_json=as_json)


def _agreed(output: Output) -> bool:
    output.out.flush()
    output.err.write("apply this? [y/N] ")
    output.err.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes", "예", "네")
