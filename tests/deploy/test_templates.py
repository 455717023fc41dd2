"""The templates hold together: they lint, fit what a request takes, and say the names that the product says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from cfnlint.api import lint

from deploy.startup_settings import startup_settings
from include.config.environment import current_environment
from tests.deploy.rendered import ENVIRONMENTS, FOLDER, FROM_OTHER_STACKS, TEMPLATES, parameters_of, render, source

#: Outputs that `python -m deploy` and the next stack read.
OUTPUTS = {
    "foundation": {
        "RawBucketName",
        "StagingBucketName",
        "ScriptsBucketName",
        "AthenaResultsBucketName",
        "KmsKeyArn",
        "AthenaWorkgroupName",
        "AlertTopicArn",
        "SalesforceSecretArn",
        "RawDatabaseName",
        "CuratedDatabaseName",
        "OperationsDatabaseName",
        "DbtLogGroupName",
    },
    "network": {"SubnetIds", "SecurityGroupIds", "VpcId"},
    "airflow": {"EnvironmentName", "EnvironmentArn", "WebserverUrl", "ExecutionRoleArn"},
}
FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_cfn_lint_finds_nothing(path: Path) -> None:
    found = lint(path.read_text(encoding="utf-8"), regions=["us-east-1"])
    assert [f"{one.rule.id}, line {one.linenumber}: {one.message}" for one in found] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_template_fits_into_a_request_and_has_no_yaml_that_cloudformation_lacks(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) <= 51_200, "CreateChangeSet takes 51,200 bytes; more must go through a bucket"
    aliases = [
        event for event in yaml.parse(text) if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None)
    ]
    assert not aliases, "CloudFormation does not take YAML aliases"


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_outputs_are_those_that_are_read(name: str) -> None:
    assert set(source(name)["Outputs"]) == OUTPUTS[name]


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_parameter_says_what_it_is_and_has_a_default_unless_it_comes_from_another_stack(name: str) -> None:
    for key, parameter in source(name)["Parameters"].items():
        assert parameter["Description"].endswith((".", "them.")), key
        assert ("Default" in parameter) != (name == "airflow" and key in FROM_OTHER_STACKS), key


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_parameter_and_condition_is_used(name: str) -> None:
    template = source(name)
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    for key in template["Parameters"]:
        assert re.search(rf"!Ref {key}\b|\$\{{{key}\}}", text), f"parameter {key} changes nothing"
    for key in template.get("Conditions", {}):
        assert re.search(rf"Condition: {key}\b|\[{key},|- {key}\n", text), f"condition {key} decides nothing"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_parameters_file_has_known_parameters_with_allowed_values(environment: str) -> None:
    known = {key: one for name in TEMPLATES for key, one in source(name)["Parameters"].items()}
    for key, value in parameters_of(environment).items():
        assert key in known, f"no template has a parameter {key}"
        assert isinstance(value, str), f"{key}: CloudFormation takes texts"
        allowed = [str(one) for one in known[key].get("AllowedValues", [value])]
        assert value in allowed, f"{key} is {value!r}; allowed are {', '.join(allowed)}"
        assert re.fullmatch(known[key].get("AllowedPattern", ".*"), value), f"{key} is {value!r}"
    assert not parameters_of(environment).keys() & FROM_OTHER_STACKS.keys(), "these come from the other stacks"


@pytest.mark.parametrize("name", TEMPLATES)
def test_defaults_are_allowed_values(name: str) -> None:
    for key, parameter in source(name)["Parameters"].items():
        if "Default" in parameter:
            default = parameter["Default"]
            assert default in parameter.get("AllowedValues", [default]), key
            assert re.fullmatch(parameter.get("AllowedPattern", ".*"), str(default)), key
            assert parameter.get("MinValue", default) <= default <= parameter.get("MaxValue", default), key


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_names_are_those_that_the_product_looks_for(environment: str) -> None:
    product = current_environment({"SF_HISTORY_ENV": environment})
    foundation, airflow = render("foundation", environment), render("airflow", environment)
    outputs = foundation.outputs
    databases = {name: one["DatabaseInput"]["Name"] for name, one in foundation.of_type("AWS::Glue::Database").items()}
    assert databases == {
        "RawDatabase": product.raw_namespace,
        "CuratedDatabase": product.curated_namespace,
        "OperationsDatabase": product.operations_namespace,
    }
    assert outputs["AthenaWorkgroupName"] == product.athena_workgroup
    assert product.staging_uri.startswith(f"s3://{outputs['StagingBucketName']}/")
    (workgroup,) = foundation.of_type("AWS::Athena::WorkGroup").values()
    results = workgroup["WorkGroupConfiguration"]["ResultConfiguration"]["OutputLocation"]
    assert results.startswith(f"s3://{outputs['AthenaResultsBucketName']}/")
    assert results.startswith(f"{product.query_results_uri.rstrip('/')}/"), "the upkeep looks for results elsewhere"
    (mwaa,) = airflow.of_type("AWS::MWAA::Environment").values()
    assert mwaa["SourceBucketArn"] == f"arn:aws:s3:::{outputs['ScriptsBucketName']}"
    assert mwaa["Name"] == f"sf-history-{environment}"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_topic_secret_and_log_groups_have_the_names_that_were_asked_for(environment: str) -> None:
    foundation, tail = render("foundation", environment), "" if environment == "production" else f"-{environment}"
    (topic,), (secret,) = (
        foundation.of_type(kind).values() for kind in ("AWS::SNS::Topic", "AWS::SecretsManager::Secret")
    )
    assert topic["TopicName"] == f"sf-user-pipeline-alerts{tail}"
    assert secret["Name"] == f"salesforce/{environment}/credentials"
    assert not {"SecretString", "GenerateSecretString"} & secret.keys(), "a change of the stack would replace its value"
    groups = {one["LogGroupName"] for one in foundation.of_type("AWS::Logs::LogGroup").values()}
    of_mwaa = {
        f"airflow-sf-history-{environment}-{part}"
        for part in ("DAGProcessing", "Scheduler", "Task", "WebServer", "Worker")
    }
    assert groups == {f"/aws/dbt/sf-user-transformations{tail}", *of_mwaa}


@pytest.mark.parametrize(
    ("parameters", "kind", "number"),
    [
        ({}, "AWS::SNS::Subscription", 0),
        ({"AlertEmail": "oncall@example.com"}, "AWS::SNS::Subscription", 1),
        ({}, "AWS::SecretsManager::Secret", 1),
        (
            {"ExistingSalesforceSecretArn": FROM_OTHER_STACKS["SalesforceSecretArn"]},
            "AWS::SecretsManager::Secret",
            0,
        ),
    ],
)
def test_what_is_not_wanted_is_not_made(parameters: dict[str, str], kind: str, number: int) -> None:
    rendered = render("foundation", "development", **parameters)
    assert len(rendered.of_type(kind)) == number
    if "ExistingSalesforceSecretArn" in parameters:
        assert rendered.outputs["SalesforceSecretArn"] == parameters["ExistingSalesforceSecretArn"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_dbt_makes_its_tables_where_the_curated_database_is(environment: str) -> None:
    """dbt puts a table below <location>/<database>; the staging bucket forgets what is in it."""
    databases = render("foundation", environment).of_type("AWS::Glue::Database")
    curated = databases["CuratedDatabase"]["DatabaseInput"]
    location = startup_settings(environment, {})["SF_HISTORY_CURATED_LOCATION"]
    assert f"{location.rstrip('/')}/{curated['Name']}" == curated["LocationUri"]
