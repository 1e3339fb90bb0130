"""A middle interface in a process of its own, without a service host: `python -m tests.support.middle_process VAR`.

Its standard input is its host: it ends when that is closed.
"""

from __future__ import annotations

import logging
import os
import socket
import sys

from efsupervisor.conf.schema import SupervisorSpec
from efsupervisor.core import middle_interface
from efsupervisor.core.place import Place
from efsupervisor.core.sibling import Sibling
from efsupervisor.reactor import READ


def main() -> None:
    """Run until standard input ends."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sibling = Sibling("middle", Place(sys.argv[1], "test"), SupervisorSpec(heartbeat_s=3600.0), ours)
    sibling.reactor.watch(0, READ, lambda _events: sibling.reactor.stop())
    part = middle_interface.MiddleInterface(sibling)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sibling.run()
    part.close()
    theirs.close()
    os._exit(0)


if __name__ == "__main__":
    main()
