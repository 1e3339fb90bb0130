"""Where a sibling is: what the Core tells the service host and each sibling of the supervisor they belong to.  Data only, and light: the Core carries
it, and the Core is forked for every worker."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """Where a sibling is.  var: the supervisor's folder.  namespace: identity of that folder (task cookies).  version: of the Core.  source: path of
    the configuration file.  log: path of the daemon's log."""

    var: str
    namespace: str
    version: str = ""
    source: str = ""
    log: str = ""

    @property
    def run_dir(self) -> str:
        """Folder of sockets and of the host's lock."""
        return self.var + "/run"
