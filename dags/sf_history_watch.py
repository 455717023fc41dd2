"""The Airflow DAG that looks after failures which nobody has resolved: `sf_history_watch`."""

from salesforce_history.alerts.watch_dag import build_watch

globals().update(build_watch())
