"""The callbacks of DAGs and tasks. What they do is imported when they are called.

Every task parses its DAG, and so does the DAG processor, again and again; a callback is called at the end of few of
them. What callbacks do needs pyiceberg, pyarrow and the Salesforce client, which take seconds to import.
"""

from __future__ import annotations

from airflow.sdk import Context


def tell_of_failure(context: Context) -> None:
    """A DAG's `on_failure_callback`: failure.py.

    :param context: Airflow's.
    """
    from salesforce_history.alerts import failure

    failure.tell_of_failure(context)


def tell_of_recovery(context: Context) -> None:
    """A DAG's `on_success_callback`: failure.py.

    :param context: Airflow's.
    """
    from salesforce_history.alerts import failure

    failure.tell_of_recovery(context)


def tell_of_warnings(context: Context) -> None:
    """Cosmos's `on_warning_callback`: notices.py.

    :param context: the task's, with `test_names` and `test_results`.
    """
    from salesforce_history.alerts import notices

    notices.tell_of_warnings(context)


def tell_of_watch_failure(context: Context) -> None:
    """The watch's `on_failure_callback`: watch_failed.py.

    :param context: Airflow's.
    """
    from salesforce_history.alerts import watch_failed

    watch_failed.tell_of_watch_failure(context)
