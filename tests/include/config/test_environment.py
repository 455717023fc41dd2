"""Environments: their names, and what a wrong setting says."""

from __future__ import annotations

import pytest

from include.config.environment import UnknownEnvironment, current_environment


@pytest.mark.parametrize(
    ("name", "raw", "curated", "staging", "target"),
    [
        (
            "development",
            "sf_raw_development",
            "sf_curated_development",
            "lumata-lakehouse-development-staging",
            "athena",
        ),
        ("staging", "sf_raw_staging", "sf_curated_staging", "lumata-lakehouse-staging-staging", "athena"),
        ("production", "sf_raw_prod", "sf_curated_prod", "lumata-lakehouse-prod-staging", "athena"),
    ],
)
def test_names_of_the_cloud_environments(name: str, raw: str, curated: str, staging: str, target: str) -> None:
    environment = current_environment({"SF_HISTORY_ENV": name})
    assert (environment.raw_namespace, environment.curated_namespace) == (raw, curated)
    assert environment.staging_uri == f"s3://{staging}/salesforce"
    assert environment.dbt_target == target


@pytest.mark.parametrize("name", ["development", "staging", "production"])
def test_dbt_and_the_upkeep_have_the_workgroup_that_is_deployed(name: str) -> None:
    environment = current_environment({"SF_HISTORY_ENV": name})
    assert environment.athena_workgroup == f"sf-history-{name}"
    assert environment.dbt_variables()["SF_HISTORY_ATHENA_WORKGROUP"] == environment.athena_workgroup
    elsewhere = current_environment({"SF_HISTORY_ENV": name, "SF_HISTORY_ATHENA_WORKGROUP": "ours"})
    assert elsewhere.dbt_variables()["SF_HISTORY_ATHENA_WORKGROUP"] == "ours"


def test_the_laptop_is_the_default() -> None:
    environment = current_environment({"SF_HISTORY_LAKE": "/somewhere/lake"})
    assert (environment.name, environment.raw_namespace, environment.dbt_target) == ("local", "sf_raw", "local")
    assert environment.staging_uri == "/somewhere/lake/staging"


def test_every_name_can_be_overridden() -> None:
    environment = current_environment({"SF_HISTORY_ENV": "production", "SF_HISTORY_RAW_NAMESPACE": "bronze"})
    assert environment.raw_namespace == "bronze"
    assert environment.dbt_variables()["SF_HISTORY_RAW_NAMESPACE"] == "bronze"


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"SF_HISTORY_ENV": "prod"}, "SF_HISTORY_ENV is 'prod'; allowed are local, development, staging, production"),
        ({"SF_HISTORY_RAW_NAMESPACE": "raw; drop"}, "SF_HISTORY_RAW_NAMESPACE is 'raw; drop'"),
        ({"SF_HISTORY_STAGING_URI": "s3://bucket"}, "SF_HISTORY_STAGING_URI is 's3://bucket'.*a folder below a bucket"),
        (
            {"SF_HISTORY_QUERY_RESULTS_URI": "s3://results/"},
            "a folder below a bucket, such as s3://my-bucket/salesforce",
        ),
        ({"SF_HISTORY_DBT_TARGET": "spark"}, "SF_HISTORY_DBT_TARGET is 'spark'.*'local', 'trino' or 'athena'"),
    ],
)
def test_a_wrong_setting_says_what_is_allowed(variables: dict[str, str], words: str) -> None:
    with pytest.raises(UnknownEnvironment, match=words):
        current_environment(variables)
