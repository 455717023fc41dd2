"""The page "Salesforce history": a FastAPI application below Airflow's own, behind Airflow's authentication."""
