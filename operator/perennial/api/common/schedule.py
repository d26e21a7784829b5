"""Schedule fields that resources share: a cron expression and its time zone."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from perennial.api.common.base import Rule, rules
from perennial.api.common.cron import find_zone, parse_cron


def _cron_field(value: str) -> str:
    """Regular expression of one field: a list of values, ranges or `*`, each with an optional step."""
    item = rf"([*?]|({value})(-({value}))?)(/0*[1-9][0-9]*)?"
    return f"{item}(,{item})*"


_CRON_FIELDS = (
    _cron_field("[0-5]?[0-9]"),
    _cron_field("[01]?[0-9]|2[0-3]"),
    _cron_field("0?[1-9]|[12][0-9]|3[01]"),
    _cron_field("0?[1-9]|1[0-2]|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"),
    _cron_field("0?[0-6]|(?i:sun|mon|tue|wed|thu|fri|sat)"),
)
_CRON = rf"^(@(hourly|daily|weekly|monthly)|({')[ ]+('.join(_CRON_FIELDS)}))$"
_CRON_HELP = (
    "must be five fields as in a CronJob (minute, hour, day of month, month, day of week from 0 for Sunday to 6), "
    "such as '0 * * * *', or @hourly, @daily, @weekly or @monthly"
)


def _check_schedule(value: str) -> str:
    if re.fullmatch(_CRON, value) is None:
        raise ValueError(_CRON_HELP)
    parse_cron(value)
    return value


def _check_zone(value: str) -> str:
    find_zone(value)
    return value


Schedule = Annotated[
    str,
    # A rule instead of a pattern: the API server's error would only quote the pattern.
    Field(
        max_length=128, json_schema_extra=rules(Rule(rule=f"self.matches('{_CRON}')", message=f"schedule {_CRON_HELP}"))
    ),
    AfterValidator(_check_schedule),
]
"""A schedule that a CronJob accepts, so that a mistake is rejected when the resource is written."""

TimeZone = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$"), AfterValidator(_check_zone)]
"""A name of the IANA time zone database, such as Europe/Berlin."""
