"""ResultCollector: the results of tasks, read from their journals, and the alerts of the Core; both go to a web server when one is set.

Results are not copied: a question reads the journals' ends, a post reads them from the cursor on.  Alerts come by long polls, one at a time, so one
that a task causes is on its way to the server at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

import msgspec

from efsupervisor.conf.schema import SupervisorSpec
from efsupervisor.core.collector.alerts import NAME as ALERTS
from efsupervisor.core.collector.alerts import Alerts
from efsupervisor.core.collector.harvest import Harvest
from efsupervisor.core.collector.stream import Stream
from efsupervisor.core.dealer import Dealer, Query
from efsupervisor.core.sibling import Sibling
from efsupervisor.errors import Code, EfError
from efsupervisor.messages.call import Answer, Call, Events, ResultQuery, Results, Specs
from efsupervisor.reactor import Timer
from efsupervisor.system import short_id
from efsupervisor.task.paths import TaskPaths

NAME = "result"
LIST_S = 5.0
"""How often it is asked which tasks there are."""

LOOK_S = 0.5
"""How often the journals are looked at while results are posted."""

WAIT_S = 30.0
"""How long the Core may keep a question for alerts."""

AGAIN_S = 0.2
MAX_ROWS = 1000


class ResultCollector:
    """The sibling's part; made once in its process."""

    def __init__(self, sibling: Sibling) -> None:
        self._sibling = sibling
        self._harvest = Harvest(sibling.system)
        self._alerts = Alerts()
        self._polling = ""
        self._begun = False
        self._looking: Timer | None = None
        self._listing: Timer | None = None
        self._results = Stream(
            sibling, NAME, self._harvest, url_of=lambda spec: spec.result.url, fresh=dict, ailing=self._ailing
        )  # fmt: skip
        self._posts = Stream(
            sibling, ALERTS, self._alerts, url_of=lambda spec: spec.result.alert_url, fresh=dict, ailing=self._ailing
        )  # fmt: skip
        self._dealer = Dealer(sibling.reactor, sibling.run_dir, on_query=self._queried)
        self._dealer.here(NAME)
        sibling.on_configure(self._configure)
        self._alerts.begin(self._posts.position)
        self._list()
        self._poll()

    def close(self) -> None:
        """Give everything back."""
        self._results.close()
        self._posts.close()
        self._dealer.close()
        self._harvest.close()

    # Which tasks -----------------------------------------------------------------------------------------------------------------------------------

    def _list(self) -> None:
        fields = msgspec.Raw(msgspec.json.encode({"names": list(self._sibling.spec.result.tasks)}))
        call = Call(id=uuid.uuid4().hex, verb="task.show", fields=fields)
        self._dealer.ask(call, self._listed, self._not_listed)

    def _listed(self, answer: Answer) -> None:
        assert isinstance(answer, Specs)
        tasks = {short_id(row.spec.name): (row.spec.name, TaskPaths(row.folder).out_journal) for row in answer.rows if row.folder}
        gone = self._harvest.arrange(tasks)
        cursor = self._results.cursor
        if cursor is not None:
            if not self._begun and not cursor.state.position and cursor.pending is None:
                cursor.skipped(self._harvest.ends(), 0)  # a stream that begins now tells of what comes, not of years
            self._begun = True
            cursor.forget(gone)
            self._look()
        self._list_in(LIST_S)

    def _not_listed(self, error: EfError) -> None:
        if error.code is not Code.NOT_RUNNING:
            self._sibling.log.warning("which tasks there are could not be asked: %s", error.message)
        self._list_in(LIST_S if self._begun else AGAIN_S)

    def _list_in(self, delay_s: float) -> None:
        if self._listing is not None:
            self._listing.cancel()
        self._listing = self._sibling.reactor.after(delay_s, self._list)

    def _look(self) -> None:
        """Post what is new; again and again as long as results are posted, by one chain of timers."""
        if self._results.awake:
            self._results.poke()
            if self._looking is not None:
                self._looking.cancel()
            self._looking = self._sibling.reactor.after(LOOK_S, self._look)

    # Alerts ----------------------------------------------------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        """One question for alerts at a time; none while nobody wants them or too many are held."""
        if self._polling or not self._posts.awake:
            return
        if not self._alerts.has_room:
            self._sibling.reactor.after(AGAIN_S, self._poll)
            return
        since = self._alerts.next_seq
        fields = {"since": since, "limit": MAX_ROWS, "wait_s": 0.0 if since is None else WAIT_S, "what": ["alert"]}
        self._polling = uuid.uuid4().hex
        call = Call(id=self._polling, verb="daemon.events", fields=msgspec.Raw(msgspec.json.encode(fields)), deadline_s=WAIT_S + 5)
        self._dealer.ask(call, self._fetched, self._not_fetched, deadline_s=WAIT_S + 10)

    def _fetched(self, answer: Answer) -> None:
        assert isinstance(answer, Events)
        self._polling = ""
        fresh = self._alerts.next_seq is None
        self._alerts.fetched(answer.rows, answer.next, answer.lost)
        if fresh and self._posts.cursor is not None:
            self._posts.cursor.skipped({ALERTS: answer.next}, 0)
        self._posts.poke()
        self._poll()

    def _not_fetched(self, _error: EfError) -> None:
        self._polling = ""
        self._sibling.reactor.after(AGAIN_S, self._poll)

    # Being asked -----------------------------------------------------------------------------------------------------------------------------------

    def _queried(self, query: Query, answer: Callable[[Answer | EfError], None]) -> None:
        if not isinstance(query, ResultQuery):
            answer(EfError("the result collector knows results only", Code.BAD_REQUEST))
            return
        limit = min(query.limit, self._sibling.spec.result.keep)
        posted, waiting, dropped = (sum(figures) for figures in zip(self._results.figures, self._posts.figures, strict=True))
        answer(Results(rows=self._harvest.last(set(query.names), limit), posted=posted, waiting=waiting, dropped=dropped))

    def _configure(self, _spec: SupervisorSpec) -> None:
        slept = not self._posts.awake
        self._results.configure()
        self._posts.configure()
        if slept and self._posts.awake:
            self._alerts.begin(self._posts.position)
        self._poll()
        self._list_in(0.0)

    def _ailing(self) -> None:
        self._sibling.health("; ".join(filter(None, (self._results.ailment, self._posts.ailment))))


def main(sibling: Sibling) -> None:
    """The sibling's process."""
    collector = ResultCollector(sibling)
    sibling.run()
    collector.close()
