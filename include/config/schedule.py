"""When an object's DAG runs: a schedule that can be asked for by name, or a cron expression; always in UTC."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from include.config.cron import is_cron

#: The schedules that can be asked for by name.
SCHEDULES = {
    "hourly": "0 * * * *",
    "every_six_hours": "0 */6 * * *",
    "daily": "0 0 * * *",
    "weekly": "0 0 * * 0",
}


def cron_of(schedule: str) -> str:
    """A schedule as a cron expression in UTC.

    :param schedule: one of `SCHEDULES`, or a cron expression.
    """
    return SCHEDULES.get(schedule, schedule)


def _known(value: str) -> str:
    if value not in SCHEDULES and not is_cron(value):
        raise ValueError(
            f"allowed are {', '.join(SCHEDULES)}, or a cron expression of five parts that comes due, as 0 */6 * * *"
        )
    return value


#: What an object file may say.
Schedule = Annotated[str, AfterValidator(_known)]
