"""The Salesforce login that `python -m deploy up` stores: asked for, read from a file, or there already."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.credentials import login_from_file, login_from_prompt
from deploy.problem import DeployFailed
from tests.deploy.conftest import FOUNDATION, LOGIN, SECRET, Scene


def test_a_login_is_asked_for_without_an_echo(scene: Scene) -> None:
    done = scene.at_terminal(
        "up",
        answers=[
            ("Apply this to development (account 123456789012, us-east-1)? Type yes:", "yes"),
            ("[1]:", "2"),
            ("username:", "ada@example.com"),
            ("password:", "planted-password"),
            ("security token (empty if the org trusts your addresses):", "planted-token"),
            ("[login]:", ""),
        ],
    )
    assert done.code == 0, done.text
    assert "ada@example.com" in done.text, "what is no secret is shown"
    assert scene.secret() == {**LOGIN, "domain": "login"}


def test_client_credentials_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    shown = {"[1]:": "", "salesforce.com):": "acme.my.salesforce.com"}
    hidden = {"consumer key:": "planted-key", "consumer secret:": "planted-secret"}

    def answers(known: dict[str, str]) -> Callable[[str], str]:
        return lambda question: next(answer for asked, answer in known.items() if asked in question)

    given = login_from_prompt("development", ask=answers(shown), ask_silently=answers(hidden))
    assert json.loads(given) == {
        "consumer_key": "planted-key",
        "consumer_secret": "planted-secret",
        "domain": "acme.my.salesforce.com",
    }


def test_without_a_login_nothing_begins(scene: Scene) -> None:
    done = scene.run("up", "--yes")
    assert done.code == 1
    assert "development has no Salesforce login yet" in done.text
    assert "CREDENTIALS=file" in done.text
    assert scene.stacks() == {}


def test_a_file_that_others_can_read_is_refused(scene: Scene) -> None:
    scene.login.chmod(0o644)
    done = scene.run("up", "--yes", "--credentials", str(scene.login))
    assert done.code == 1
    assert "can be read by others (mode 0644)" in done.text
    assert f"chmod 600 {scene.login}" in done.text
    assert scene.stacks() == {}


def test_a_file_of_another_shape_is_refused_without_a_word_of_it(scene: Scene) -> None:
    scene.login.write_text(json.dumps({"username": "x", "password": "planted-password"}), encoding="utf-8")
    done = scene.run("up", "--yes", "--credentials", str(scene.login))
    assert done.code == 1
    assert f"the file {scene.login} lacks the keys 'security_token', 'domain'" in done.text
    assert scene.stacks() == {}


def test_a_secret_that_is_there_already_is_used_as_it_is(scene: Scene) -> None:
    secrets = scene.client("secretsmanager")
    arn = secrets.create_secret(Name=SECRET, SecretString=json.dumps(LOGIN))["ARN"]
    said = f"the secret {SECRET} is there already"
    assert said in scene.run("plan").text
    first = scene.run("up", "--yes", "--no-run")
    assert first.code == 0, first.text
    assert said in first.text
    found = scene.client("cloudformation").describe_stacks(StackName=FOUNDATION)["Stacks"][0]
    assert {"ParameterKey": "ExistingSalesforceSecretArn", "ParameterValue": arn} in found["Parameters"]
    assert scene.secret() == LOGIN
    again = scene.run("up", "--yes", "--no-run")
    assert again.code == 0, again.text
    assert "nothing to change" in again.text


def test_a_secret_that_is_to_be_deleted_is_found_out_before_anything_is_made(scene: Scene) -> None:
    secrets = scene.client("secretsmanager")
    secrets.create_secret(Name=SECRET, SecretString=json.dumps(LOGIN))
    secrets.delete_secret(SecretId=SECRET, RecoveryWindowInDays=7)
    done = scene.run("up", "--yes", "--credentials", str(scene.login))
    assert done.code == 1
    assert f"restore-secret --secret-id {SECRET}" in done.text
    assert scene.stacks() == {}


def test_a_value_that_is_no_login_is_not_overwritten_unasked(scene: Scene) -> None:
    value = json.dumps({**LOGIN, "instance_url": "https://acme.example"})
    scene.client("secretsmanager").create_secret(Name=SECRET, SecretString=value)
    done = scene.run("up", "--yes")
    assert done.code == 1
    assert "'instance_url', which does not belong to" in done.text
    assert "not overwritten unasked" in done.text
    assert scene.stacks() == {}
    assert json.loads(value) == scene.secret()
    done = scene.run("up", "--yes", "--no-run", "--credentials", str(scene.login))
    assert done.code == 0, done.text
    assert scene.secret() == LOGIN, "that is asking for it"


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    login = tmp_path / "login.json"
    login.write_text(json.dumps(LOGIN), encoding="utf-8-sig")
    login.chmod(0o600)
    assert json.loads(login_from_file(login)) == LOGIN


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    with pytest.raises(DeployFailed, match="is not a file"):
        login_from_file(pipe)


def test_a_password_is_stored_as_it_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    given = login_from_prompt(
        "development",
        ask=lambda question: "2" if "[1]" in question else " ada@example.com " if "username" in question else "",
        ask_silently=lambda question: " planted-password " if "password" in question else " planted-token ",
    )
    assert json.loads(given) == {**LOGIN, "password": " planted-password ", "domain": "login"}
