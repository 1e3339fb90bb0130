"""One full message of every kind that the Core, the service host and its siblings say to each other; part of samples.py."""

from __future__ import annotations

from efsupervisor import messages
from efsupervisor.conf.schema import PostSpec, ResourceSpec, ResultSpec, SupervisorSpec, WebSpec
from efsupervisor.states import State

VOCABULARIES = {"ToService": messages.ToService, "FromService": messages.FromService}

SAMPLES: dict[str, list[object]] = {
    "ToService": [
        messages.Configure(
            spec=SupervisorSpec(
                var="/srv/var",
                services=True,
                heartbeat_s=0.5,
                heartbeat_deadline_s=2.5,
                web=WebSpec(enabled=False, host="::1", port=0, hosts=["a.example"]),
                resource=ResourceSpec(interval_s=2.5, url="https://a.example/r"),
                result=ResultSpec(tasks=("a", "b*"), alert_url="https://a.example/a"),
                post=PostSpec(timeout_s=1.5, allow_private=["127.0.0.1"]),
            )
        ),
        messages.Ping(number=5),
        messages.Leave(),
    ],
    "FromService": [
        messages.Pong(number=5),
        messages.ServicesReport(
            rows=[
                messages.ServiceRow(
                    name="web", state=State.BACKOFF, pid=7, since=1700000000.25, restarts=3, reason="killed by SIGKILL", health="äöü"
                )
            ]
        ),
        messages.Health(sentence="the port is taken"),
    ],
}
