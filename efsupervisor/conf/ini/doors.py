"""Where a supervisord.conf wants to be asked by supervisorctl, as our XML-RPC: one Unix socket, and one port of this machine with a password.

supervisord listens wherever it is told, with nobody asked for a password when none is said.  Who can ask can run anything, so a port without a
password and one that other machines reach are not listened on; that is a note.  Pure.
"""

from __future__ import annotations

import msgspec

from efsupervisor.conf.ini.resolve import Notes
from efsupervisor.conf.schema import DaemonSpec, ServerSpec, SupervisorSpec, WebSpec, XmlRpcSpec
from efsupervisor.conf.web import is_loopback


def with_doors(spec: SupervisorSpec, daemon: DaemonSpec, file: str, notes: Notes) -> SupervisorSpec:
    """The settings with the doors of a daemon.  file: the configuration, for notes."""
    unix = [server for server in daemon.servers if server.file]
    inet = [server for server in daemon.servers if not server.file and _is_fit(server, file, notes)]
    for server in (*unix[1:], *inet[1:]):
        notes.add(file, 0, _section(server), "is not listened on: one Unix socket and one port are")
    if not unix and not inet:
        return spec
    rpc = XmlRpcSpec(identifier="-".join(daemon.identifier.split()) or "supervisor")
    if unix:
        first = unix[0]
        rpc = msgspec.structs.replace(
            rpc, file=first.file, mode=f"{first.mode & 0o777:04o}", owner=_owner(first), socket_user=first.username, socket_password=first.password
        )
    if inet:
        first = inet[0]
        rpc = msgspec.structs.replace(rpc, enabled=True, host=first.host, port=first.port, user=first.username, password=first.password)
    return msgspec.structs.replace(spec, xmlrpc=rpc, web=WebSpec(enabled=True, port=0))


def _is_fit(server: ServerSpec, file: str, notes: Notes) -> bool:
    if server.host != "localhost" and not (server.host and is_loopback(server.host)):
        where = f"{server.host or '*'}:{server.port}"
        notes.add(file, 0, _section(server), f"{where} can be reached from other machines, in clear text: it is not listened on")
        return False
    if not server.username or not server.password:
        notes.add(file, 0, _section(server), "has no username and password, and any user of this machine could use it: it is not listened on")
        return False
    return True


def _section(server: ServerSpec) -> str:
    kind = "unix_http_server" if server.file else "inet_http_server"
    return f"[{kind}:{server.name}]" if server.name else f"[{kind}]"


def _owner(server: ServerSpec) -> str:
    user, group = server.owner
    return "" if user < 0 else f"{user}" if group < 0 else f"{user}:{group}"
