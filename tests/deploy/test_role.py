"""What Airflow may do: what the product calls, on what is the environment's own, and nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest

from include.config.environment import current_environment
from tests.deploy.rendered import ENVIRONMENTS, FROM_OTHER_STACKS, render, source

#: Where `"*"` must stand, because AWS has no resource to name there: statement → why.
EVERYWHERE = {
    "AskIfTheAccountIsPublic": "s3:GetAccountPublicAccessBlock is about the account",
    "FindLogGroups": "logs:DescribeLogGroups lists the account's",
    "Numbers": "cloudwatch:PutMetricData knows namespaces only, by a condition",
}
#: What a name of this account may be open at its end for: statement → why.
OPEN_ENDED = {
    "Queue": "MWAA's queue is in an account of AWS's own, with a name that it chooses",
    "WriteLogs": "MWAA has five log groups, and streams in them",
    "DbtLog": "streams of a log group",
    "NamesOfDatabases": "GetDatabases lists all: names, not tables",
    "SalesforceLoginAndConnections": "Secrets Manager ends a secret's ARN by six letters of its own",
}
#: What the product and its libraries call → by what. Actions that MWAA itself needs are in AWS's own list.
CALLED = {
    "s3:GetObject": "pyiceberg, staged files, dbt-athena",
    "s3:PutObject": "the same",
    "s3:DeleteObject": "upkeep, erasure, dbt-athena",
    "s3:AbortMultipartUpload": "pyarrow writes in parts",
    "s3:ListMultipartUploadParts": "Athena writes in parts",
    "s3:ListBucket": "staged files of a run; Athena",
    "s3:ListBucketMultipartUploads": "Athena",
    "s3:GetBucketLocation": "Athena",
    "glue:GetDatabase": "pyiceberg asks where a new table goes; dbt-athena",
    "glue:GetDatabases": "dbt-athena lists schemas",
    "glue:GetTable": "pyiceberg, dbt-athena",
    "glue:GetTables": "pyiceberg's list_tables, dbt-athena",
    "glue:CreateTable": "pyiceberg, Athena",
    "glue:UpdateTable": "every commit",
    "glue:DeleteTable": "working tables of dbt and of an upsert by Athena",
    "glue:GetPartitions": "Athena's planner",
    "athena:StartQueryExecution": "dbt-athena, AthenaHook",
    "athena:GetQueryExecution": "dbt-athena, AthenaHook",
    "athena:GetQueryResults": "dbt-athena",
    "athena:StopQueryExecution": "dbt-athena, AthenaHook: a task that is stopped",
    "athena:GetWorkGroup": "dbt-athena asks if the workgroup's settings are enforced",
    "athena:GetDataCatalog": "dbt-athena asks what kind of catalog it has",
    "cloudwatch:PutMetricData": "publish_metrics",
    "sns:Publish": "alerts",
    "secretsmanager:GetSecretValue": "the Salesforce login, connections",
    "logs:CreateLogStream": "dbt's log group",
    "logs:PutLogEvents": "dbt's log group",
}


def _statements(environment: str = "production", **given: str) -> list[dict[str, Any]]:
    rendered = render("airflow", environment, **given)
    (role,) = rendered.of_type("AWS::IAM::Role").values()
    documents = [policy["PolicyDocument"] for policy in role["Policies"]]
    documents += [policy["PolicyDocument"] for policy in rendered.of_type("AWS::IAM::Policy").values()]
    return [
        {**one, "Action": _listed(one["Action"]), "Resource": _listed(one["Resource"])}
        for document in documents
        for one in document["Statement"]
    ]


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_no_statement_allows_everything(environment: str) -> None:
    for statement in _statements(environment):
        assert statement["Effect"] == "Allow"
        assert not {"NotAction", "NotResource"} & statement.keys(), statement["Sid"]
        for action in statement["Action"]:
            assert not re.search(r"^\*|:\*$", action), f"{statement['Sid']}: {action}"
        assert ("*" in statement["Resource"]) == (statement["Sid"] in EVERYWHERE), statement["Sid"]
        for resource in statement["Resource"]:
            if resource != "*" and re.search(r"[*?]", resource.removesuffix("/*")):
                assert statement["Sid"] in OPEN_ENDED, f"{statement['Sid']}: {resource}"
            if resource.startswith("arn:aws:s3") or ":glue:" in resource:
                assert not re.search(r":::\*|table/\*|\*/\*", resource), f"{statement['Sid']}: {resource}"


def test_every_exception_is_still_needed() -> None:
    known = {statement["Sid"] for statement in _statements()}
    assert EVERYWHERE.keys() | OPEN_ENDED.keys() <= known


def test_the_pipelines_may_do_what_is_called_and_nothing_else() -> None:
    (role,) = render("airflow", "production").of_type("AWS::IAM::Role").values()
    (pipelines,) = (one for one in role["Policies"] if one["PolicyName"] == "pipelines")
    allowed = {action for one in pipelines["PolicyDocument"]["Statement"] for action in _listed(one["Action"])}
    assert allowed == CALLED.keys()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_buckets_databases_and_workgroup_are_the_environments_own(environment: str) -> None:
    product, foundation = current_environment({"SF_HISTORY_ENV": environment}), render("foundation", environment)
    data = {foundation.outputs[key] for key in ("RawBucketName", "StagingBucketName", "AthenaResultsBucketName")}
    scripts = foundation.outputs["ScriptsBucketName"]
    databases = {product.raw_namespace, product.curated_namespace, product.operations_namespace}
    for statement in _statements(environment):
        for resource in statement["Resource"]:
            if resource.startswith("arn:aws:s3:::"):
                bucket = resource.removeprefix("arn:aws:s3:::").partition("/")[0]
                writes = any(action in ("s3:PutObject", "s3:DeleteObject") for action in statement["Action"])
                assert bucket in (data if writes else data | {scripts}), f"{statement['Sid']}: {resource}"
            if ":glue:" in resource and statement["Sid"] == "TablesOfTheLake":
                kind, _, name = resource.rpartition(":")[2].partition("/")
                assert kind == "catalog" or name.removesuffix("/*") in databases, resource
            if ":workgroup/" in resource:
                assert resource.endswith(f"workgroup/{product.athena_workgroup}")


def test_numbers_go_to_the_products_namespace() -> None:
    (numbers,) = (one for one in _statements() if one["Sid"] == "Numbers")
    product = current_environment({"SF_HISTORY_ENV": "production"})
    # AmazonMWAA is where Airflow on MWAA sends its own.
    assert numbers["Condition"] == {"StringEquals": {"cloudwatch:namespace": [product.metrics_namespace, "AmazonMWAA"]}}


def test_the_key_is_used_through_those_services_only() -> None:
    (key,) = (one for one in _statements() if one["Sid"] == "KeyByServices")
    assert key["Resource"] == [FROM_OTHER_STACKS["KmsKeyArn"]]
    services = {one.split(".")[0] for one in key["Condition"]["StringEquals"]["kms:ViaService"]}
    assert services == {"sqs", "s3", "sns", "secretsmanager"}


def test_one_topic_one_login_and_the_connections() -> None:
    alerts, secrets = (
        next(one for one in _statements() if action in one["Action"])
        for action in ("sns:Publish", "secretsmanager:GetSecretValue")
    )
    assert alerts["Resource"] == [FROM_OTHER_STACKS["AlertTopicArn"]]
    mine, connections = secrets["Resource"]
    assert mine == FROM_OTHER_STACKS["SalesforceSecretArn"]
    assert connections.endswith(":secret:airflow/connections/*")


def test_the_change_queue_is_there_if_one_is_given() -> None:
    queue = "arn:aws:sqs:us-east-1:123456789012:sf-changes"
    assert not [one for one in _statements() if one["Sid"] == "ChangeQueue"]
    (changes,) = (one for one in _statements(ChangeQueueArn=queue) if one["Sid"] == "ChangeQueue")
    assert (changes["Action"], changes["Resource"]) == (["sqs:ReceiveMessage", "sqs:DeleteMessage"], [queue])


def test_a_key_of_the_logins_own_is_used_for_the_login_only() -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/of-the-login"
    assert not [one for one in _statements() if one["Sid"] == "KeyOfTheSecret"]
    (own,) = (one for one in _statements(SalesforceSecretKmsKeyArn=key) if one["Sid"] == "KeyOfTheSecret")
    assert (own["Action"], own["Resource"]) == (["kms:Decrypt"], [key])
    assert own["Condition"] == {"StringEquals": {"kms:ViaService": "secretsmanager.us-east-1.amazonaws.com"}}


@pytest.mark.parametrize("template", ["foundation", "github"])
@pytest.mark.parametrize(
    ("arn", "taken"),
    [
        ("", True),
        ("arn:aws:secretsmanager:us-east-1:123456789012:secret:crm/login-AbC1eF", True),
        ("arn:aws:secretsmanager:us-east-1:123456789012:secret:crm/login", False),
        ("crm/login", False),
    ],
)
def test_a_secret_is_given_by_its_whole_arn(template: str, arn: str, taken: bool) -> None:
    """Without its last six letters IAM takes it for another secret: the role would be refused at run time."""
    pattern = source(template)["Parameters"]["ExistingSalesforceSecretArn"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, arn)) == taken


def test_only_this_environment_can_take_the_role() -> None:
    (role,) = render("airflow", "staging").of_type("AWS::IAM::Role").values()
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert set(trust["Principal"]["Service"]) == {"airflow.amazonaws.com", "airflow-env.amazonaws.com"}
    assert trust["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}
    arn = trust["Condition"]["ArnLike"]["aws:SourceArn"]
    assert arn == "arn:aws:airflow:us-east-1:123456789012:environment/sf-history-staging"


def test_airflow_is_started_from_the_versions_that_were_uploaded() -> None:
    (mwaa,) = (
        render("airflow", "development", PluginsVersion="p1", StartupVersion="s1")
        .of_type("AWS::MWAA::Environment")
        .values()
    )
    assert (mwaa["PluginsS3ObjectVersion"], mwaa["StartupScriptS3ObjectVersion"]) == ("p1", "s1")
    assert "RequirementsS3ObjectVersion" not in mwaa
    assert mwaa["DagS3Path"] == "dags"
    assert all(log["Enabled"] for log in mwaa["LoggingConfiguration"].values())
    assert len(mwaa["LoggingConfiguration"]) == 5


def test_the_secrets_backend_is_one_that_can_be_made() -> None:
    import importlib
    import json

    (mwaa,) = render("airflow", "development").of_type("AWS::MWAA::Environment").values()
    options = mwaa["AirflowConfigurationOptions"]
    module, _, name = options["secrets.backend"].rpartition(".")
    backend = getattr(importlib.import_module(module), name)(**json.loads(options["secrets.backend_kwargs"]))
    assert backend.connections_prefix == "airflow/connections"
    assert backend.get_variable("anything") is None, "a variable would be asked for at every look"
    assert backend.get_config("anything") is None


#: Where GitHub's role has `"*"`: statement → why.
EVERYWHERE_FOR_GITHUB = {
    "MakeTheKey": "a key has no name before it is made; its tag limits it",
    "Look": "lists of the account",
    "LookAtTheNetwork": "lists of the account",
    "Network": "a network has no name before it is made; it can be made in this region only",
}


def _github() -> list[dict[str, Any]]:
    roles = render("github", "production", Repository="example/history").of_type("AWS::IAM::Role").values()
    policies = [policy for role in roles for policy in role["Policies"]]
    return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]


def test_github_deploys_this_environment_and_deletes_nothing_that_holds_data() -> None:
    for statement in _github():
        assert ("*" in _listed(statement["Resource"])) == (statement["Sid"] in EVERYWHERE_FOR_GITHUB), statement["Sid"]
        for action in _listed(statement["Action"]):
            assert not re.search(r"^\*|:\*$", action), action
            lost = r"Delete(Stack|Environment|Database|Table|Secret)|ScheduleKeyDeletion|GetSecretValue"
            assert not re.search(lost, action), f"{action}: that is for a person"
    whose = {one["Sid"]: str(one["Resource"]) for one in _github()}
    assert "stack/sf-history-production-*" in whose["Stacks"]
    assert "lumata-lakehouse-prod-" in whose["Buckets"]


@pytest.mark.parametrize(("role", "environment"), [("DeployRole", "staging"), ("PlanRole", "staging-plan")])
def test_only_jobs_of_one_environment_take_a_role_of_githubs(role: str, environment: str) -> None:
    """A plan waits for no approval: were its jobs trusted with the other role, no approval would protect anything."""
    taken = render("github", "staging", Repository="example@1/history@2").of_type("AWS::IAM::Role")[role]
    (trust,) = taken["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": f"repo:example@1/history@2:environment:{environment}",
        }
    }
