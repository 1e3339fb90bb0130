"""Between the Core and the service host, and between the service host and each sibling: signs of life, settings, and how the siblings are.

Both lines are socketpairs that the child inherits.  A sibling that misses its deadline is replaced by the host, a host by the Core.
"""

from __future__ import annotations

from efsupervisor.conf.schema import SupervisorSpec
from efsupervisor.messages.core import ServiceRow
from efsupervisor.messages.frame import Message
from efsupervisor.messages.worker import Ping, Pong


class Configure(Message, frozen=True, kw_only=True):
    """The settings in force.  First word on a new line, and again at each change."""

    spec: SupervisorSpec


class Leave(Message, frozen=True, kw_only=True):
    """End in order, now: what is in the spool stays there."""


class ServicesReport(Message, frozen=True, kw_only=True):
    """The host's siblings, at each change."""

    rows: list[ServiceRow]


class Health(Message, frozen=True, kw_only=True):
    """What ails a sibling, for its row; empty: nothing."""

    sentence: str = ""


ToService = Configure | Ping | Leave
FromService = Pong | ServicesReport | Health
