"""The weekly upkeep of the lake, as an Airflow DAG: `lakehouse_maintenance`."""

from salesforce_history.upkeep import build_upkeep

lakehouse_maintenance = build_upkeep()
