"""CloudFormation stacks: what state they are in, change sets, and how they are applied and deleted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from deploy.account import Account
from deploy.problem import DeployFailed, error_text, explained
from deploy.stack_events import TAKEN_BUCKET, StackEvents
from deploy.templates import Template

#: Made by a change set that was never executed: there is nothing in it.
UNMADE = "REVIEW_IN_PROGRESS"
_DEAD = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")
_NOTHING = ("didn't contain changes", "No updates are to be performed")
#: CloudFormation looks for resources of the same names before it makes any, and does not say which it found.
_TAKEN = "ResourceExistenceCheck"
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]


@dataclass(frozen=True)
class Change:
    """What would become of a resource.

    :param action: Add, Modify, Remove or Import.
    :param resource: its logical name.
    :param kind: its type.
    :param replacement: True, Conditional or False; empty where AWS says nothing.
    """

    action: str
    resource: str
    kind: str
    replacement: str = ""


@dataclass(frozen=True)
class ChangeSet:
    """What would become of a stack.

    :param stack: its name.
    :param arn: of the change set; empty: nothing changes.
    :param changes: in AWS's order.
    :param new: whether the stack is made by it.
    """

    stack: str
    arn: str = ""
    changes: tuple[Change, ...] = field(default=())
    new: bool = False


class Stacks:
    """The stacks of an account and region.

    :param account: where.
    :param events: shows what happens while one waits.
    :param pause: between two looks at a stack, in seconds.
    """

    def __init__(self, account: Account, events: StackEvents, *, pause: float = 5.0) -> None:
        self._client = account.client("cloudformation")
        self._events, self._pause = events, pause

    def status(self, name: str) -> str | None:
        """A stack's status; None: there is no such stack, or nothing in it.

        :param name: of the stack.
        """
        found = self._describe(name)
        return None if found is None or found["StackStatus"] == UNMADE else str(found["StackStatus"])

    def outputs(self, name: str) -> dict[str, str]:
        """A stack's outputs; none where it is not there.

        :param name: of the stack.
        """
        found = self._describe(name) or {}
        return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs") or []}

    def parameters(self, name: str) -> dict[str, str]:
        """A stack's parameters as they are; none where it is not there.

        :param name: of the stack.
        """
        found = self._describe(name) or {}
        return {one["ParameterKey"]: one.get("ParameterValue", "") for one in found.get("Parameters") or []}

    def settle(self, name: str) -> None:
        """Wait until nothing is going on with a stack, and refuse one that cannot be changed.

        :param name: of the stack.
        :raises DeployFailed: with what to do about it.
        """
        status = self.status(name)
        if status and status.endswith("_IN_PROGRESS"):
            self._events.say(
                f"{name} is {status}: an earlier deploy, or somebody else, is at it. Waiting for it to end."
            )
            status = self._wait(name, since=None)
        if status in _DEAD:
            raise DeployFailed(
                f"the stack {name} is {status}: it could not be made or deleted.{self._why(name)}",
                f"Remove what there is of it: aws cloudformation delete-stack --stack-name {name}. Set right what it "
                "names, then run the same command again.",
            )
        if status == "UPDATE_ROLLBACK_FAILED":
            raise DeployFailed(
                f"the stack {name} is {status}: a change failed, and could not be taken back.{self._why(name)}",
                f"Set right what it names, then: aws cloudformation continue-update-rollback --stack-name {name}; then "
                "run the same command again.",
            )

    def propose(self, name: str, template: Template, values: Mapping[str, str]) -> ChangeSet:
        """Ask CloudFormation what a template and its parameters would change. Nothing is applied.

        :param name: of the stack.
        :param template: what is wanted.
        :param values: parameters, those of other templates among them.
        """
        new = self.status(name) is None
        with explained(f"planning the stack {name}"):
            made = self._client.create_change_set(
                StackName=name,
                ChangeSetName=f"deploy-{time.time_ns()}",
                ChangeSetType="CREATE" if new else "UPDATE",
                TemplateBody=template.body,
                Parameters=template.choose(values, stack=name),
                Capabilities=_CAPABILITIES,
                Tags=[{"Key": "project", "Value": "salesforce-history"}],
            )
            arn = str(made["Id"])
            while (found := self._client.describe_change_set(ChangeSetName=arn, StackName=name))["Status"] in (
                "CREATE_PENDING",
                "CREATE_IN_PROGRESS",
            ):
                time.sleep(self._pause)
        proposed = ChangeSet(name, arn, self._changes(arn, name, found), new)
        if found["Status"] != "FAILED":
            return proposed
        self.discard(proposed)
        reason = str(found.get("StatusReason") or "")
        if any(words in reason for words in _NOTHING):
            return ChangeSet(name)
        raise DeployFailed(
            f"planning the stack {name}: CloudFormation refuses it: {reason}",
            f"{TAKEN_BUCKET}. Then run the same command again."
            if _TAKEN in reason
            else "Set right what it names (parameters are in deploy/cloudformation/parameters/), then run it again.",
        )

    def discard(self, proposed: ChangeSet) -> None:
        """Forget a change set, and the empty stack that AWS makes for one.

        :param proposed: what is not to be applied.
        """
        if not proposed.arn:
            return
        with explained(f"discarding the plan of {proposed.stack}"):
            self._client.delete_change_set(ChangeSetName=proposed.arn, StackName=proposed.stack)
            found = self._describe(proposed.stack)
            # Somebody else's plan may be in that stack by now.
            if proposed.new and found and found["StackStatus"] == UNMADE and not self._plans(str(found["StackId"])):
                self._client.delete_stack(StackName=proposed.stack)

    def apply(self, proposed: ChangeSet, *, meanwhile: Callable[[], str | None] = lambda: None) -> None:
        """Apply a change set, and wait until it is done.

        :param proposed: from `propose`; one without changes is left alone.
        :param meanwhile: what else is to be shown while one waits.
        :raises DeployFailed: with the resources that failed, and why.
        """
        if not proposed.arn:
            return
        since = self._events.last(proposed.stack)
        with explained(f"applying the changes of {proposed.stack}"):
            self._client.execute_change_set(ChangeSetName=proposed.arn, StackName=proposed.stack)
        status = self._wait(proposed.stack, since=since, meanwhile=meanwhile)
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise self._events.failure(proposed.stack, str(status), since=since)

    def delete(self, name: str) -> None:
        """Delete a stack, and wait until it is gone.

        :param name: of the stack; one that is not there is left alone.
        :raises DeployFailed: with the resources that could not be deleted, and why.
        """
        found = self._describe(name)
        if found is None:
            return
        since = self._events.last(name)
        with explained(f"deleting the stack {name}"):
            if not str(found["StackStatus"]).startswith("DELETE_IN_PROGRESS"):
                self._client.delete_stack(StackName=name)
        status = self._wait(name, since=since, identifier=str(found["StackId"]))
        if status != "DELETE_COMPLETE":
            raise self._events.failure(name, str(status), since=since)

    def _wait(
        self,
        name: str,
        *,
        since: str | None,
        identifier: str | None = None,
        meanwhile: Callable[[], str | None] = lambda: None,
    ) -> str | None:
        where = identifier or name
        self._events.begin(where, since=since)
        while True:
            found = self._describe(where)
            self._events.show()
            status = None if found is None else str(found["StackStatus"])
            if status is None or not status.endswith("_IN_PROGRESS") or status == UNMADE:
                return "DELETE_COMPLETE" if status is None else status
            self._events.waiting(f"{name}: {status}", meanwhile())
            time.sleep(self._pause)

    def _describe(self, name: str) -> dict[str, Any] | None:
        with explained(f"reading the stack {name}"):
            try:
                return dict(self._client.describe_stacks(StackName=name)["Stacks"][0])
            except ClientError as error:
                if "does not exist" in error_text(error):
                    return None
                raise

    def _plans(self, stack: str) -> bool:
        pages = self._client.get_paginator("list_change_sets").paginate(StackName=stack)
        return any(summary["StackId"] == stack for page in pages for summary in page["Summaries"])

    def _why(self, name: str) -> str:
        reasons = self._events.reasons(name)
        return f" {reasons[0]}" if reasons else ""

    def _changes(self, arn: str, name: str, first: Mapping[str, Any]) -> tuple[Change, ...]:
        pages = [first]
        while token := pages[-1].get("NextToken"):
            with explained(f"reading the plan of {name}"):
                pages.append(self._client.describe_change_set(ChangeSetName=arn, StackName=name, NextToken=token))
        return tuple(
            Change(
                action=change["ResourceChange"]["Action"],
                resource=change["ResourceChange"]["LogicalResourceId"],
                kind=change["ResourceChange"]["ResourceType"],
                replacement=change["ResourceChange"].get("Replacement") or "",
            )
            for page in pages
            for change in page.get("Changes") or []
        )
