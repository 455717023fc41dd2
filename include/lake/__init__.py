"""The lake: mirror, changes log and ledger as Iceberg tables, and the upsert that keeps them. Never imports Airflow."""
