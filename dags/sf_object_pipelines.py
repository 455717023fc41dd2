"""One Airflow DAG for each Salesforce object file: `sf_user_pipeline`, `sf_account_pipeline`, …"""

from salesforce_history.pipeline import build_pipelines

globals().update(build_pipelines())
