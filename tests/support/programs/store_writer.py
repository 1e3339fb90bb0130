"""Adds task after task to a state file, removes the eleventh last, and says each number when its flush came back.  argv: path, runs to keep."""

import os
import sys

from efsupervisor.conf.schema import TaskSpec
from efsupervisor.core.store import Store
from efsupervisor.messages import RunRow
from efsupervisor.states import Goal
from efsupervisor.system import REAL


class Silent:
    """A log that nobody reads."""

    def info(self, sentence: str) -> None:
        """Nothing."""

    warning = error = info


store = Store.open(sys.argv[1], system=REAL, log=Silent(), history=int(sys.argv[2]))
number = int(store.saved().settings.get("number", "0"))
while True:
    number += 1
    store.put_task(TaskSpec(name=f"step-{number}", command=["/bin/true"]))
    store.del_task(f"step-{number - 10}")
    store.set_intent(f"step-{number}", Goal.ACT, autostart=True)
    store.set_setting("number", str(number))
    store.ran(RunRow(number=0, task=f"step-{number}", incarnation=1, began=1.0, ended=2.0))
    if not store.flush():
        sys.exit(store.ailment)
    os.write(1, b"%d\n" % number)
