"""Whether a text is a cron expression, and a word a time zone.  Pure but for the machine's list of time zones.

The expressions are cronsim's: five fields, or six with the seconds first.  It is imported late, for few configurations have schedules.
"""

from __future__ import annotations

import functools

from efsupervisor.conf.names import nearest, shown

MAX_CRON = 256
"""Characters of one expression; a list of every minute is 169."""
_FIELDS = ("second", "minute", "hour", "day-of-month", "month", "day-of-week")


@functools.lru_cache(maxsize=1024)
def cron_fault(text: str) -> str:
    """Why this is no cron expression, as the end of a sentence that begins with where it stands; empty when it is one."""
    import datetime  # late on purpose, as the next: only schedules need them

    from cronsim import CronSim, CronSimError  # late on purpose

    if len(text) > MAX_CRON or not text.isascii():
        return f"is no cron expression: it may have {MAX_CRON} ASCII characters"
    try:
        times = CronSim(text, datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC))
        next(times)
    except CronSimError as error:
        return f'"{shown(text, 40)}" is no cron expression: {_reason(str(error))}'
    except StopIteration:
        return f'"{shown(text, 40)}" names a time that never comes'
    return ""


def _reason(said: str) -> str:
    """What cronsim said, in words that tell what to write."""
    if "number of fields" in said:
        return "it needs five fields (minute hour day-of-month month day-of-week), or six with the second first"
    field = said.removeprefix("Bad ")
    return f"the {field} is out of its range or cannot be read" if field in _FIELDS else shown(said, 80)


@functools.lru_cache(maxsize=256)
def timezone_fault(name: str) -> str:
    """Why this is no time zone, as the end of a sentence that begins with where it stands; empty when it is one, and for the empty name."""
    from zoneinfo import ZoneInfo, available_timezones  # late on purpose: only schedules need it

    if not name:
        return ""
    try:
        ZoneInfo(name)
    except (OSError, ValueError, LookupError):  # LookupError: ZoneInfoNotFoundError; the others for names that are folders or strange paths
        near = nearest(name, sorted(available_timezones(), key=lambda each: abs(len(each) - len(name))))
        return f'there is no time zone "{shown(name, 40)}"' + (f'; did you mean "{near}"?' if near else "; write one as in Asia/Seoul, or UTC")
    return ""
