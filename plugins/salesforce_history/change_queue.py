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
from botocore.exceptions import BotoCoreError, ClientError

#: Seconds that one question to SQS waits for a message; SQS allows 20. A triggerer that stops waits as long.
WAIT = 5
#: Messages of one question: SQS's maximum.
BATCH = 10
#: Batches that are one event. Whatever is left is the next event's.
BATCHES = 100
#: Seconds that Airflow is given to write an event down before its messages are deleted. Until they are, SQS keeps them
#: hidden for at least 30 s by default, and shows them again if this process dies: a run too many, never one too few.
SETTLE = 3.0
#: Seconds until a queue that cannot be read is asked again.
PATIENCE = 60.0


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
        """Watch the queue for ever. A queue that cannot be read is told of in the triggerer's log, and asked again."""
        while True:
            try:
                client = await sync_to_async(self._client)()
                async for receipts in self._arrivals(client):
                    yield TriggerEvent({"queue": self.queue, "messages": len(receipts)})
                    await asyncio.sleep(SETTLE)
                    await asyncio.to_thread(self._delete, client, receipts)
            except (BotoCoreError, ClientError) as problem:
                self.log.warning(
                    "SQS queue %s cannot be read: %s. Pipelines run by their schedule meanwhile. Check "
                    "SF_HISTORY_CHANGE_QUEUE_URL, and that the triggerer may do sqs:ReceiveMessage and "
                    "sqs:DeleteMessage there. Asking again in %.0f s.",
                    self.queue,
                    problem,
                    PATIENCE,
                )
                await asyncio.sleep(PATIENCE)

    async def _arrivals(self, client: Any) -> AsyncIterator[list[str]]:
        while True:
            receipts = await asyncio.to_thread(self._receive, client)
            if receipts:
                yield receipts

    def _client(self) -> Any:
        # Here, not above: a DAG is parsed without boto3, which would take a twentieth of the time.
        from airflow.providers.amazon.aws.hooks.sqs import SqsHook  # noqa: PLC0415

        host = urlsplit(self.queue_url).netloc.split(".")
        region = host[1] if host[0] == "sqs" and len(host) > 3 else None
        return SqsHook(aws_conn_id=self.aws_conn_id, region_name=region).get_conn()

    def _receive(self, client: Any) -> list[str]:
        """The receipts of what is in the queue; waits a little for the first."""
        receipts: list[str] = []
        for _ in range(BATCHES):
            answer = client.receive_message(
                QueueUrl=self.queue_url, MaxNumberOfMessages=BATCH, WaitTimeSeconds=0 if receipts else WAIT
            )
            batch = [message["ReceiptHandle"] for message in answer.get("Messages", [])]
            if not batch:
                break
            receipts += batch
        return receipts

    def _delete(self, client: Any, receipts: list[str]) -> None:
        for first in range(0, len(receipts), BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": receipt}
                for number, receipt in enumerate(receipts[first : first + BATCH])
            ]
            client.delete_message_batch(QueueUrl=self.queue_url, Entries=entries)
