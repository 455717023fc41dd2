"""The trigger behind the asset watcher: says that messages have come to an SQS queue.

The provider's own SqsSensorTrigger needs aiobotocore, which holds boto3 back; deletes a message before Airflow has
heard of it; and writes whole messages into Airflow's database. What a message says does not matter here: every run
asks Salesforce itself, from the watermark on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from asgiref.sync import sync_to_async

#: Seconds that one question to SQS waits for a message; SQS allows 20. A triggerer that stops waits as long.
WAIT = 5
#: Messages of one question: SQS's maximum.
BATCH = 10
#: Batches that are one event. Whatever is left is the next event's.
BATCHES = 100
#: Seconds that Airflow is given to write an event down before its messages are deleted. Until they are, SQS keeps them
#: hidden for at least 30 s by default, and shows them again if this process dies: a run too many, never one too few.
SETTLE = 3.0
#: Seconds until a queue that cannot be read or emptied is asked again.
PATIENCE = 60.0


class _NotEmptied(Exception):
    """Messages that have been told of could not be deleted."""


class ChangeQueueTrigger(BaseEventTrigger):
    """Fires once for all the messages that are in the queue, then goes on watching.

    :param queue_url: URL of the SQS queue.
    :param aws_conn_id: Airflow connection; without one, the triggerer's own role.
    """

    def __init__(self, *, queue_url: str, aws_conn_id: str) -> None:
        super().__init__()
        self.queue_url, self.aws_conn_id = queue_url, aws_conn_id

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How the triggerer makes it again."""
        return (
            "salesforce_history.change_queue.ChangeQueueTrigger",
            {"queue_url": self.queue_url, "aws_conn_id": self.aws_conn_id},
        )

    @property
    def queue(self) -> str:
        """The queue's name."""
        return urlsplit(self.queue_url).path.rpartition("/")[2]

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch the queue for ever. A queue that cannot be read, or emptied, is told of in the triggerer's log."""
        # By message: its latest receipt. They have been told of and are not deleted yet. SQS shows them again; as long
        # as they are here, that is no news.
        told: dict[str, str] = {}
        while True:
            try:
                client = await sync_to_async(self._client)()
                while True:
                    arrived = await asyncio.to_thread(self._receive, client)
                    news = arrived.keys() - told.keys()
                    told.update(arrived)
                    if news:
                        yield TriggerEvent({"queue": self.queue, "messages": len(news)})
                        await asyncio.sleep(SETTLE)
                    await asyncio.to_thread(self._delete, client, told)
            except _NotEmptied as problem:
                self.log.warning(
                    "SQS queue %s cannot be emptied: %s. %d messages have started their run and stay in the queue; "
                    "they start no other one while this triggerer lives. Let it do sqs:DeleteMessage there. Trying "
                    "again in %.0f s.",
                    self.queue,
                    problem,
                    len(told),
                    PATIENCE,
                )
            except _aws_problems() as problem:
                self.log.warning(
                    "SQS queue %s cannot be read: %s. Pipelines run by their schedule meanwhile. Check "
                    "SF_HISTORY_CHANGE_QUEUE_URL, and that the triggerer may do sqs:ReceiveMessage and "
                    "sqs:DeleteMessage there. Asking again in %.0f s.",
                    self.queue,
                    problem,
                    PATIENCE,
                )
            await asyncio.sleep(PATIENCE)

    def _client(self) -> Any:
        # Here, not above: a DAG is parsed without boto3, which would take a twentieth of the time.
        from airflow.providers.amazon.aws.hooks.sqs import SqsHook

        host = urlsplit(self.queue_url).netloc.split(".")
        region = host[1] if host[0] == "sqs" and len(host) > 3 else None
        return SqsHook(aws_conn_id=self.aws_conn_id, region_name=region).get_conn()

    def _receive(self, client: Any) -> dict[str, str]:
        """The messages that are in the queue, with their receipts; waits a little for the first."""
        receipts: dict[str, str] = {}
        for _ in range(BATCHES):
            answer = client.receive_message(
                QueueUrl=self.queue_url, MaxNumberOfMessages=BATCH, WaitTimeSeconds=0 if receipts else WAIT
            )
            batch = {message["MessageId"]: message["ReceiptHandle"] for message in answer.get("Messages", [])}
            if not batch:
                break
            receipts |= batch
        return receipts

    def _delete(self, client: Any, told: dict[str, str]) -> None:
        """Delete messages, and forget those that are deleted.

        :raises _NotEmptied: if some are not.
        """
        refusal = ""
        messages = list(told)
        for first in range(0, len(messages), BATCH):
            batch = messages[first : first + BATCH]
            entries = [{"Id": str(number), "ReceiptHandle": told[message]} for number, message in enumerate(batch)]
            try:
                answer = client.delete_message_batch(QueueUrl=self.queue_url, Entries=entries)
            except _aws_problems() as problem:
                raise _NotEmptied(str(problem)) from problem
            # SQS answers 200 though it may have refused each one of them.
            for entry in answer.get("Successful", []):
                del told[batch[int(entry["Id"])]]
            for entry in answer.get("Failed", []):
                refusal = f"{entry.get('Code', 'no code')}: {entry.get('Message', 'no reason given')}"
        if refusal:
            raise _NotEmptied(refusal)


def _aws_problems() -> tuple[type[Exception], ...]:
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError
