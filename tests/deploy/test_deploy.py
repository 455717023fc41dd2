"""`python -m deploy up` and `plan`, against a simulated AWS, as a process."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any

import pytest
from botocore.parsers import ResponseParserError
from rich.console import Console

from deploy.account import whoami
from deploy.airflow_api import AirflowApi
from deploy.problem import DeployFailed, explained
from deploy.stack_events import StackEvents
from deploy.stacks import Stacks
from deploy.templates import read_template
from deploy.upload import carry_out, compare
from tests.deploy.conftest import FOUNDATION, LOGIN, PROJECT, STARTUP, Scene

SCRIPTS = "lumata-lakehouse-development-scripts"
AIRFLOW = "sf-history-development-airflow"
NETWORK = "sf-history-development-network"


def plans(scene: Scene) -> list[str]:
    listed = scene.client("cloudformation").list_change_sets(StackName=FOUNDATION)["Summaries"]
    return [change_set["ChangeSetName"] for change_set in listed]


def environment(scene: Scene) -> dict[str, Any]:
    found: dict[str, Any] = scene.client("cloudformation").describe_stack_resources(StackName=AIRFLOW)
    return {item["LogicalResourceId"]: item for item in found["StackResources"]}


def keys(scene: Scene) -> set[str]:
    return {item["Key"] for item in scene.client("s3").list_objects_v2(Bucket=SCRIPTS)["Contents"]}


def test_a_plan_shows_everything_and_changes_nothing(scene: Scene) -> None:
    done = scene.run("plan")
    assert done.code == 0, done.text
    assert "development in account 123456789012, us-east-1, as arn:aws:" in done.text
    for expected in ("RawBucket", "AWS::MWAA::Environment", "5 files to upload", "Salesforce login will be asked for"):
        assert expected in done.text
    assert scene.stacks() == {}
    assert scene.client("s3").list_buckets()["Buckets"] == []


def test_from_nothing_to_a_run_and_then_nothing_to_change(scene: Scene) -> None:
    first = scene.run("up", "--yes", "--credentials", str(scene.login))
    assert first.code == 0, first.text
    for expected in (
        "✓ RawBucket",
        "the Salesforce login is stored in salesforce/development/credentials",
        "5 files uploaded, 0 removed",
        "pool salesforce made, 2 slots",
        "pool athena made, 4 slots",
        "sf_user_pipeline is switched on",
        "✓ publish_metrics",
        "https://sf-history-development.c2.us-east-1.airflow.amazonaws.com/dags/sf_user_pipeline/runs/deploy__",
        "✓ development is deployed",
    ):
        assert expected in first.text
    assert set(scene.stacks().values()) == {"CREATE_COMPLETE"}
    assert scene.secret() == LOGIN
    objects = {key: scene.client("s3").head_object(Bucket=SCRIPTS, Key=key) for key in keys(scene)}
    assert objects.keys() == {
        "dags/include/objects/user.yml",
        "dags/sf_object_pipelines.py",
        "plugins.zip",
        "requirements.txt",
        "startup.sh",
    }
    assert all(head["VersionId"] for head in objects.values())

    second = scene.run("up")
    assert second.code == 0, second.text
    assert "development: nothing to change" in second.text
    assert "triggered" not in second.text
    after = {key: scene.client("s3").head_object(Bucket=SCRIPTS, Key=key)["VersionId"] for key in keys(scene)}
    assert after == {key: head["VersionId"] for key, head in objects.items()}, "what is the same is not uploaded again"


def test_only_what_changed_is_uploaded_and_only_then_airflow_is_updated(deployed: Scene) -> None:
    (deployed.bundle / "dags" / "sf_object_pipelines.py").write_text("second\n", encoding="utf-8")
    (deployed.bundle / "dags" / "include" / "objects" / "account.yml").write_text("new\n", encoding="utf-8")
    done = deployed.run("up", "--yes")
    assert "2 files to upload, 0 to remove, 4 as they are" in done.text, done.text
    assert f"{AIRFLOW}: nothing to change" in done.text
    assert deployed.stacks()[AIRFLOW] == "CREATE_COMPLETE", "a DAG file needs no update of the environment"
    assert "triggered" in done.text

    (deployed.bundle / "startup.sh").write_text(f"{STARTUP}second\n", encoding="utf-8")
    (deployed.bundle / "dags" / "include" / "objects" / "account.yml").unlink()
    done = deployed.run("up", "--yes")
    assert "1 files to upload, 1 to remove, 4 as they are" in done.text, done.text
    assert "1 to modify" in done.text
    assert deployed.stacks()[AIRFLOW] == "UPDATE_COMPLETE"
    assert "dags/include/objects/account.yml" not in keys(deployed)
    version = deployed.client("s3").head_object(Bucket=SCRIPTS, Key="startup.sh")["VersionId"]
    parameters = deployed.client("cloudformation").describe_stacks(StackName=AIRFLOW)["Stacks"][0]["Parameters"]
    assert {"ParameterKey": "StartupVersion", "ParameterValue": version} in parameters


def test_a_misspelt_parameter_is_refused_before_anything_is_planned(scene: Scene) -> None:
    done = scene.run("plan", "--parameter", "AlertMail=oncall@example.com")
    assert done.code == 1
    assert "there is no parameter AlertMail; there is AlertEmail." in done.text
    assert scene.stacks() == {}


def test_another_bucket_prefix_is_refused_where_buckets_are(deployed: Scene) -> None:
    before = plans(deployed)
    done = deployed.run("up", "--yes", "--bucket-prefix", "elsewhere")
    assert done.code == 1
    assert "the buckets of development begin with lumata-lakehouse, and BucketPrefix is elsewhere." in done.text
    assert plans(deployed) == before


def test_a_page_of_a_proxy_is_no_traceback() -> None:
    with pytest.raises(DeployFailed, match="did not answer as AWS does") as failed, explained("looking"):
        raise ResponseParserError("Unable to parse response (syntax error), invalid XML received")
    assert "AWS_ENDPOINT_URL" in failed.value.remedy


def test_who_says_no_changes_nothing(scene: Scene) -> None:
    done = scene.at_terminal("up", answers=[("Type yes:", "y")])
    assert done.code == 1
    assert "nothing was changed." in done.text
    assert scene.stacks() == {}


def test_nobody_is_asked_where_nobody_sits(scene: Scene) -> None:
    done = scene.run("up")
    assert done.code == 1
    assert "no terminal" in done.text
    assert "YES=1" in done.text
    assert scene.stacks() == {}


def test_a_killed_deployment_is_taken_up_where_it_ended(scene: Scene) -> None:
    scene.faults(stack_seconds=600)
    killed = scene.start("up", "--yes", "--credentials", str(scene.login))
    scene.read_until(killed, "CREATE_IN_PROGRESS")
    killed.send_signal(signal.SIGKILL)
    scene.read_rest(killed)
    assert killed.returncode == -signal.SIGKILL
    assert scene.stacks()[FOUNDATION] == "CREATE_IN_PROGRESS"
    again = scene.start("up", "--yes", "--credentials", str(scene.login))
    scene.read_until(again, f"{FOUNDATION} is CREATE_IN_PROGRESS: an earlier deploy, or somebody else, is at it.")
    scene.faults()
    done = scene.read_rest(again)
    assert done.code == 0, done.text
    assert f"{FOUNDATION}: nothing to change" in done.text
    assert set(scene.stacks().values()) == {"CREATE_COMPLETE"}
    assert scene.secret() == LOGIN


def test_ctrl_c_says_how_to_go_on(scene: Scene) -> None:
    scene.faults(stack_seconds=600)
    process = scene.start("up", "--yes", "--credentials", str(scene.login))
    scene.read_until(process, "CREATE_IN_PROGRESS")
    process.send_signal(signal.SIGINT)
    done = scene.read_rest(process)
    assert done.code == 130
    assert "Run the same command again" in done.text
    assert "Traceback" not in done.text


def test_ctrl_c_before_anything_has_begun_says_so(scene: Scene) -> None:
    done = scene.at_terminal("up", answers=[("Type yes:", "\x03")])
    assert done.code == 130
    assert "Interrupted. Nothing was changed." in done.text
    assert scene.stacks() == {}


TAKEN = (
    'Resource handler returned message: "lumata-lakehouse-development-raw already exists (Service: S3, '
    'Status Code: 409, Request ID: 1)" (RequestToken: 1, HandlerErrorCode: AlreadyExists)'
)


def test_what_fails_says_what_to_do_and_that_helps(scene: Scene) -> None:
    """One account, one mishap after the other, each mended as its message says."""
    arguments = ("up", "--yes", "--credentials", str(scene.login))

    scene.faults(
        refused_plan="The following hook(s)/validation failed: [AWS::EarlyValidation::ResourceExistenceCheck]."
    )
    done = scene.run(*arguments)
    assert done.code == 1
    assert "choose a BucketPrefix of your own" in done.text
    assert scene.stacks() == {}, "nor is an empty stack left"

    scene.faults(failing_resource="RawBucket", reason=TAKEN)
    done = scene.run(*arguments)
    assert done.code == 1
    assert f"the stack {FOUNDATION} ended in ROLLBACK_COMPLETE.\n  - RawBucket (AWS::S3::Bucket): {TAKEN}" in done.text
    assert "choose a BucketPrefix of your own" in done.text
    remedy = f"aws cloudformation delete-stack --stack-name {FOUNDATION}"
    assert remedy in done.text

    scene.faults()
    done = scene.run(*arguments)
    assert done.code == 1
    assert f"the stack {FOUNDATION} is ROLLBACK_COMPLETE: it could not be made" in done.text
    assert "RawBucket" in done.text, "the reason is told again"
    assert remedy in done.text

    scene.client("cloudformation").delete_stack(StackName=FOUNDATION)
    scene.faults(failing_resource="Airflow", reason="Environment sf-history-development is CREATE_FAILED")
    done = scene.run(*arguments)
    assert done.code == 1
    assert f"the stack {AIRFLOW} ended in ROLLBACK_COMPLETE" in done.text
    assert "The log groups airflow-<environment>-* say why" in done.text
    assert f"aws cloudformation delete-stack --stack-name {AIRFLOW}" in done.text
    assert scene.stacks() == {FOUNDATION: "CREATE_COMPLETE", NETWORK: "CREATE_COMPLETE", AIRFLOW: "ROLLBACK_COMPLETE"}

    scene.client("cloudformation").delete_stack(StackName=AIRFLOW)
    scene.faults()
    done = scene.run(*arguments)
    assert done.code == 0, done.text
    assert "5 as they are" in done.text or "nothing to upload" in done.text, "the files were there already"

    broken = {"status": "CREATE_FAILED", "error": "the subnets have no way out"}
    scene.faults(environments={"sf-history-development": broken})
    done = scene.run(*arguments)
    assert done.code == 1
    said = (
        "the MWAA environment sf-history-development is CREATE_FAILED: INCORRECT_CONFIGURATION the subnets have no way"
    )
    assert said in done.text
    assert "make destroy ENV=… (data stays), make deploy ENV=…" in done.text


def test_a_run_that_is_still_going_on_is_waited_for(deployed: Scene) -> None:
    (deployed.bundle / "startup.sh").write_text(f"{STARTUP}second\n", encoding="utf-8")
    deployed.client("mwaa").invoke_rest_api(
        Name="sf-history-development",
        Method="POST",
        Path="/dags/sf_user_pipeline/dagRuns",
        Body={"dag_run_id": "deploy__earlier", "logical_date": None},
    )
    done = deployed.run("up", "--yes")
    assert done.code == 0, done.text
    assert "deploy__earlier is still going on" in done.text
    assert "triggered" not in done.text


def test_the_bundle_of_another_environment_is_refused(scene: Scene) -> None:
    (scene.bundle / "startup.sh").write_text("export SF_HISTORY_ENV=production\n", encoding="utf-8")
    done = scene.run("plan")
    assert done.code == 1
    assert f"the bundle in {scene.bundle} is production's, not development's" in done.text
    assert scene.stacks() == {}


def test_a_file_that_has_changed_since_the_plan_is_not_uploaded(scene: Scene) -> None:
    account = whoami()
    scene.outputs.append("nothing is printed here")
    scene.client("s3").create_bucket(Bucket=SCRIPTS)
    upload = compare(account, SCRIPTS, scene.bundle, there=False)
    (scene.bundle / "startup.sh").write_text("export SF_HISTORY_ENV=production\n", encoding="utf-8")
    with pytest.raises(DeployFailed, match=r"startup\.sh has changed since the plan was shown"):
        carry_out(account, upload)
    assert "startup.sh" not in keys(scene)


def test_a_plan_that_is_dropped_leaves_the_stack_that_another_plan_is_in(scene: Scene) -> None:
    scene.outputs.append("nothing is printed here")
    account = whoami()
    ours = Stacks(account, StackEvents(account, Console(quiet=True)), pause=0.02)
    values = {"Environment": "development", "Suffix": "development"}
    first = ours.propose(FOUNDATION, read_template("foundation"), values)
    scene.client("cloudformation").create_change_set(
        StackName=FOUNDATION,
        ChangeSetName="of-somebody-else",
        ChangeSetType="CREATE",
        TemplateBody=read_template("foundation").body,
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()],
    )
    ours.discard(first)
    assert FOUNDATION in scene.stacks()


@pytest.mark.parametrize("target", ["deploy", "plan", "destroy", "verify", "ddl", "mwaa"])
def test_the_environment_is_no_part_of_the_command(target: str) -> None:
    command = ["make", "-n", "-o", ".venv/.ready", "-o", "dbt/target/manifest.json", target]
    planted = 'x"; echo planted; echo "$(shell echo expanded)'
    usual = {**os.environ, "ENV": "of-the-shell"}
    shown = subprocess.run(
        [*command, f"ENV={planted}"], cwd=PROJECT, env=usual, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    assert "python -m deploy" in shown.stdout
    assert "planted" not in shown.stdout
    assert "expanded" not in shown.stdout
    shown = subprocess.run(command, cwd=PROJECT, env=usual, capture_output=True, text=True, check=False)
    assert "of-the-shell" not in shown.stdout


def test_the_shells_own_env_is_no_name() -> None:
    asked = ["make", "-o", ".venv/.ready", "verify"]
    said = subprocess.run(
        asked, cwd=PROJECT, env={**os.environ, "ENV": "production"}, capture_output=True, text=True, check=False
    )
    assert said.returncode == 2
    assert "which environment? make verify ENV=development" in said.stderr


def test_a_run_whose_trigger_was_answered_twice_is_one_run(deployed: Scene) -> None:
    """The first answer is lost, boto3 asks again, and Airflow says that the run exists already."""
    api = AirflowApi(whoami(region="us-east-1"), "sf-history-development")
    first = api.trigger("sf_user_pipeline", "deploy__once")
    assert api.trigger("sf_user_pipeline", "deploy__once")["dag_run_id"] == first["dag_run_id"]
    assert [run["dag_run_id"] for run in api.runs("sf_user_pipeline")].count("deploy__once") == 1
