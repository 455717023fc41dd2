"""The trigger that watches a queue, against a real SQS endpoint: one event a burst, and no message lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from botocore.exceptions import ClientError, EndpointConnectionError
from moto.server import ThreadedMotoServer

from salesforce_history import change_queue
from salesforce_history.change_queue import ChangeQueueTrigger

#: No single thing here takes longer, seconds.
PATIENCE = 30.0


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def sqs(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", server)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name, value in (("WAIT", 1), ("SETTLE", 0.0), ("PATIENCE", 0.1)):
        monkeypatch.setattr(change_queue, name, value)
    return boto3.client("sqs")


@pytest.fixture
def url(sqs: Any, request: pytest.FixtureRequest) -> str:
    created = sqs.create_queue(QueueName=f"changes-{abs(hash(request.node.name))}")
    return str(created["QueueUrl"])


def watch(url: str) -> ChangeQueueTrigger:
    return ChangeQueueTrigger(queue_url=url, aws_conn_id="aws_default")


def left(sqs: Any, url: str) -> int:
    """Messages in the queue, those included that are hidden because somebody has received them."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(attributes[name]) for name in names)


async def next_event(events: Any) -> TriggerEvent:
    return await asyncio.wait_for(anext(events), PATIENCE)


def test_a_burst_is_one_event_and_the_next_message_another(sqs: Any, url: str) -> None:
    for number in range(25):
        sqs.send_message(QueueUrl=url, MessageBody=f"the phone number of {number}")

    async def run() -> None:
        events = watch(url).run()
        event = await next_event(events)
        # What was written in the messages is not in Airflow's database.
        assert event.payload == {"queue": url.rpartition("/")[2], "messages": 25}
        assert left(sqs, url) == 25, "not before Airflow has heard of them"
        sqs.send_message(QueueUrl=url, MessageBody="one more")
        assert (await next_event(events)).payload["messages"] == 1
        assert left(sqs, url) == 1, "the first ones are deleted when the trigger goes on"
        await events.aclose()

    asyncio.run(run())


def test_messages_of_a_triggerer_that_died_come_back(sqs: Any, url: str) -> None:
    sqs.send_message(QueueUrl=url, MessageBody="changed")

    async def dies() -> None:
        events = watch(url).run()
        await next_event(events)
        await events.aclose()

    asyncio.run(dies())
    assert left(sqs, url) == 1


