# Astro: `astro dev start` and `astro deploy` build from here. The base image installs packages.txt and
# requirements.txt and copies the project; what is left is the dbt manifest that the DAGs are drawn from, and dbt's docs,
# which Cosmos shows in Airflow's navigation. Neither connects to anything.
FROM astrocrpublic.azurecr.io/runtime:3.3-8-python-3.12

ENV SF_HISTORY_ENV=development \
    PYTHONPATH=/usr/local/airflow:/usr/local/airflow/plugins \
    AIRFLOW__COSMOS__DBT_DOCS_PROJECTS='{"salesforce_history":{"dir":"/usr/local/airflow/dbt/target","name":"Salesforce history: dbt docs"}}'

RUN dbt parse --quiet --project-dir dbt --profiles-dir dbt --target athena \
    && dbt docs generate --quiet --no-compile --empty-catalog --project-dir dbt --profiles-dir dbt --target athena
