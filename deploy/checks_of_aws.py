"""Checks of what CloudFormation has made: stacks, topic, alarms, the Salesforce login."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError
from rich.console import Console

from deploy.account import Account
from deploy.check import Check, judged
from deploy.credentials import UNSEEN, stored_login
from deploy.names import Names
from deploy.problem import DeployFailed, error_code, explained
from deploy.stack_events import StackEvents
from deploy.stacks import Stacks

_WHOLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE")


def aws_checks(account: Account, names: Names, *, secret: str, own_network: bool) -> Iterator[Check]:
    """The checks.

    :param account: where it is.
    :param names: of the environment.
    :param secret: name or ARN of the secret with the login.
    :param own_network: whether people have given a network of their own.
    """
    stacks = Stacks(account, StackEvents(account, Console(quiet=True)))
    for stack in (names.foundation, *(() if own_network else (names.network,)), names.airflow):
        status = stacks.status(stack)
        remedy = f"make deploy ENV={names.environment}: it makes what is missing, and says what is wrong with the rest."
        yield judged(f"stack {stack}", status in _WHOLE, status or "not there", remedy)
    yield _login(account, names, secret)
    yield _topic(account, names)
    yield from _alarms(account, names)


def _login(account: Account, names: Names, secret: str) -> Check:
    try:
        stored = stored_login(account, secret)
    except DeployFailed as failed:
        return Check("Salesforce login", "failed", f"nothing usable under {secret}", f"{failed.what} {failed.remedy}")
    usable = "has a value; what it is was not looked at" if stored == UNSEEN else "is usable"
    found = f"{secret} {usable}" if stored else f"nothing under {secret}"
    return judged("Salesforce login", stored is not None, found, f"make deploy ENV={names.environment} asks for it.")


def _topic(account: Account, names: Names) -> Check:
    arn = f"arn:{account.partition}:sns:{account.region}:{account.number}:{names.topic}"
    with explained(f"reading the subscriptions of {names.topic}"):
        try:
            pages = account.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=arn)
            ours = [item for page in pages for item in page["Subscriptions"]]
        except ClientError as error:
            if error_code(error) not in ("NotFound", "NotFoundException"):
                raise
            remedy = f"make deploy ENV={names.environment}: the foundation has it."
            return Check("subscriptions of the alerts", "failed", f"there is no topic {names.topic}", remedy)
    confirmed = [item for item in ours if item["SubscriptionArn"].startswith("arn:")]
    if confirmed:
        return Check("subscriptions of the alerts", "ok", f"{len(confirmed)} confirmed of {len(ours)}")
    remedy = (
        f"Nobody hears of failures. Set AlertEmail in deploy/cloudformation/parameters/{names.environment}.json "
        f"and deploy, or: aws sns subscribe --topic-arn {arn} --protocol email --notification-endpoint ADDRESS; "
        "then confirm the mail."
    )
    if not ours:  # an environment may want none: AlertEmail is empty unless somebody sets it
        return Check("subscriptions of the alerts", "warning", "none", remedy)
    return Check("subscriptions of the alerts", "failed", f"{len(ours)} wait for their confirmation", remedy)


def _alarms(account: Account, names: Names) -> Iterator[Check]:
    with explained("reading the alarms"):
        pages = account.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{names.mwaa}-")
        states = {alarm["AlarmName"]: alarm["StateValue"] for page in pages for alarm in page["MetricAlarms"]}
    if not states:
        yield Check("alarms", "failed", "none", f"make deploy ENV={names.environment}: the foundation has them.")
        return
    ringing = sorted(name for name, state in states.items() if state == "ALARM")
    silent = sum(state == "INSUFFICIENT_DATA" for state in states.values())
    found = f"{len(states)} alarms, {len(ringing)} in alarm, {silent} without data yet"
    remedy = f"{', '.join(ringing)}: docs/runbook.md has a section for each."
    yield judged("alarms", not ringing, found, remedy)
