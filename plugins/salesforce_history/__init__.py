"""Everything of the pipeline that imports Airflow: connections, operators, the Cosmos group and the DAG itself."""
