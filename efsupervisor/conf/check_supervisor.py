"""What must be true between the settings of the daemon.  Pure; used for the file and for each setting that is said by command.

Each fault is (key, end of a sentence that begins with the key).
"""

from __future__ import annotations

from efsupervisor.conf.schema import SupervisorSpec, WebSpec, XmlRpcSpec
from efsupervisor.conf.web import is_loopback, private_host

Fault = tuple[str, str]


def check_supervisor(spec: SupervisorSpec) -> list[Fault]:
    """Everything that is wrong between the keys of the supervisor."""
    return [*_web(spec.web), *_xmlrpc(spec.xmlrpc), *_urls(spec)]


def _web(web: WebSpec) -> list[Fault]:
    """Commands over HTTP run programs: what others can reach needs TLS, beside the token that it always needs.  A listener that is off may be half
    said; it is judged when it is switched on."""
    if not web.enabled:
        return []
    if bool(web.certificate) != bool(web.key):
        said, missing = ("certificate", "key") if web.certificate else ("key", "certificate")
        return [(f"web.{said}", f"needs web.{missing} as well")]
    if not web.certificate and not is_loopback(web.host):
        reason = f"{web.host} can be reached from other machines, and so needs web.certificate and web.key; or listen on 127.0.0.1"
        return [("web.host", reason)]
    return []


def _xmlrpc(spec: XmlRpcSpec) -> list[Fault]:
    """Its clients know no TLS, so a password must not leave the machine; and over HTTP nobody comes in without one."""
    if bool(spec.socket_user) != bool(spec.socket_password):
        return [("xmlrpc.socket_user", "and xmlrpc.socket_password are said together, or neither of them")]
    if spec.enabled and not (spec.user and spec.password):
        return [("xmlrpc.enabled", "over HTTP needs xmlrpc.user and xmlrpc.password")]
    if spec.enabled and not is_loopback(spec.host):
        return [("xmlrpc.host", f"{spec.host} can be reached from other machines, and supervisorctl knows no TLS; listen on 127.0.0.1")]
    return []


def _urls(spec: SupervisorSpec) -> list[Fault]:
    """A post to an address inside is somebody's slip or somebody's trick, unless it is said to be meant."""
    allowed = {each.lower().rstrip(".") for each in spec.post.allow_private}
    urls = {"resource.url": spec.resource.url, "result.url": spec.result.url, "result.alert_url": spec.result.alert_url}
    hosts = {key: private_host(url) for key, url in urls.items()}
    return [
        (key, f"posts to {host}, which is this machine or a private network; if that is meant, name it in post.allow_private")
        for key, host in hosts.items()
        if host and host.rstrip(".") not in allowed
    ]
