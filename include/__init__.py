"""Plain Python of the pipeline: configuration, extraction, quality, Iceberg. Never imports Airflow."""
