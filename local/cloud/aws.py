"""AWS on loopback: a moto server in a process of its own, with what it lacks: first of all one rule of Glue.

Glue refuses an update of a table that somebody else has updated since it was read (`VersionId`); Iceberg's commits rest
on that. moto lets every update through, so that two writers would both believe that they had committed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.cloud.ports import PortTaken, refuse_taken

PROJECT = Path(__file__).resolve().parents[2]

#: The account that moto plays, and a region.
ACCOUNT, REGION = "123456789012", "us-east-1"


class AwsNotStarted(RuntimeError):
    """The server ended before it answered. The message has what it printed."""


@dataclass(frozen=True)
class Aws:
    """An AWS that runs.

    :param endpoint: `http://127.0.0.1:<port>`, of every service.
    """

    endpoint: str

    def variables(self) -> dict[str, str]:
        """Environment variables by which boto3, pyiceberg, pyarrow, dbt-athena and Airflow's provider find it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "stand-in",
            "AWS_SECRET_ACCESS_KEY": "stand-in",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def catalog_properties(self) -> dict[str, str]:
        """Extra of an Iceberg connection. pyiceberg does not tell pyarrow of AWS_ENDPOINT_URL, so S3's is in here."""
        keys = self.variables()
        return {
            "type": "glue",
            "glue.endpoint": self.endpoint,
            "glue.region": REGION,
            "glue.access-key-id": keys["AWS_ACCESS_KEY_ID"],
            "glue.secret-access-key": keys["AWS_SECRET_ACCESS_KEY"],
            "s3.endpoint": self.endpoint,
            "s3.region": REGION,
            "s3.access-key-id": keys["AWS_ACCESS_KEY_ID"],
            "s3.secret-access-key": keys["AWS_SECRET_ACCESS_KEY"],
        }


@contextmanager
def start_aws(*, port: int = 0) -> Iterator[Aws]:
    """Start an empty AWS, and end it afterwards; it ends with its parent's death as well.

    :param port: on 127.0.0.1; 0 for any.
    :raises AwsNotStarted: with what the server said.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "local.cloud.aws", "--port", str(port), "--stop-with-input"],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        try:
            said = server.stdout.readline().strip() if server.stdout else ""
            if not said.startswith("http://"):
                raise AwsNotStarted(f"the stand-in for AWS ended at once; it said: {said or 'nothing'}")
            yield Aws(said)
        finally:
            server.terminate()


def serve(*, port: int, stop_with_input: bool = False) -> None:
    """Serve until SIGTERM, Ctrl-C, or the end of standard input.

    :param port: on 127.0.0.1; 0 for any.
    :param stop_with_input: end when standard input closes.
    """
    from moto.server import ThreadedMotoServer

    from local.cloud.cloudformation import complete_cloudformation
    from local.cloud.stacks import teach_cloudformation

    _hold_glue_to_its_versions()
    _delete_keys_by_arn()
    complete_cloudformation()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    host, actual = server.get_host_and_port()
    teach_cloudformation(f"http://{host}:{actual}")
    print(f"http://{host}:{actual}", flush=True)
    try:
        if stop_with_input:
            sys.stdin.read()
        else:
            threading.Event().wait()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()


def _hold_glue_to_its_versions() -> None:
    """UpdateTable with a VersionId that is not the table's newest: ConcurrentModificationException, as AWS has it."""
    from moto.glue.exceptions import GlueClientError
    from moto.glue.responses import GlueResponse

    taken = threading.Lock()
    update = GlueResponse.update_table

    def update_table(self: GlueResponse) -> Any:
        wanted = self.parameters.get("VersionId")
        with taken:
            if wanted is not None:
                name = self.parameters["TableInput"]["Name"]
                table = self.glue_backend.get_table(self.parameters["DatabaseName"], name)
                if wanted != table.as_dict()["VersionId"]:
                    message = f"Update table failed due to concurrent modifications of {name}."
                    raise GlueClientError("ConcurrentModificationException", message)
            return update(self)

    GlueResponse.update_table = update_table  # type: ignore[method-assign]


def _delete_keys_by_arn() -> None:
    """ScheduleKeyDeletion takes an ARN as well as an id; moto answers 500 to an ARN."""
    from moto.kms.models import KmsBackend

    schedule = KmsBackend.schedule_key_deletion

    def schedule_key_deletion(self: KmsBackend, key_id: str, pending_window_in_days: int) -> Any:
        return schedule(self, self.get_key_id(key_id), pending_window_in_days)

    KmsBackend.schedule_key_deletion = schedule_key_deletion  # type: ignore[method-assign]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the server.

    :param arguments: the command line; that of the process by default.
    """
    parser = argparse.ArgumentParser(
        prog="python -m local.cloud.aws",
        description="AWS on this machine, empty, on loopback. Its address is the first line that it prints.",
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: any)")
    parser.add_argument("--stop-with-input", action="store_true", help="end when standard input closes")
    given = parser.parse_args(arguments)
    try:
        refuse_taken(given.port)
    except PortTaken as taken:
        parser.exit(2, f"{taken}\n")
    serve(port=given.port, stop_with_input=given.stop_with_input)


if __name__ == "__main__":
    main()
