"""The commands of the deploy workflow, where AWS refuses whatever the workflow's roles are not allowed."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from tests.deploy.conftest import STARTUP, Scene
from tests.deploy.rendered import render

#: What IAM calls a service and an operation where boto3 calls them otherwise.
_SERVICES = {"monitoring": "cloudwatch"}
_ACTIONS = {
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:DeleteObjects": "s3:DeleteObject",
}
#: Nobody needs a right to ask who they are.
_FREE = {"sts:GetCallerIdentity"}
SCRIPTS, RAW = "lumata-lakehouse-development-scripts", "lumata-lakehouse-development-raw"


def statements(role: str) -> list[dict[str, Any]]:
    """The statements of a role of github.yaml, for development."""
    found = render("github", "development", Repository="example/history").of_type("AWS::IAM::Role")[role]
    return [one for policy in found["Policies"] for one in policy["PolicyDocument"]["Statement"]]


def allowed(role: str, action: str, resource: str | None = None) -> bool:
    """Whether a role may do something; None: on anything."""
    for one in statements(role):
        actions, resources = (
            value if isinstance(value, list) else [value] for value in (one["Action"], one["Resource"])
        )
        if any(fnmatchcase(action, each) for each in actions) and (
            resource is None or any(fnmatchcase(resource, each) for each in resources)
        ):
            return True
    return False


@pytest.fixture
def act_as(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """From now on AWS refuses what a role is not allowed; the list fills with what was refused."""
    make_call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def act(role: str) -> list[str]:
        refused: list[str] = []

        def call(client: Any, operation: str, given: dict[str, Any]) -> Any:
            prefix = client.meta.service_model.endpoint_prefix
            called = f"{_SERVICES.get(prefix, prefix)}:{operation}"
            action = _ACTIONS.get(called, called)
            resource = None
            if "Bucket" in given:
                inside = "/key" if action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject") else ""
                resource = f"arn:aws:s3:::{given['Bucket']}{inside}"
            if action not in _FREE and not allowed(role, action, resource):
                refused.append(action)
                message = f"User is not authorized to perform: {action}"
                raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": message}}, operation)
            return make_call(client, operation, given)

        monkeypatch.setattr(BaseClient, "_make_api_call", call)
        return refused

    return act


def test_the_role_of_the_plan_suffices_for_the_plan(deployed: Scene, act_as: Callable[[str], list[str]]) -> None:
    (deployed.bundle / "startup.sh").write_text(f"{STARTUP}second\n", encoding="utf-8")
    refused = act_as("PlanRole")
    done = deployed.run("plan")
    assert done.code == 0, done.text
    assert "1 files to upload" in done.text
    assert "has a value; what it is was not looked at" in done.text
    assert "will be asked for" not in done.text
    assert set(refused) == {"secretsmanager:GetSecretValue"}


def test_the_role_of_the_plan_changes_nothing(deployed: Scene, act_as: Callable[[str], list[str]]) -> None:
    (deployed.bundle / "startup.sh").write_text(f"{STARTUP}second\n", encoding="utf-8")
    before = deployed.client("s3").head_object(Bucket=SCRIPTS, Key="startup.sh")["VersionId"]
    refused = act_as("PlanRole")
    assert deployed.run("up", "--yes").code == 1
    assert "s3:PutObject" in refused
    act_as("DeployRole")
    assert deployed.client("s3").head_object(Bucket=SCRIPTS, Key="startup.sh")["VersionId"] == before
    for one in statements("PlanRole"):
        actions = one["Action"] if isinstance(one["Action"], list) else [one["Action"]]
        for action in actions:
            name = action.partition(":")[2]
            harmless = ("CreateChangeSet", "DeleteChangeSet", "TagResource", "Decrypt")
            assert name in harmless or name.startswith(("Describe", "Get", "List")), action


def test_the_role_that_deploys_suffices_for_deploying_and_verifying(
    deployed: Scene, act_as: Callable[[str], list[str]]
) -> None:
    (deployed.bundle / "startup.sh").write_text(f"{STARTUP}second\n", encoding="utf-8")
    (deployed.bundle / "dags" / "include" / "objects" / "user.yml").unlink()
    refused = act_as("DeployRole")
    done = deployed.run("up", "--yes")
    assert done.code == 0, done.text
    assert "1 files uploaded, 1 removed" in done.text
    checked = deployed.run("verify")
    assert "may not" not in checked.text, checked.text
    assert "has a value; what it is was not looked at" in checked.text
    assert set(refused) == {"secretsmanager:GetSecretValue"}


def test_a_login_that_is_not_there_is_missed_without_the_right_to_read_it(
    deployed: Scene, act_as: Callable[[str], list[str]]
) -> None:
    secrets = deployed.client("secretsmanager")
    secrets.delete_secret(SecretId="salesforce/development/credentials", ForceDeleteWithoutRecovery=True)
    secrets.create_secret(Name="salesforce/development/credentials")
    act_as("PlanRole")
    done = deployed.run("plan")
    assert done.code == 0, done.text
    assert "the Salesforce login will be asked for" in done.text


def test_what_pyarrow_reads_beside_boto3_may_be_read() -> None:
    for action, resource in (("s3:GetObject", f"arn:aws:s3:::{RAW}/key"), ("s3:ListBucket", f"arn:aws:s3:::{RAW}")):
        assert allowed("DeployRole", action, resource)
        assert not allowed("PlanRole", action, resource), "a plan looks at no record"
    assert not allowed("DeployRole", "s3:PutObject", f"arn:aws:s3:::{RAW}/key")
    assert allowed("DeployRole", "kms:Decrypt")


def test_what_pyarrow_is_refused_is_a_failed_check(deployed: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise PermissionError("AWS Error ACCESS_DENIED during HeadObject operation")

    monkeypatch.setattr("deploy.verify.open_lake", refused)
    done = deployed.run("verify")
    assert done.code == 1
    assert "looking at history: AWS Error ACCESS_DENIED" in done.text
    assert "s3:GetObject" in done.text
