"""The templates, applied: on the simulated AWS, the three stacks one after the other, and what is there then."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest

from include.config.environment import current_environment
from local.cloud.aws import Aws
from tests.deploy.conftest import emptied
from tests.deploy.rendered import FOLDER, TEMPLATES, parameters_of, render, source

ENVIRONMENT = "development"


@dataclass
class Account:
    """An account with the stacks of an environment."""

    aws: Aws
    outputs: dict[str, str] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        keys = self.aws.variables()
        return boto3.client(  # type: ignore[call-overload]
            service,
            region_name=keys["AWS_REGION"],
            endpoint_url=self.aws.endpoint,
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        )

    def apply(self, name: str, **given: str) -> None:
        """Create a stack, or bring it up to date."""
        cloudformation, stack = self.client("cloudformation"), f"sf-history-{ENVIRONMENT}-{name}"
        known = source(name)["Parameters"]
        values = {**self.outputs, **parameters_of(ENVIRONMENT), **given}
        arguments = {
            "StackName": stack,
            "TemplateBody": (FOLDER / f"{name}.yaml").read_text(encoding="utf-8"),
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": values[key]} for key in known.keys() & values.keys()
            ],
            "Capabilities": ["CAPABILITY_IAM"],
        }
        there = [one["StackName"] for one in cloudformation.describe_stacks()["Stacks"]]
        (cloudformation.update_stack if stack in there else cloudformation.create_stack)(**arguments)
        (made,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
        assert made["StackStatus"].endswith("_COMPLETE"), made
        self.outputs |= {one["OutputKey"]: one["OutputValue"] for one in made["Outputs"]}

    def resources(self, name: str) -> dict[str, str]:
        """Logical name → physical one."""
        listed = self.client("cloudformation").list_stack_resources(StackName=f"sf-history-{ENVIRONMENT}-{name}")
        return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed["StackResourceSummaries"]}


@pytest.fixture(scope="module")
def account(aws: Aws) -> Account:
    made = Account(emptied(aws))
    for name in TEMPLATES:
        made.apply(name)
    return made


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_resource_of_the_template_was_made(account: Account, name: str) -> None:
    made = account.resources(name)
    missing = render(name, ENVIRONMENT).resources.keys() - made.keys()
    assert not missing, f"the stand-in for AWS went over {', '.join(sorted(missing))}"


def test_every_output_is_there(account: Account) -> None:
    for name in TEMPLATES:
        assert source(name)["Outputs"].keys() <= account.outputs.keys()
    assert account.outputs["SubnetIds"].count("subnet-") == 2
    assert account.outputs["SalesforceSecretArn"].startswith("arn:aws:secretsmanager:us-east-1:")
    assert account.outputs["EnvironmentName"] == f"sf-history-{ENVIRONMENT}"


@pytest.mark.parametrize(
    "output", ["RawBucketName", "StagingBucketName", "ScriptsBucketName", "AthenaResultsBucketName"]
)
def test_a_bucket_is_as_the_template_says(account: Account, output: str) -> None:
    s3, bucket = account.client("s3"), account.outputs[output]
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == account.outputs["KmsKeyArn"]
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    assert policy["Statement"][0]["Resource"] == [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    rules = {one["ID"]: one for one in s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]}
    assert rules["aborted-uploads"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}
    if output == "StagingBucketName":
        assert rules["staged-files"]["Filter"] == {"Prefix": "salesforce/"}
        assert rules["staged-files"]["Expiration"] == {"Days": 30}


def test_a_catalog_makes_its_tables_in_the_databases_places(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa
    from pyiceberg.catalog import load_catalog

    product = current_environment({"SF_HISTORY_ENV": ENVIRONMENT})
    for name, value in account.aws.variables().items():
        monkeypatch.setenv(name, value)
    catalog = load_catalog("glue", **account.aws.catalog_properties())
    for namespace in (product.raw_namespace, product.curated_namespace, product.operations_namespace):
        catalog.create_namespace_if_not_exists(namespace)
        table = catalog.create_table(f"{namespace}.tried", pa.schema([("id", pa.string())]))
        assert table.location() == f"s3://{account.outputs['RawBucketName']}/{namespace}/tried"
        table.append(pa.table({"id": ["005"]}))
        assert catalog.load_table(f"{namespace}.tried").scan().to_arrow().to_pydict() == {"id": ["005"]}
        catalog.drop_table(f"{namespace}.tried")


def test_the_workgroup_enforces_what_it_says(account: Account) -> None:
    workgroup = account.client("athena").get_work_group(WorkGroup=account.outputs["AthenaWorkgroupName"])["WorkGroup"]
    configuration = workgroup["Configuration"]
    assert configuration["EnforceWorkGroupConfiguration"] is True
    assert configuration["BytesScannedCutoffPerQuery"] == int(parameters_of(ENVIRONMENT)["ScanLimitBytes"])
    encryption = configuration["ResultConfiguration"]["EncryptionConfiguration"]
    assert encryption["KmsKey"] == account.outputs["KmsKeyArn"]


def test_alarms_and_log_groups_are_there(account: Account) -> None:
    alarms = {one["AlarmName"]: one for one in account.client("cloudwatch").describe_alarms()["MetricAlarms"]}
    expected = render("foundation", ENVIRONMENT).of_type("AWS::CloudWatch::Alarm").values()
    assert alarms.keys() == {one["AlarmName"] for one in expected}
    assert all(one["AlarmActions"] == [account.outputs["AlertTopicArn"]] for one in alarms.values())
    assert alarms[f"sf-history-{ENVIRONMENT}-User-IngestionDuration"]["Threshold"] == 1800
    groups = {one["logGroupName"]: one for one in account.client("logs").describe_log_groups()["logGroups"]}
    assert groups[account.outputs["DbtLogGroupName"]]["retentionInDays"] == 30
    assert groups[f"airflow-sf-history-{ENVIRONMENT}-Task"]["retentionInDays"] == 30


def test_the_dashboard_is_json_that_cloudwatch_keeps(account: Account) -> None:
    body = account.client("cloudwatch").get_dashboard(DashboardName=f"sf-history-{ENVIRONMENT}")["DashboardBody"]
    assert len(json.loads(body)["widgets"]) == 14
    assert "${" not in body


def test_the_role_has_the_policies(account: Account) -> None:
    iam, role = account.client("iam"), account.outputs["ExecutionRoleArn"].rpartition("/")[2]
    assert set(iam.list_role_policies(RoleName=role)["PolicyNames"]) == {"airflow", "pipelines"}
    policy = iam.get_role_policy(RoleName=role, PolicyName="pipelines")["PolicyDocument"]
    assert account.outputs["AlertTopicArn"] in json.dumps(policy)


def test_a_change_of_parameters_changes_what_is_there_and_loses_nothing(account: Account) -> None:
    secrets, arn = account.client("secretsmanager"), account.outputs["SalesforceSecretArn"]
    secrets.put_secret_value(SecretId=arn, SecretString='{"username": "integration@example.com"}')
    before = dict(account.outputs)
    account.apply(
        "foundation", AlertEmail="oncall@example.com", IngestionSecondsMaximum="900", ScanLimitBytes="20000000"
    )
    assert account.outputs == before
    assert secrets.get_secret_value(SecretId=arn)["SecretString"] == '{"username": "integration@example.com"}'
    (told,) = account.client("sns").list_subscriptions()["Subscriptions"]
    assert (told["Protocol"], told["Endpoint"]) == ("email", "oncall@example.com")
    (alarm,) = account.client("cloudwatch").describe_alarms(
        AlarmNames=[f"sf-history-{ENVIRONMENT}-User-IngestionDuration"]
    )["MetricAlarms"]
    assert alarm["Threshold"] == 900


def test_what_is_kept_is_there_when_the_stacks_are_gone(account: Account) -> None:
    """The last one: it takes everything away."""
    for name in ("airflow", "foundation"):
        account.client("cloudformation").delete_stack(StackName=f"sf-history-{ENVIRONMENT}-{name}")
    buckets = [one["Name"] for one in account.client("s3").list_buckets()["Buckets"]]
    assert buckets == [account.outputs["RawBucketName"]]
    assert "TlsOnly" in account.client("s3").get_bucket_policy(Bucket=buckets[0])["Policy"]
    assert len(account.client("glue").get_databases()["DatabaseList"]) == 3
    assert len(account.client("secretsmanager").list_secrets()["SecretList"]) == 1
    assert account.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
