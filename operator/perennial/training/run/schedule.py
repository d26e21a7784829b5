"""When the schedule asks for a run. What CronJobs do is done here too: late is better than never, but only once.

Status holds the last time that was dealt with and the next one. Everything else follows from these two, the expression
and the clock, so neither a restart, a long outage nor a clock that was set back runs anything twice.
"""

from datetime import datetime, timedelta

from perennial.api.common.cron import Cron, parse_cron
from perennial.api.trainingjob.resource import TrainingJobSpec, TrainingJobStatus
from perennial.core.clock import moment_of
from perennial.core.decision import EventNote
from perennial.core.times import format_time

_TRUSTED_AHEAD = timedelta(days=1)
"""A last time further ahead of the clock than this was written while the clock was wrong."""

_LONGEST_SLEEP = 900.0
"""Seconds after which the clock is looked at again: it may be set, and timers do not follow it."""


def with_schedule(
    spec: TrainingJobSpec, status: TrainingJobStatus, now: datetime
) -> tuple[TrainingJobStatus, tuple[EventNote, ...]]:
    """Return the status with its schedule's times put right, and Events about times that are passed over.

    A schedule that is new or was changed counts from now: it never makes up for what it would have asked for before.
    """
    cron = _cron(spec)
    if cron is None:
        return _with_times(status, None, None), ()
    last, coming = moment_of(status.last_schedule_time), moment_of(status.next_schedule_time)
    known = last is not None and last - now <= _TRUSTED_AHEAD and cron.after(last) == coming
    if last is None or not known:
        return _dealt_with(cron, status, now), ()
    limit = spec.starting_deadline_seconds
    missed = _latest(cron, coming, now)
    if missed is None or limit is None or (now - missed).total_seconds() <= limit:
        return status, ()
    note = f"the run of {format_time(missed)} could not start within spec.startingDeadlineSeconds ({limit} s)"
    return _dealt_with(cron, status, missed), (EventNote("Warning", "ScheduleMissed", note),)


def due_time(spec: TrainingJobSpec, status: TrainingJobStatus, now: datetime) -> datetime | None:
    """Return the newest time of the schedule that has come and was not dealt with."""
    cron = _cron(spec)
    return None if cron is None else _latest(cron, moment_of(status.next_schedule_time), now)


def answered(spec: TrainingJobSpec, status: TrainingJobStatus, now: datetime) -> TrainingJobStatus:
    """Return the status after a run was started: one run answers every time that has come."""
    cron, time = _cron(spec), due_time(spec, status, now)
    return status if cron is None or time is None else _dealt_with(cron, status, time)


def sleep(status: TrainingJobStatus, now: datetime) -> float | None:
    """Return the seconds until the schedule is to be looked at again, or None without one."""
    coming = moment_of(status.next_schedule_time)
    return None if coming is None else min(max((coming - now).total_seconds(), 0.0), _LONGEST_SLEEP)


def _cron(spec: TrainingJobSpec) -> Cron | None:
    return parse_cron(spec.schedule, spec.time_zone) if spec.schedule else None


def _latest(cron: Cron, coming: datetime | None, now: datetime) -> datetime | None:
    return cron.latest(now) if coming is not None and coming <= now else None


def _dealt_with(cron: Cron, status: TrainingJobStatus, time: datetime) -> TrainingJobStatus:
    coming = cron.after(time)
    return _with_times(status, format_time(time), format_time(coming) if coming is not None else None)


def _with_times(status: TrainingJobStatus, last: str | None, coming: str | None) -> TrainingJobStatus:
    if (status.last_schedule_time, status.next_schedule_time) == (last, coming):
        return status
    return status.model_copy(update={"last_schedule_time": last, "next_schedule_time": coming})
