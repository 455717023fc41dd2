"""Those who are told, on loopback: an SNS topic with an SQS queue behind it (moto), a mail server, a Slack webhook.

Real servers, spoken to by the real notifiers through real Connections. A module that uses them says
`pytest_plugins = ["tests.receivers"]`, or imports the fixture `receivers`.
"""

from __future__ import annotations

import email.policy
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope
from moto.server import ThreadedMotoServer

from local.cloud.ports import free_port

REGION = "us-east-1"
TOPIC = "sf-user-pipeline-alerts"
#: What is in the Connections and must never be told.
WEBHOOK_TOKEN = "T0000/B0000/webhook-token-of-the-test"
MAIL_PASSWORD = "mail-password-of-the-test"
AWS_SECRET = "aws-secret-of-the-test"
ONCALL = "oncall@example.com"


@dataclass(frozen=True)
class Received:
    """What one receiver got.

    :param subject: the subject; a Slack message's first line.
    :param text: the message, as a person reads it.
    :param raw: all there is of it.
    """

    subject: str
    text: str
    raw: Any = None


@dataclass
class Webhook:
    """Slack's end of an incoming webhook.

    :param bodies: what was posted.
    :param status: what it answers.
    """

    bodies: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    url: str = ""


class _Mailbox:
    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802 - its name
        content = envelope.content
        assert isinstance(content, bytes)
        self.mails.append(email.message_from_bytes(content, policy=email.policy.default))  # type: ignore[arg-type]
        return "250 OK"


@dataclass
class Receivers:
    """All three, and what leads to them.

    :param topic_arn: of the SNS topic.
    :param webhook: Slack's end.
    :param variables: environment variables: the Connections and the addresses.
    """

    topic_arn: str
    webhook: Webhook
    variables: dict[str, str]
    _sqs: Any
    _queue: str
    _mailbox: _Mailbox

    def sns(self) -> list[Received]:
        """What arrived in the queue since the last call, oldest first."""
        found: list[Received] = []
        while messages := self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                said = json.loads(message["Body"])
                found.append(Received(said.get("Subject") or "", said["Message"], said))
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        return found

    def slack(self) -> list[Received]:
        """What was posted to the webhook since the last call."""
        bodies, self.webhook.bodies[:] = list(self.webhook.bodies), []
        return [Received(body["text"].split("\n", 1)[0], body["text"], body) for body in bodies]

    def email(self) -> list[Received]:
        """The mails since the last call."""
        mails, self._mailbox.mails[:] = list(self._mailbox.mails), []
        return [Received(mail["Subject"], _body(mail), mail) for mail in mails]

    def all(self) -> dict[str, list[Received]]:
        """By channel, what each receiver got since the last call."""
        return {"sns": self.sns(), "slack": self.slack(), "email": self.email()}


def _body(mail: EmailMessage) -> str:
    part = mail.get_body(("html", "plain"))
    assert part is not None
    return str(part.get_content())


@contextmanager
def webhook_server() -> Iterator[Webhook]:
    """A web server on loopback that takes what is posted."""
    webhook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if webhook.status == 200:
                webhook.bodies.append({**json.loads(body), "_path": self.path})
            self.send_response(webhook.status)
            self.end_headers()
            self.wfile.write(b"ok" if webhook.status == 200 else b"invalid_token")

        def log_message(self, *arguments: Any) -> None:
            """Nothing: a test's output is for its failures."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        webhook.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield webhook
        server.shutdown()


@contextmanager
def black_hole() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        yield listening.getsockname()[1]


def aws_connection(port: int) -> str:
    """The Connection to an AWS on loopback.

    :param port: where it listens.
    """
    extra = {"endpoint_url": f"http://127.0.0.1:{port}", "region_name": REGION}
    return json.dumps({"conn_type": "aws", "login": "key-of-the-test", "password": AWS_SECRET, "extra": extra})


def slack_connection(url: str) -> str:
    """The Connection to a webhook.

    :param url: without the token.
    """
    return json.dumps({"conn_type": "slackwebhook", "host": url, "password": WEBHOOK_TOKEN})


def mail_connection(port: int) -> str:
    """The Connection to a mail server on loopback.

    :param port: where it listens.
    """
    extra = {"from_email": "history@example.com", "disable_ssl": True, "disable_tls": True, "retry_limit": 0}
    host = {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "password": MAIL_PASSWORD}
    return json.dumps({**host, "extra": extra})


@contextmanager
def running_receivers() -> Iterator[Receivers]:
    """Start all three; they end with the context."""
    mailbox = _Mailbox()
    mail = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    mail.start()
    moto.start()
    try:
        with webhook_server() as webhook:
            _, port = moto.get_host_and_port()
            keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": REGION}
            sns, sqs = (boto3.client(name, endpoint_url=f"http://127.0.0.1:{port}", **keys) for name in ("sns", "sqs"))
            topic = sns.create_topic(Name=TOPIC)["TopicArn"]
            queue = sqs.create_queue(QueueName="oncall")["QueueUrl"]
            arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
            variables = {
                "AIRFLOW_CONN_AWS_DEFAULT": aws_connection(port),
                "AIRFLOW_CONN_SLACK_ONCALL": slack_connection(webhook.url),
                "AIRFLOW_CONN_SMTP_DEFAULT": mail_connection(mail.port),
                "SF_HISTORY_SNS_TOPIC_ARN": topic,
                "SF_HISTORY_SLACK_CONN_ID": "slack_oncall",
                "SF_HISTORY_EMAIL_TO": ONCALL,
            }
            yield Receivers(topic, webhook, variables, sqs, queue, mailbox)
    finally:
        moto.stop()
        mail.stop()


@pytest.fixture(scope="session")
def _running() -> Iterator[Receivers]:
    with running_receivers() as running:
        yield running


@pytest.fixture
def receivers(_running: Receivers, monkeypatch: pytest.MonkeyPatch) -> Receivers:
    """Receivers that have got nothing yet, and the environment variables that lead to them."""
    for name, value in _running.variables.items():
        monkeypatch.setenv(name, value)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    _running.webhook.status = 200
    _running.all()
    return _running
