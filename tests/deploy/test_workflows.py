"""The GitHub workflows: they call commands that exist, with no more rights than they need."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.rendered import ENVIRONMENTS, PROJECT

WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (PROJECT / "Makefile").read_text(encoding="utf-8")
#: Publisher/action → majors that are known to run on GitHub's machines.
ACTIONS = {
    "actions/checkout": "v5",
    "actions/setup-python": "v6",
    "actions/cache": "v4",
    "aws-actions/configure-aws-credentials": "v4",
}


def _read(path: Path) -> dict[Any, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def workflow(request: pytest.FixtureRequest) -> dict[Any, Any]:
    return _read(request.param)


def test_there_is_one_for_pull_requests_and_one_that_deploys() -> None:
    assert [path.stem for path in WORKFLOWS] == ["deploy", "pull-request"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_make_target_and_variable_exists(path: Path) -> None:
    known = re.search(r"^KNOWN := (.*)$", MAKEFILE, re.M)
    assert known
    commands = [line for step in _steps(_read(path)) for line in step.get("run", "").splitlines() if "make " in line]
    assert commands
    for command in commands:
        called = re.search(r"\bmake (\S+)((?: [A-Z]+=(?:\"[^\"]*\"|\S+))*)", command)
        assert called, command
        assert re.search(rf"^{called[1]}:.*##", MAKEFILE, re.M), f"there is no `make {called[1]}`"
        for name in re.findall(r" ([A-Z]+)=", called[2]):
            assert name in known[1].split(), f"make does not know {name}"


def test_nothing_but_reading_is_allowed_unless_a_job_says_why(workflow: dict[Any, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        signs_in = any("configure-aws-credentials" in step.get("uses", "") for step in job["steps"])
        allowed = {"contents": "read", "id-token": "write"} if signs_in else {"contents": "read"}
        assert job.get("permissions", workflow["permissions"]) == allowed, name
        assert job["timeout-minutes"] <= 120, name


def test_actions_are_those_and_keep_no_token(workflow: dict[Any, Any]) -> None:
    for step in _steps(workflow):
        if "uses" in step:
            action, _, version = step["uses"].partition("@")
            assert ACTIONS.get(action) == version, f"{step['uses']} is not one that was looked at"
            if action == "actions/checkout":
                assert step["with"]["persist-credentials"] is False


def test_no_text_from_outside_is_put_into_a_script(workflow: dict[Any, Any]) -> None:
    for step in _steps(workflow):
        assert "${{" not in step.get("run", ""), "whoever writes it would write the script: hand it over as a variable"
    assert "pull_request_target" not in workflow[True], "that would run a stranger's change with our rights"
    assert "secrets." not in str(workflow), "credentials come by OIDC"


def _recipe(target: str) -> str:
    """The lines of a target of the Makefile."""
    return "".join(re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE))


def test_a_change_is_checked_as_on_a_laptop() -> None:
    commands = [
        step["run"] for step in _steps(_read(PROJECT / ".github" / "workflows" / "pull-request.yml")) if "run" in step
    ]
    assert {"make lint", "make test"} <= set(commands)
    assert any(re.search(r"compile .*--target athena", command) for command in commands)
    assert " lint-cloud " in _recipe("lint")
    assert "cfn-lint deploy/cloudformation/*.yaml" in _recipe("lint-cloud")
    assert "local.policy_scan" in _recipe("lint-cloud")


def test_a_deployment_shows_its_plan_and_waits_for_an_environments_approval() -> None:
    deploy = _read(PROJECT / ".github" / "workflows" / "deploy.yml")
    choices = deploy[True]["workflow_dispatch"]["inputs"]["environment"]["options"]
    assert tuple(choices) == ENVIRONMENTS
    plan, apply = deploy["jobs"]["plan"], deploy["jobs"]["deploy"]
    assert apply["needs"] == "plan"
    assert apply["environment"] == "${{ inputs.environment || 'development' }}"
    assert plan["environment"] == f"{apply['environment']}-plan"
    roles = [step["with"]["role-to-assume"] for job in (plan, apply) for step in job["steps"] if "role-" in str(step)]
    assert roles == ["${{ vars.AWS_PLAN_ROLE_ARN }}", "${{ vars.AWS_DEPLOY_ROLE_ARN }}"]
    assert any("GITHUB_STEP_SUMMARY" in step.get("run", "") for step in plan["steps"])
    # A failing `make plan` would be hidden by tee without pipefail, which GitHub sets where the shell is named.
    assert all(step["shell"] == "bash" for step in plan["steps"] if "|" in step.get("run", ""))
    assert deploy["concurrency"]["cancel-in-progress"] is False
    assert 'make deploy ENV="$ENVIRONMENT" YES=1' in [step.get("run") for step in apply["steps"]]


def test_scripts_are_bash() -> None:
    for path in WORKFLOWS:
        for step in _steps(_read(path)):
            if "run" in step:
                checked = subprocess.run(["bash", "-n", "-c", step["run"]], capture_output=True, text=True, check=False)
                assert checked.returncode == 0, checked.stderr
