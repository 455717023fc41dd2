"""When a pipeline runs: by the clock, and, where a queue of changes is configured, when something has changed."""

from __future__ import annotations

from airflow.sdk import Asset, AssetOrTimeSchedule, AssetWatcher, CronDataIntervalTimetable
from airflow.sdk.bases.timetable import BaseTimetable

from include.config.environment import Environment
from include.config.object_file import ObjectFile
from salesforce_history.change_queue import ChangeQueueTrigger

#: Where the URL of the queue holds this, every object has a queue of its own.
TABLE = "{table}"


def pipeline_schedule(object_file: ObjectFile, environment: Environment) -> BaseTimetable:
    """The schedule of an object's pipeline.

    Scheduled runs have their data interval either way. A run that a message has started has none, and goes on from the
    watermark. Messages that come while a run goes on are answered by one run after it.

    :param object_file: the object; its `schedule` is the clock.
    :param environment: its `change_queue_url` is the queue.
    """
    clock = CronDataIntervalTimetable(object_file.cron, timezone="UTC")
    if not environment.change_queue_url:
        return clock
    return AssetOrTimeSchedule(timetable=clock, assets=[watched(object_file, environment)])


def watched(object_file: ObjectFile, environment: Environment) -> Asset:
    """What a message on the queue says has changed: the object, or, with one queue for all, something in Salesforce.

    :param object_file: the object.
    :param environment: where the queue is.
    """
    url = environment.change_queue_url
    name = f"salesforce_changes.{object_file.table}" if TABLE in url else "salesforce_changes"
    trigger = ChangeQueueTrigger(queue_url=url.replace(TABLE, object_file.table), aws_conn_id=environment.aws_conn_id)
    return Asset(name, watchers=[AssetWatcher(name=f"{name}.queue", trigger=trigger)])
