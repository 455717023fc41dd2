"""What happens in a stack while one waits for it, line by line; and, when it has failed, which resources and why."""

from __future__ import annotations

import re
from typing import Any

from botocore.exceptions import ClientError
from rich.console import Console
from rich.markup import escape

from deploy.account import Account
from deploy.problem import DeployFailed, error_text, explained

#: A resource that was stopped because another one failed has no reason of its own.
_FOLLOWED = ("Resource creation cancelled", "Resource update cancelled", "The following resource(s) failed")

#: What to do where a bucket's name is taken.
TAKEN_BUCKET = (
    "Bucket names are shared by all of AWS, and this one is taken: choose a BucketPrefix of your own in "
    "deploy/cloudformation/parameters/<environment>.json, or --bucket-prefix. If the bucket is yours, kept from an "
    "earlier deployment, docs/deploy.md says how it is taken up again"
)
#: What a reason says → what to do.
_REMEDIES = (
    (r"BucketAlready|AWS::S3::Bucket\): .*already ?exists", TAKEN_BUCKET),
    (
        r"already ?exists",
        "Something of that name is there, perhaps kept from an earlier deployment: docs/deploy.md (Taking up what was "
        "kept) says what to do",
    ),
    (
        r"not authorized|Access ?Denied",
        "This identity lacks a permission: docs/deploy.md lists what whoever deploys must be allowed",
    ),
    (
        r"subnet",
        "MWAA needs two private subnets in two zones, with a way out (NAT) or VPC endpoints: docs/deploy.md (Your own "
        "network)",
    ),
    (r"limit|quota", "Ask AWS for more (Service Quotas), or free some"),
    (
        r"requirements",
        "The log group airflow-<environment>-Scheduler (stream requirements_install) says which package failed",
    ),
    (
        r"AWS::MWAA::Environment\)",
        "The log groups airflow-<environment>-* say why (Scheduler, stream requirements_install; WebServer; "
        "startup_script). Usual causes: subnets without a way out, a missing permission of the execution role",
    ),
)


class StackEvents:
    """Shows the events of stacks.

    :param account: where the stacks are.
    :param console: what people see.
    """

    def __init__(self, account: Account, console: Console) -> None:
        self._client = account.client("cloudformation")
        self._console = console
        self._stack, self._seen, self._waiting = "", "", ""

    def say(self, text: str) -> None:
        """Print a line.

        :param text: plain text.
        """
        self._console.print(f"  {escape(text)}")

    def last(self, stack: str) -> str | None:
        """Id of a stack's newest event; None where there is none.

        :param stack: name or ARN.
        """
        events = self._newest(stack, after=None, most=1)
        return events[-1]["EventId"] if events else None

    def begin(self, stack: str, *, since: str | None) -> None:
        """Show events from here on.

        :param stack: name or ARN.
        :param since: id of the last event that is known; None: only what happens from now on.
        """
        self._stack, self._seen, self._waiting = stack, since or self.last(stack) or "", ""

    def show(self) -> None:
        """Print what has happened since the last look."""
        for event in self._newest(self._stack, after=self._seen):
            self._seen = event["EventId"]
            self._console.print(_line(event))

    def waiting(self, what: str, more: str | None) -> None:
        """Say what is being waited for, whenever that changes.

        :param what: the stack and its status.
        :param more: of something else.
        """
        line = f"{what}; {more}" if more else what
        if line != self._waiting:
            self._waiting = line
            self._console.print(f"  [dim]… {escape(line)}[/]")

    def reasons(self, stack: str, *, since: str | None = None) -> list[str]:
        """Why resources of a stack failed, the first one first.

        :param stack: name or ARN.
        :param since: only events after that one.
        """
        return [
            f"{event['LogicalResourceId']} ({event['ResourceType']}): {reason}"
            for event in self._newest(stack, after=since)
            if event["ResourceStatus"].endswith("_FAILED")
            and (reason := event.get("ResourceStatusReason") or "")
            and not reason.startswith(_FOLLOWED)
        ]

    def failure(self, stack: str, status: str, *, since: str | None) -> DeployFailed:
        """What to raise about a stack that has failed.

        :param stack: its name.
        :param status: that it ended in.
        :param since: the last event before.
        """
        reasons = self.reasons(stack, since=since)
        said = "".join(f"\n  - {reason}" for reason in reasons)
        hint = next(
            (remedy for pattern, remedy in _REMEDIES if re.search(pattern, said, re.IGNORECASE)),
            "Set right what it names",
        )
        again = "run the same command again"
        if status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"):
            again = f"remove what there is of it (aws cloudformation delete-stack --stack-name {stack}), and {again}"
        elif status == "UPDATE_ROLLBACK_COMPLETE":
            again = f"{again}: everything is as it was before this change"
        return DeployFailed(f"the stack {stack} ended in {status}.{said}", f"{hint}. Then {again}.")

    def _newest(self, stack: str, *, after: str | None, most: int | None = None) -> list[dict[str, Any]]:
        """A stack's events after one of them, the oldest first."""
        found: list[dict[str, Any]] = []
        with explained(f"reading the events of {stack}"):
            try:
                pages = self._client.get_paginator("describe_stack_events").paginate(StackName=stack)
                for event in (event for page in pages for event in page["StackEvents"]):
                    if event["EventId"] == after or (most is not None and len(found) >= most):
                        break
                    found.append(event)
            except ClientError as error:
                if "does not exist" not in error_text(error):
                    raise
        return sorted(found, key=lambda event: event["Timestamp"])


def _line(event: dict[str, Any]) -> str:
    status = event["ResourceStatus"]
    mark = (
        "[red]✗[/]"
        if "FAILED" in status or "ROLLBACK" in status
        else "[green]✓[/]"
        if "COMPLETE" in status
        else "[dim]…[/]"
    )
    reason = event.get("ResourceStatusReason") or ""
    said = f"  [dim]{escape(reason)}[/]" if reason and reason != "User Initiated" else ""
    return f"  {mark} {escape(event['LogicalResourceId']):<44} {status}{said}"
