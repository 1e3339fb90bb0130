"""The journal: what a task wrote is at once the log a person reads, the queue its consumers read and the result that is collected.

A library without processes; DESIGN section 3.  It deals in bytes and integer offsets and knows nothing of tasks.  One Writer (whoever holds the
task's lock), any number of Readers in other processes, and for a share group one Claims per member.  Rooms:

    folder      names, trusted opening, listing, journal.json        segments    Writer: capture, rotation
    recovery    what a new Writer does before it writes              reader      Reader
    retention   which closed segments may go (a pure decision)       index       the side index: times and checksums
    scan        reading backwards                                    fragments   records without an end
    claims      who of a share group has which event
"""

from __future__ import annotations

from efsupervisor.journal.claimlog import Claim
from efsupervisor.journal.claims import Claims
from efsupervisor.journal.fragments import Fragment
from efsupervisor.journal.reader import Reader
from efsupervisor.journal.segments import Writer

__all__ = ["Claim", "Claims", "Fragment", "Reader", "Writer"]
