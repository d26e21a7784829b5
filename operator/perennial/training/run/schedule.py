"""Decides when `spec.schedule` starts a run. One late run makes up for all missed times.

Status stores the last handled time and the next one. Everything else follows from these two, the
expression and the time, so that neither a restart, a long outage nor a clock that was set back
starts a run twice.
"""

from datetime import datetime, timedelta

from perennial.api.common.cron import Cron, parse_cron
from perennial.api.trainingjob.resource import TrainingJobSpec, TrainingJobStatus
from perennial.core.decision import EventNote
from perennial.core.times import format_time, moment_of

_MAX_CLOCK_SKEW = timedelta(days=1)
"""A last time further in the future than this was written while the clock was wrong."""

_MAX_WAIT_SECONDS = 900.0
"""Longest wait before the clock is read again: the clock may be set, and timers do not follow."""


def with_schedule(
    spec: TrainingJobSpec, status: TrainingJobStatus, now: datetime
) -> tuple[TrainingJobStatus, tuple[EventNote, ...]]:
    """Return the status with up-to-date schedule times, and Events about times that were skipped.

    A new or changed schedule applies from now on: it does not make up for earlier times.
    """
    cron = _cron(spec)
    if cron is None:
        return _with_times(status, None, None), ()
    last, coming = moment_of(status.last_schedule_time), moment_of(status.next_schedule_time)
    known = last is not None and last - now <= _MAX_CLOCK_SKEW and cron.after(last) == coming
    if last is None or not known:
        return _handled_up_to(cron, status, now), ()
    limit = spec.starting_deadline_seconds
    missed = _latest(cron, coming, now)
    if missed is None or limit is None or (now - missed).total_seconds() <= limit:
        return status, ()
    why = f"it did not start within spec.startingDeadlineSeconds ({limit})"
    note = f"the run scheduled for {format_time(missed)} was skipped: {why}"
    return _handled_up_to(cron, status, missed), (EventNote("Warning", "ScheduleMissed", note),)


def due_time(spec: TrainingJobSpec, status: TrainingJobStatus, now: datetime) -> datetime | None:
    """Return the newest time of the schedule that has passed and was not handled; None if there is none."""
    cron = _cron(spec)
    return None if cron is None else _latest(cron, moment_of(status.next_schedule_time), now)


def mark_handled(spec: TrainingJobSpec, status: TrainingJobStatus, now: datetime) -> TrainingJobStatus:
    """Return the status with all passed times handled: one run makes up for all of them."""
    cron, time = _cron(spec), due_time(spec, status, now)
    return status if cron is None or time is None else _handled_up_to(cron, status, time)


def seconds_until_next(status: TrainingJobStatus, now: datetime) -> float | None:
    """Return the seconds until the next time, at most 15 minutes; None without a schedule."""
    coming = moment_of(status.next_schedule_time)
    return None if coming is None else min(max((coming - now).total_seconds(), 0.0), _MAX_WAIT_SECONDS)


def _cron(spec: TrainingJobSpec) -> Cron | None:
    return parse_cron(spec.schedule, spec.time_zone) if spec.schedule else None


def _latest(cron: Cron, coming: datetime | None, now: datetime) -> datetime | None:
    return cron.latest(now) if coming is not None and coming <= now else None


def _handled_up_to(cron: Cron, status: TrainingJobStatus, time: datetime) -> TrainingJobStatus:
    coming = cron.after(time)
    return _with_times(status, format_time(time), format_time(coming) if coming is not None else None)


def _with_times(status: TrainingJobStatus, last: str | None, coming: str | None) -> TrainingJobStatus:
    if (status.last_schedule_time, status.next_schedule_time) == (last, coming):
        return status
    return status.model_copy(update={"last_schedule_time": last, "next_schedule_time": coming})
