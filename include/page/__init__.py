"""What the page "Salesforce history" shows, read from Iceberg with column and row pruning. No Airflow in here."""