def test_a_queue_that_cannot_be_read_is_told_of_and_asked_again(
    sqs: Any, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = f"{url}-missing"

    async def run() -> TriggerEvent:
        events = watch(missing).run()
        waiting = asyncio.ensure_future(next_event(events))
        while "cannot be read" not in (told := capsys.readouterr().out):
            assert not waiting.done()
            await asyncio.sleep(0.05)
        assert f"SQS queue {missing.rpartition('/')[2]} cannot be read" in told
        assert "SF_HISTORY_CHANGE_QUEUE_URL" in told
        assert "testing" not in told
        sqs.create_queue(QueueName=missing.rpartition("/")[2])
        sqs.send_message(QueueUrl=missing, MessageBody="changed")
        event = await waiting
        await events.aclose()
        return event

    assert asyncio.run(run()).payload["messages"] == 1


class Undeletable:
    """A queue that shows its messages again and again: each delete is answered with the next refusal, then works.

    SQS answers so when a policy allows sqs:ReceiveMessage alone, or when it has an error of its own; moto never does.
    """

    def __init__(self, *messages: str, refusals: list[Any]) -> None:
        self.messages, self.refusals = set(messages), refusals
        self.rounds = 0
        self.deleted: list[str] = []
        self.shown = False

    def receive_message(self, **_: Any) -> dict[str, Any]:
        self.shown = not self.shown
        if not self.shown or not self.messages:
            return {}
        self.rounds += 1
        found = sorted(self.messages)
        return {"Messages": [{"MessageId": one, "ReceiptHandle": f"{one}/{self.rounds}"} for one in found]}

    def delete_message_batch(self, *, Entries: list[dict[str, str]], **_: Any) -> dict[str, Any]:  # noqa: N803
        refusal = self.refusals.pop(0) if self.refusals else None
        if isinstance(refusal, Exception):
            raise refusal
        if refusal == "the second one":
            refused, deleted = Entries[1:], Entries[:1]
        else:
            refused, deleted = (Entries, []) if refusal else ([], Entries)
        for entry in deleted:
            message, _, number = entry["ReceiptHandle"].partition("/")
            assert int(number) == self.rounds, "an old receipt deletes nothing"
            self.messages.discard(message)
            self.deleted.append(message)
        why = {"Code": "AccessDenied", "Message": "not authorized to perform sqs:DeleteMessage", "SenderFault": True}
        return {
            "Successful": [{"Id": entry["Id"]} for entry in deleted],
            "Failed": [{"Id": entry["Id"], **why} for entry in refused],
        }


DENIED = ClientError({"Error": {"Code": "AccessDenied", "Message": "sqs:DeleteMessage"}}, "DeleteMessageBatch")


@pytest.mark.parametrize(
    "refusals",
    [["all"] * 3, [DENIED] * 3, ["the second one", "all", "all"], [EndpointConnectionError(endpoint_url="x")] * 3],
    ids=["each refused", "the call refused", "one refused", "no answer"],
)
def test_messages_that_cannot_be_deleted_start_one_run(
    refusals: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(change_queue, "SETTLE", 0.0)
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    client = Undeletable("one", "two", refusals=list(refusals))
    trigger = watch("https://sqs.us-east-1.amazonaws.com/123456789012/q")
    monkeypatch.setattr(trigger, "_client", lambda: client)

    async def run() -> list[int]:
        events = trigger.run()
        counts = [(await next_event(events)).payload["messages"]]
        monkeypatch.setattr(change_queue.asyncio, "sleep", pause)
        waiting = asyncio.ensure_future(next_event(events))
        while client.messages:
            assert not waiting.done(), "a second event of the same messages"
            await sleep(0.01)
        # What comes when they are gone is news again, and so is what comes while others cannot be deleted.
        client.messages.add("three")
        counts.append((await waiting).payload["messages"])
        await events.aclose()
        return counts

    assert asyncio.run(run()) == [2, 1]
    assert sorted(client.deleted) == ["one", "two"]
    assert pauses.count(change_queue.PATIENCE) == 3, "each refusal is told of once and waited for"
    told = capsys.readouterr().out
    assert told.count("SQS queue q cannot be emptied") == 3
    assert "sqs:DeleteMessage" in told
    assert "cannot be read" not in told


def test_news_is_told_of_though_older_messages_cannot_be_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SETTLE", "PATIENCE"):
        monkeypatch.setattr(change_queue, name, 0.0)
    client = Undeletable("one", refusals=["all"] * 1000)
    trigger = watch("https://sqs.us-east-1.amazonaws.com/123456789012/q")
    monkeypatch.setattr(trigger, "_client", lambda: client)

    async def run() -> list[int]:
        events = trigger.run()
        counts = [(await next_event(events)).payload["messages"]]
        client.messages |= {"two", "three"}
        counts.append((await next_event(events)).payload["messages"])
        await events.aclose()
        return counts

    assert asyncio.run(run()) == [1, 2]


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-central-1.amazonaws.com/123456789012/q", "eu-central-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q", "cn-north-1"),
        ("http://127.0.0.1:5000/123456789012/q", "us-east-1"),
    ],
)
def test_the_region_is_the_queues(sqs: Any, url: str, region: str) -> None:
    assert watch(url)._client().meta.region_name == region


def test_airflow_can_make_it_again() -> None:
    trigger = watch("https://sqs.us-east-1.amazonaws.com/123456789012/q")
    assert isinstance(trigger, BaseEventTrigger)
    path, arguments = trigger.serialize()
    assert path == f"{ChangeQueueTrigger.__module__}.{ChangeQueueTrigger.__qualname__}"
    assert ChangeQueueTrigger(**arguments).serialize() == trigger.serialize()
